"""Importing Great Expectations for a third less than it asks for.

Its import takes seconds, more than a third of them for engines that a gate never runs (Spark, AWS) and for
statistics that only few checks need. What does not belong here: what a gate does with it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

# Great Expectations does without them where they are not installed.
_ENGINES = ("pyspark", "boto3", "botocore")

# Read at the first use of one of its names.
_STATISTICS = "scipy.stats"


def import_great_expectations() -> ModuleType:
    """The module great_expectations; it sends nothing anywhere."""
    if "great_expectations" not in sys.modules:
        # Read once by Great Expectations at import.
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        _defer(_STATISTICS)
        with _hidden(_ENGINES):
            return importlib.import_module("great_expectations")
    return importlib.import_module("great_expectations")


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Within the block, modules that nobody has imported so far count as not installed."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # the import system's own way to say so
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _defer(name: str) -> None:
    """Let the module be read at the first use of one of its names rather than at its import."""
    if name in sys.modules:
        return
    parent = importlib.import_module(name.rpartition(".")[0])
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    setattr(parent, name.rpartition(".")[2], module)

"""Making the configuration of a Great Expectations expectation once for a validation.

Great Expectations asks an expectation for its configuration some hundred times while it validates it, and
makes it anew each time from the model's fields: a third of what a validation of few rows takes. What does not
belong here: what is validated.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from expectations.great_expectations_import import import_great_expectations


class _Made(threading.local):
    """Configurations made in a thread's validation, by the id of the expectation, which is kept with them."""

    by_id: dict[int, tuple[Any, Any]] | None = None


_made = _Made()


@contextmanager
def configurations_once() -> Iterator[None]:
    """Within the block, an expectation keeps the configuration it was first asked for in this thread."""
    _have_it_kept()
    before, _made.by_id = _made.by_id, {}
    try:
        yield
    finally:
        _made.by_id = before


@cache
def _have_it_kept() -> None:
    import_great_expectations()
    from great_expectations.expectations import expectation as module

    classes: Any = module  # its types say method where it has a property
    make = classes.Expectation.configuration.fget

    def configuration(expectation: Any) -> Any:
        if _made.by_id is None:
            return make(expectation)
        found = _made.by_id.get(id(expectation))
        if found is None:
            found = _made.by_id[id(expectation)] = expectation, make(expectation)
        return found[1]

    classes.Expectation.configuration = property(configuration)

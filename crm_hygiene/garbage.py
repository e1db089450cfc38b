"""Python's search for cyclic garbage, asked for more rarely where next to nothing is any."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Containers made, less those gone, until Python looks for cyclic garbage; it would after 700.
_ALLOCATIONS = 50_000


@contextmanager
def few_collections() -> Iterator[None]:
    """Within the block Python looks for cyclic garbage more rarely, and not among what is there already.

    Imported modules and Dagster's definitions are half a million objects and no garbage; walking through them
    took a twentieth of a small night and a third of its imports. Tables go when nobody names them any more;
    but an exception that a library keeps in a variable names its callers, and they their tables. Where such
    libraries are called with tables at hand, `collect_young` follows.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def collect_young() -> None:
    """Let go what became cyclic garbage lately; what has been there for long is not walked through."""
    gc.collect(1)

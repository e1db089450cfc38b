"""What a long step is doing and how far it is, as log records of one logger.

The domain tells; who listens decides: Dagster keeps the records in the run's log (dagster.yaml names this
logger under `python_logs`), the command line shows them as they come. Nobody listening costs nothing.
What does not belong here: what a step did (its own log), warnings (the night's notes).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

LOGGER = "crm_hygiene.progress"
MARK = "is_progress"
"""Attribute of the records; it survives Dagster's own rewording of a record."""

_T = TypeVar("_T")
_logger = logging.getLogger(LOGGER)
_logger.setLevel(logging.INFO)
_logger.addHandler(logging.NullHandler())


def tell(what: str) -> None:
    """Say what begins now, e.g. "scoring 5,812,345 pairs of people"."""
    _logger.info(what, extra={MARK: True})


def counted(
    items: Iterable[_T],
    what: str,
    total: int | None = None,
    unit: str = "",
    size: Callable[[_T], int] | None = None,
    every: float = 5.0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[_T]:
    """The items, unchanged, while telling how far they are: "conforming people: 3 of 6 sources (50%)".

    Parameters
    ----------
    what
        what is being done, in a few words
    total
        how many there will be, in the unit counted; None if nobody knows
    unit
        of what is counted, in the plural
    size
        how many units an item is; one by default
    every
        seconds between two messages, at least; a loop that ends sooner says nothing
    """
    done, told = 0, clock()
    for item in items:
        yield item
        done += 1 if size is None else size(item)
        now = clock()
        if now - told >= every and (total is None or done < total):
            of_total = f" of {total:,}" if total is not None else ""
            share = f" ({done / total:.0%})" if total else ""
            tell(f"{what}: {done:,}{of_total}{' ' if unit else ''}{unit}{share}")
            told = now

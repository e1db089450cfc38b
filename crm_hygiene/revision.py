"""A table told as what stays of its live version and what takes the place of the rest.

Whoever makes one vouches that the live version passed the gate of the very contract it goes through now, and
that `kept` are rows of it as they are. What does not belong here: which rows are touched (each layer knows
that of its own tables), gates and writing (`expectations.gate`, `assets.publication`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import polars as pl

# So many rows that do not stay are held, to tell what the night changed.
_GONE_ROWS = 1_000_000


class Gone:
    """Rows of a live version that do not stay, put by while those that do are taken, unless they are many."""

    def __init__(self, most: int = _GONE_ROWS) -> None:
        self._parts: list[pl.DataFrame] | None = []
        self._left = most

    def split(self, rows: pl.DataFrame, stays: pl.Series) -> pl.DataFrame:
        """Those of `rows` that stay; the others are put by."""
        self._left -= rows.height - int(stays.sum())
        if self._left < 0:
            self._parts = None
        if self._parts is not None:
            self._parts.append(rows.filter(~stays))
        return rows.filter(stays)

    def rows(self, none: pl.DataFrame) -> pl.DataFrame | None:
        """All that were put by, if they could be, after `none`, a frame of their columns without rows."""
        return None if self._parts is None else pl.concat([none, *self._parts])


@dataclass(frozen=True)
class Revision:
    """All rows of a table: `kept` of its live version, `fresh` made in this night; of the same columns.

    `gone` are the rows of the live version that are not kept, where that is known.
    """

    kept: pl.DataFrame
    fresh: pl.DataFrame
    gone: pl.DataFrame | None = None


@dataclass(frozen=True)
class StreamedRevision:
    """As `Revision`, of a table too large to hold: what is kept and fresh comes in parts, once.

    What is gone is known when all parts that are kept have been taken.
    """

    kept: Iterable[pl.DataFrame]
    fresh: Iterable[pl.DataFrame]
    gone: Gone | None = None


Stays = Callable[[pl.DataFrame], pl.Series]
"""Of some rows of a live version, which stay: a Boolean each."""


def revised(live: pl.LazyFrame, stays: Stays, fresh: pl.DataFrame) -> Revision:
    """The rows of the live version that stay, and `fresh` ones."""
    rows = live.collect()
    kept = stays(rows)
    return Revision(rows.filter(kept), fresh, rows.filter(~kept))


def revised_in_parts(
    live: pl.LazyFrame, stays: Stays, fresh: Iterable[pl.DataFrame], height: int
) -> StreamedRevision:
    """As `revised`; the live version is read as its rows are asked for, `height` at a time."""
    gone = Gone()
    parts = (part.collect() for part in slices(live, height))
    return StreamedRevision((gone.split(rows, stays(rows)) for rows in parts), fresh, gone)


def slices(rows: pl.LazyFrame, height: int) -> Iterator[pl.LazyFrame]:
    """All rows, at most `height` at a time: a stream of batches would read ahead as far as memory goes."""
    for start in range(0, rows.select(pl.len()).collect().item(), height):
        yield rows.slice(start, height)

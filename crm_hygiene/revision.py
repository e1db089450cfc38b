"""A table told as what stays of its live version and what takes the place of the rest.

Whoever makes one vouches that the live version passed the gate of the very contract it goes through now, and
that `kept` are rows of it as they are. What does not belong here: which rows are touched (each layer knows
that of its own tables), gates and writing (`expectations.gate`, `assets.publication`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Revision:
    """All rows of a table: `kept` of its live version, `fresh` made in this night; of the same columns."""

    kept: pl.DataFrame
    fresh: pl.DataFrame


@dataclass(frozen=True)
class StreamedRevision:
    """As `Revision`, of a table too large to hold; both come in parts, once."""

    kept: Iterable[pl.DataFrame]
    fresh: Iterable[pl.DataFrame]


def slices(rows: pl.LazyFrame, height: int) -> Iterator[pl.LazyFrame]:
    """All rows, at most `height` at a time: a stream of batches would read ahead as far as memory goes."""
    for start in range(0, rows.select(pl.len()).collect().item(), height):
        yield rows.slice(start, height)

"""Ids of rows: a hash of what the row says, the same on every night and every machine."""

from __future__ import annotations

import hashlib

import polars as pl

# Rows hashed at a time: as Python text a whole table would outweigh its frame.
_SLICE = 100_000


def row_ids(frame: pl.DataFrame, name: str, null: str = "\x00") -> pl.Series:
    """Per row the first 32 hexadecimal digits of the SHA-256 of its cells as text, joined by U+001F.

    `null` stands for an empty cell; the default differs from every text that people write, the empty one
    included.
    """
    cells = [pl.col(c).cast(pl.String).fill_null(null) for c in frame.columns]
    ids: list[str] = []
    for part in frame.iter_slices(_SLICE):
        texts = part.select(pl.concat_str(cells, separator="\x1f")).to_series()
        ids += [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts.to_list()]
    return pl.Series(name, ids, dtype=pl.String)

"""Rows in the order of a table's key, sorted only where they are not in it yet.

Tables are published in the order of their key and read back in it; looking at neighbours is tens of times
cheaper than sorting, which copies every column of a wide table.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def is_in_order(frame: pl.DataFrame, keys: Sequence[str]) -> bool:
    """Whether the rows ascend by `keys`, equal ones in any order; False where a key has nulls."""
    is_greater = pl.lit(value=False)
    for key in reversed(keys):
        here, before = pl.col(key), pl.col(key).shift(1)
        is_greater = (before > here) | ((before == here) & is_greater)
    if any(frame[key].null_count() for key in keys):
        return False
    return not frame.select(is_greater.slice(1).any()).item()


def in_key_order(frame: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """`frame` sorted by `keys`, nulls first; itself where it is sorted already."""
    return frame if is_in_order(frame, keys) else frame.sort(keys)

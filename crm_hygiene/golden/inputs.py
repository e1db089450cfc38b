"""What golden tables are made of, as far as a night compares it with the night before.

Frames are lazy: of a table that did not change nothing is read, of the others only the columns asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

KEYS = ["source", "record_id"]

# Two conformed rows that agree in these are equal: `content_hash` covers every other column.
_TOLD_BY = [*KEYS, "content_hash", "file", "row_number", "landed_at", "observed_at", "problems"]

#: A hash of all that tells one conformed row from another.
ROW_HASH = "row_hash"


@dataclass(frozen=True)
class Inputs:
    """Conformed and linked tables and stewards' words, as of one night.

    A table that is the same on two nights is the same object in the inputs of both.
    """

    people: pl.LazyFrame
    person_members: pl.LazyFrame
    organisations: pl.LazyFrame
    organisation_members: pl.LazyFrame
    interactions: pl.LazyFrame
    versions: pl.LazyFrame
    questions: pl.LazyFrame
    pins: pl.LazyFrame


def with_row_hash(records: pl.LazyFrame, columns: list[str]) -> pl.DataFrame:
    """`columns` of a conformed table, and `ROW_HASH`; what only that is made of is not held."""
    read = records.select(list(dict.fromkeys([*_TOLD_BY, *columns]))).collect()
    return read.select(*columns, read.select(_TOLD_BY).hash_rows(seed=0).alias(ROW_HASH))


def differing(then: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Rows that only one of two frames of the same columns has; by `ROW_HASH` where they have it."""
    if then is now:
        return now.clear()
    was, found = (
        frame[ROW_HASH] if ROW_HASH in frame.columns else frame.hash_rows(seed=0) for frame in (then, now)
    )
    return pl.concat([then.filter(~was.is_in(found.implode())), now.filter(~found.is_in(was.implode()))])

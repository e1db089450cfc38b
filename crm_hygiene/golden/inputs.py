"""What golden tables are made of, as far as a night compares it with the night before.

Frames are lazy: of a table that did not change nothing is read, of the others only the columns asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

KEYS = ["source", "record_id"]

# Two conformed rows that agree in these are equal: `content_hash` covers every other column.
TOLD_BY = [*KEYS, "content_hash", "file", "row_number", "landed_at", "observed_at", "problems"]


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


def differing(then: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Rows that only one of two frames of the same columns has."""
    if then is now:
        return now.clear()
    was, found = then.hash_rows(seed=0), now.hash_rows(seed=0)
    return pl.concat([then.filter(~was.is_in(found.implode())), now.filter(~found.is_in(was.implode()))])

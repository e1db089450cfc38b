"""Buckets of entities: what is held at once grows with a bucket, not with the table.

A bucket is a range of entity ids, so that rows built bucket by bucket come in the order of their ids. What
does not belong here: what is built of a bucket (`persons`, `firms`).
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from crm_hygiene.golden.inputs import KEYS
from crm_hygiene.revision import slices
from crm_hygiene.spill import PutBy, Spill

# Candidates, choices and golden rows of an entity took 5 KB at a million people; two buckets are in work at a
# time, the next being gathered while fields of the last are chosen, and what passes between them is copied.
_BYTES_OF_ENTITY = 16 * 1024

# Conformed rows read at once.
_READ_ROWS = 250_000


def entities_within(memory: int) -> int:
    """How many entities a bucket has that `memory` bytes are meant for."""
    return max(1, memory // _BYTES_OF_ENTITY)


def rows_of(records: pl.LazyFrame, members: pl.DataFrame) -> pl.LazyFrame:
    """The rows of a conformed table that are `members`."""
    return records.join(members.lazy().select(KEYS), on=KEYS, how="semi")


class Buckets:
    """Ranges of entity ids with about as many entities each; at least one, even of none."""

    def __init__(self, ids: pl.Series, size: int) -> None:
        """`ids` of entities, in any order; `size` is how many entities a bucket has."""
        self._bounds = ids.unique().sort().gather_every(size)[1:]

    def __len__(self) -> int:
        """Number of buckets."""
        return self._bounds.len() + 1

    def numbers(self, ids: pl.Series) -> pl.Series:
        """The bucket of every id, from 0; ids that were not there fall between their neighbours."""
        return self._bounds.search_sorted(ids, side="right").alias("_bucket")

    def split(self, frame: pl.DataFrame) -> list[pl.DataFrame]:
        """Rows of every bucket by their entity_id, in their order."""
        if len(self) == 1:
            return [frame]
        parts = frame.with_columns(self.numbers(frame["entity_id"])).partition_by(
            "_bucket", as_dict=True, include_key=False, maintain_order=True
        )
        return [parts.get((number,), frame.clear()) for number in range(len(self))]

    def records(self, records: pl.LazyFrame, members: pl.DataFrame) -> Iterator[pl.LazyFrame]:
        """Conformed rows of the members of every bucket, read once and put by on disk meanwhile."""
        if len(self) == 1:
            yield rows_of(records, members)
            return
        spill = Spill()
        put_by: list[list[PutBy]] = [[] for _ in range(len(self))]
        placed = members.select(*KEYS).with_columns(self.numbers(members["entity_id"]))
        for part in slices(records, _READ_ROWS):
            mine = part.collect().join(placed, on=KEYS, how="inner")
            for (number,), rows in mine.partition_by("_bucket", as_dict=True, include_key=False).items():
                put_by[number].append(spill.put(rows))
        none = records.clear().collect()
        while put_by:
            yield pl.concat([none, *(rows() for rows in put_by.pop(0))]).lazy()

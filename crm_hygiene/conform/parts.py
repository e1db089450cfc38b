"""Conform a large table in parts: memory grows with the part, not with the table.

Which landed rows stand, the newest of each record, is found from the few columns that tell; a mark per landed
row remembers it. Then the landing table is read once from front to end, a slice at a time, and of each slice
the rows that stand are conformed. What does not belong here: tables whose rows depend on other records' rows
(payments, lines that come with their document) or of which several rows of a record stand (statements), and
what becomes of a raw row (both `crm_hygiene.conform.build`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from crm_hygiene.conform.build import (
    TOGETHER_ROWS,
    conform_rows,
    conform_sources,
    feeding,
    is_snapshot,
    latest,
    raw_blocks,
)
from crm_hygiene.contract import Contract, contract_of
from crm_hygiene.landing import landing_contract
from crm_hygiene.mapping import Mapping
from crm_hygiene.night import Night
from crm_hygiene.progress import counted

#: Tables, by their bare names, whose rows depend on the landed rows of their own record, of which one stands.
SEPARABLE = frozenset(
    {
        "invoices",
        "interactions",
        "opportunities",
        "organisations",
        "people",
        "person_versions",
        "purchase_orders",
    }
)

# Tables of so many landed rows are held: one commit, no second look at which rows stand.
_HELD_ROWS = TOGETHER_ROWS

# Landed rows read at once: whole ones, and of their columns those that tell which stand.
_PART_ROWS = 250_000
_KEY_ROWS = 1_000_000

# Rows conformed at once: as typed columns, beside what reading them takes, they are many times their text.
_CONFORMED_ROWS = 100_000

# Rows of records told more than once that are compared at once.
_COMPARED_ROWS = 2_000_000

_POSITION = "_position"
_BLOCK = "_block"
_ORDER = ("record_id", "modified_at", "landed_at", "file", "row_number")

Marks = list["np.ndarray[Any, np.dtype[np.bool_]]"]
"""For each block of a mapping, which landed rows stand in it, by their position in the landing table."""


def is_streamed(night: Night, table: str) -> bool:
    """Whether a conformed table, by its bare name, is made in parts: one that can be and is not small."""
    if table not in SEPARABLE:
        return False
    landed = ((m, night.lake.statistics(f"landing.{m.source}")) for m in feeding(night, table))
    rows = sum(found.row_count * len(m.tables[table]) for m, found in landed if found is not None)
    return rows > _HELD_ROWS


def conform_parts(night: Night, table: str) -> Iterator[pl.DataFrame]:
    """The rows of `conform_table`, in parts.

    Parameters
    ----------
    table
        bare name, one of `SEPARABLE`.

    No two parts have rows of one record: of each record one landed row stands, and a landed row is in one
    part. So the key, source and record_id, is unique in the table where it is in every part.
    """
    contract = contract_of(f"conformed.{table}")
    yield from conform_sources_in_parts(
        night, contract, [(mapping, None) for mapping in feeding(night, table)]
    )


def conform_sources_in_parts(
    night: Night, contract: Contract, sources: Sequence[tuple[Mapping, pl.Series | None]]
) -> Iterator[pl.DataFrame]:
    """The rows of `conform_sources`, in parts that have no record in common; each source is named once."""
    table = contract.table.split(".")[1]
    # A few records are found faster by themselves than by reading everything.
    few = [(mapping, r) for mapping, r in sources if r is not None and r.len() <= _PART_ROWS]
    named = {mapping.source for mapping, _ in few}
    yield from conform_sources(night, contract, few)

    def standing() -> Iterator[tuple[Mapping, pl.DataFrame]]:
        for mapping, records in sources:
            if mapping.source not in named:
                told = f"{mapping.source}: rows to {table}"
                for rows in counted(_standing(night, mapping, table, records), told, unit="rows", size=len):
                    yield mapping, rows

    yield from conform_rows(contract, standing(), _CONFORMED_ROWS)


def _standing(
    night: Night, mapping: Mapping, table: str, records: pl.Series | None
) -> Iterator[pl.DataFrame]:
    """Raw rows of a source that stand, in the order they landed; `records` as of `conform_sources`."""
    landed = night.lake.scan(landing_contract(mapping))
    marks = _marks(landed, mapping, table, records)
    for blocks in _slices(landed, mapping, table, marks, _PART_ROWS):
        rows = [block.collect() for block in blocks]
        together = pl.concat(rows, how="diagonal") if len(rows) > 1 else rows[0]
        yield from together.iter_slices(_CONFORMED_ROWS)


def _slices(
    landed: pl.LazyFrame, mapping: Mapping, table: str, marks: Marks, size: int, also: tuple[str, ...] = ()
) -> Iterator[list[pl.LazyFrame]]:
    """Raw rows of the marked ones by block, `size` landed rows at a time; slices without any are not read."""
    for start in range(0, len(marks[0]), size):
        mine = [mark[start : start + size] for mark in marks]
        if not any(mark.any() for mark in mine):
            continue
        rows = landed.slice(start, size)
        if _POSITION in also:
            rows = rows.with_row_index(_POSITION, offset=start)
        asked = [rows if mark.all() else rows.filter(pl.lit(pl.Series(mark))) for mark in mine]
        yield raw_blocks(asked, mapping, table, also)


def _marks(landed: pl.LazyFrame, mapping: Mapping, table: str, records: pl.Series | None) -> Marks:
    """Which landed rows stand: of each record the newest one, and all rows without a record id."""
    count = landed.select(pl.len()).collect().item()
    stands = np.ones(count, dtype=bool)
    if is_snapshot(mapping, table) and count:
        at = landed.select("_landed_at").collect().to_series()
        stands = (at == at.max()).to_numpy()
    marks = [np.zeros(count, dtype=bool) for _ in mapping.tables[table]]
    named = [pl.DataFrame(schema={_POSITION: pl.UInt32, "hash": pl.UInt64, _BLOCK: pl.UInt32})]
    for blocks in _slices(landed, mapping, table, [stands] * len(marks), _KEY_ROWS, (_POSITION,)):
        for block, rows in enumerate(blocks):
            record = pl.col("record_id")
            if records is not None:
                rows = rows.filter(record.is_in(records.implode(), nulls_equal=True))
            # Of an id only its hash is kept: records that share one are compared needlessly, no more.
            told = rows.select(
                _POSITION, pl.when(record.is_not_null()).then(record.hash(seed=0)).alias("hash")
            )
            found = told.collect()
            marks[block][found[_POSITION].to_numpy()] = True
            named.append(found.drop_nulls().with_columns(pl.lit(block, dtype=pl.UInt32).alias(_BLOCK)))
    ids = pl.concat(named)
    named.clear()
    hashes = ids["hash"].sort()
    repeated = hashes.filter(hashes == hashes.shift(1)).unique()
    if repeated.len():
        _unmark_superseded(
            landed, mapping, table, marks, ids.filter(pl.col("hash").is_in(repeated.implode()))
        )
    return marks


def _unmark_superseded(
    landed: pl.LazyFrame, mapping: Mapping, table: str, marks: Marks, repeated: pl.DataFrame
) -> None:
    """Unmark all rows but the newest of each record.

    `repeated` are the rows of records that may have several: position, block and the hash of the id.
    """
    parts = -(-repeated.height // _COMPARED_ROWS)
    for part in range(parts):
        mine = repeated.filter(pl.col("hash") % parts == part)
        if mine.is_empty():
            continue
        asked = [np.zeros_like(mark) for mark in marks]
        for block, mark in enumerate(asked):
            mark[mine.filter(pl.col(_BLOCK) == block)[_POSITION].to_numpy()] = True
        told: list[pl.DataFrame] = []
        for blocks in _slices(landed, mapping, table, asked, _KEY_ROWS, (_POSITION,)):
            for block, rows in enumerate(blocks):
                found = rows.select(pl.col(c) for c in (*_ORDER, _POSITION) if c in rows.collect_schema())
                told.append(found.with_columns(pl.lit(block, dtype=pl.UInt32).alias(_BLOCK)).collect())
        newest = latest(pl.concat(told, how="diagonal"), mapping)
        for block, mark in enumerate(marks):
            mark &= ~asked[block]
            mark[newest.filter(pl.col(_BLOCK) == block)[_POSITION].to_numpy()] = True

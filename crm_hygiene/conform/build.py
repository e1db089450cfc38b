"""Build a conformed table from the landing tables of the sources that feed it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import polars as pl

from crm_hygiene.conform.bank_entries import IDENTITY, OPENING, bounded, canonical_entries, with_entry_keys
from crm_hygiene.conform.document_lines import DOCUMENT_OF, lines_of_latest
from crm_hygiene.conform.field_times import PREFIX, with_field_times
from crm_hygiene.conform.standard import plain, standardise_sources
from crm_hygiene.contract import Contract, contract_of
from crm_hygiene.garbage import collect_young
from crm_hygiene.landing import landing_column, landing_contract
from crm_hygiene.mapping import Mapping
from crm_hygiene.night import Night
from crm_hygiene.progress import tell
from crm_hygiene.salesforce_ids import expand_ids
from crm_hygiene.standardise import standardise_timestamps

# Where a row came from is no part of what it says.
_NOT_CONTENT = ("file", "row_number", "landed_at", "observed_at", "problems", "content_hash")

# When the source itself says that a row is of a time, the first of these that is filled.
OBSERVED_BY = (
    "modified_at",
    "occurred_at",
    "stated_at",
    "booked_date",
    "created_at",
    "issue_date",
    "order_date",
    "received_date",
    "payment_date",
    "reserved_at",
)

#: A row here is what somebody said, not what a record is: all of them stay, none is out of date.
STATEMENTS = "consents"

Refusals = pl.DataFrame
"""Landed rows that a gate refused, in the columns of `REFUSED_COLUMNS`."""

# An export often overwrites the file of the night before: only with the landing time is a row one row.
REFUSED_COLUMNS = ("source", "file", "landed_at", "row_number", "record_id")


def feeding(night: Night, table: str) -> list[Mapping]:
    """The mappings that feed a conformed table, by its bare name, in the order of their sources."""
    return [mapping for mapping in night.mappings.values() if table in mapping.tables]


def landed_rows(night: Night, mapping: Mapping, table: str) -> pl.LazyFrame:
    """The landed rows that a conformed table, by its bare name, is made from, as landing has them."""
    rows = night.lake.scan(landing_contract(mapping))
    if is_snapshot(mapping, table):
        rows = rows.filter(pl.col("_landed_at") == pl.col("_landed_at").max())
    return rows


def is_snapshot(mapping: Mapping, table: str) -> bool:
    """Whether only the newest landing of a source stands in a conformed table.

    What somebody said stays said, though a later snapshot does not repeat it.
    """
    return mapping.delivery == "snapshot" and table != STATEMENTS


def raw_rows(rows: pl.LazyFrame, mapping: Mapping, table: str) -> pl.LazyFrame:
    """Landed rows as raw text columns of a conformed table, those of all its blocks."""
    found = raw_blocks([rows] * len(mapping.tables[table]), mapping, table)
    return pl.concat(found, how="diagonal") if len(found) > 1 else found[0]


def raw_blocks(
    rows: list[pl.LazyFrame], mapping: Mapping, table: str, also: tuple[str, ...] = ()
) -> list[pl.LazyFrame]:
    """`raw_rows` by block: landed rows of each one, and their columns `also` as they are."""
    return [
        _raw(landed, _Block(mapping.source, mapping.fingerprint, table, n, mapping), also)
        for n, landed in enumerate(rows)
    ]


@dataclass(frozen=True)
class _Block:
    """One block of a mapping, the same as another of the same mapping's text."""

    source: str
    fingerprint: str
    table: str
    place: int
    mapping: Mapping = field(compare=False, repr=False)


def _raw(rows: pl.LazyFrame, block: _Block, also: tuple[str, ...]) -> pl.LazyFrame:
    """Landed rows of one block as raw text columns of the conformed table."""
    raw = _raw_columns(block)
    told = rows.rename(raw.names).with_columns(raw.said).filter(raw.is_told)
    return told.with_columns(raw.ids).select(*raw.columns, *also)


class _RawColumns(NamedTuple):
    """How landed columns become a table's raw ones."""

    names: dict[str, str]
    """The vendor's name of each landed column."""
    said: list[pl.Expr]
    """The vendor's columns without what the mapping calls null."""
    is_told: pl.Expr
    """Whether the block tells a row."""
    ids: list[pl.Expr]
    """Ids as they are before they are expanded, under names of their own."""
    columns: list[pl.Expr]
    """The raw columns themselves."""


@lru_cache(maxsize=512)
def _raw_columns(place: _Block) -> _RawColumns:
    """The raw columns of a block; a night asks several times for the same ones."""
    mapping, block = place.mapping, place.mapping.tables[place.table][place.place]
    vendor = {landing_column(name): name for name in mapping.vendor_columns}
    nulls = pl.lit(pl.Series(["", *mapping.nulls], dtype=pl.String).implode())
    said = [
        pl.when(pl.col(name).str.strip_chars().is_in(nulls)).then(None).otherwise(pl.col(name)).alias(name)
        for name in block.vendor_columns
    ]
    # Ids are cleaned before rows are compared: `42 ` and `42` are one record.
    columns = {
        name: plain(e) if name.endswith("record_id") else e
        for name, expression in block.columns.items()
        for e in [expression.to_polars()]
    }
    ids = []
    if mapping.system == "salesforce":
        for name in [name for name in columns if name.endswith(("record_id", "owner_id"))]:
            # A column of its own: what reads it twenty times would else work out the Python in it as often.
            ids.append(columns[name].alias(f"_short {name}"))
            columns[name] = expand_ids(pl.col(f"_short {name}"))
    known = set(contract_of(f"conformed.{block.table}").column_names)
    selected = [
        *(e.alias(name) for name, e in columns.items()),
        *(e.to_polars().alias(f"{PREFIX}{name}") for name, e in block.changed_at.items()),
        *(pl.col(c).alias(f"_{c}") for c in _identity(mapping, block.table)),
        pl.lit(mapping.source).alias("source"),
        *([pl.lit(mapping.object).alias("object")] if "object" in known and "object" not in columns else []),
        pl.col("_file").alias("file"),
        pl.col("_row_number").alias("row_number"),
        pl.col("_landed_at").alias("landed_at"),
    ]
    return _RawColumns(vendor, said, block.predicate(), ids, selected)


def tells_entries(mapping: Mapping, table: str) -> bool:
    """Whether the source gives the identity of bank entries, as all readers of bank formats do."""
    return table == "payments" and set(IDENTITY) <= set(mapping.vendor_columns)


def _identity(mapping: Mapping, table: str) -> list[str]:
    """Landing columns that only tell which bank entry a row is of."""
    if not tells_entries(mapping, table):
        return []
    return [*IDENTITY, *(name for name in (OPENING,) if name in mapping.vendor_columns)]


def latest(frame: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """The newest row of each record: by the source's own change time, then by landing, file, row and block.

    Rows without a record id cannot be told apart and all stay, for the gate to refuse.
    """
    # Most records are told once: only the others are compared.
    repeated = frame["record_id"].is_not_null() & frame["record_id"].is_duplicated()
    if not repeated.any():
        return frame
    order = ["_modified", "landed_at", "file", "row_number"]
    newest = (
        _with_modified(frame.filter(repeated), mapping)
        .sort(order, nulls_last=False, maintain_order=True)
        .unique("record_id", keep="last", maintain_order=True)
        .drop("_modified")
    )
    return pl.concat([frame.filter(~repeated), newest])


def _with_modified(frame: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Add `_modified`: the change time as a source states it, null where it states none that can be read."""
    if "modified_at" not in frame.columns:
        return frame.with_columns(_modified=pl.lit(None, dtype=pl.Datetime("us", "UTC")))
    times = standardise_timestamps(frame.select(raw="modified_at"), day_first=mapping.day_first)
    return frame.with_columns(times["timestamp"].alias("_modified"))


def _still_told(night: Night, rows: pl.DataFrame, mapping: Mapping, table: str) -> pl.DataFrame:
    """Without the lines that a document sent again has no more."""
    told, document = DOCUMENT_OF.get(table, ("", ""))
    if told not in mapping.tables:
        return rows
    documents = raw_rows(landed_rows(night, mapping, told), mapping, told)
    return lines_of_latest(rows, documents.select("record_id", "landed_at", "file").collect(), document)


def _first_said(frame: pl.DataFrame) -> pl.DataFrame:
    """Each statement once, as it landed first; what a later export repeats is nothing new."""
    order = ["landed_at", "file", "row_number"]
    named = frame.filter(pl.col("record_id").is_not_null()).sort(order)
    first = named.unique(["source", "record_id", "content_hash"], keep="first", maintain_order=True)
    return pl.concat([first, frame.filter(pl.col("record_id").is_null())])


def of_records(rows: pl.LazyFrame, mapping: Mapping, table: str, records: pl.Series) -> pl.LazyFrame:
    """The landed rows of some records, and perhaps a few more; a null stands for rows without an id.

    Which rows these are is read from the columns that make an id; only then are whole rows read.
    """
    found = (
        raw_rows(rows, mapping, table)
        .select("record_id", "landed_at", "row_number")
        .filter(pl.col("record_id").is_in(records.implode(), nulls_equal=True))
        .collect()
    )
    return rows.filter(
        pl.col("_row_number").is_in(found["row_number"].unique().implode())
        & pl.col("_landed_at").is_in(found["landed_at"].unique().implode())
    )


def _raw_of(
    night: Night, mapping: Mapping, table: str, refused: Refusals | None, records: pl.Series | None
) -> pl.DataFrame | None:
    """Raw rows of a source, None if there are none; the parameters are those of `conform_sources`."""
    if refused is not None:
        # Only the records whose newest row was refused are looked at again, without those rows.
        mine = refused.filter(pl.col("source") == mapping.source)
        if mine["record_id"].is_null().all():
            return None
        records = mine["record_id"].drop_nulls().unique()
    rows = landed_rows(night, mapping, table)
    if records is None:
        raw = raw_rows(rows, mapping, table).collect()
    else:
        rows = of_records(rows, mapping, table, records)
        raw = raw_rows(rows, mapping, table).collect()
        raw = raw.filter(pl.col("record_id").is_in(records.implode(), nulls_equal=True))
    if refused is not None:
        raw = raw.join(mine, on=["file", "landed_at", "row_number", "record_id"], how="anti")
    return raw if raw.height else None


def conform_sources(
    night: Night,
    contract: Contract,
    sources: Iterable[tuple[Mapping, pl.Series | None]],
    refused: Refusals | None = None,
) -> Iterator[pl.DataFrame]:
    """Rows of a conformed table from some sources, several small sources in one frame.

    Parameters
    ----------
    sources
        mapping, and ids of the only records to conform, null for rows without one; None: all.
    refused
        see `conform_table`.
    """
    table = contract.table.split(".")[1]

    def standing() -> Iterator[tuple[Mapping, pl.DataFrame]]:
        for mapping, records in sources:
            raw = _raw_of(night, mapping, table, refused, records)
            if raw is not None:
                yield mapping, _standing(night, mapping, table, raw, whole=refused is None)

    yield from conform_rows(contract, standing())


#: What is read together shares its values and the fixed cost of reading; it is in memory together, too.
TOGETHER_ROWS = 250_000


def conform_rows(
    contract: Contract, standing: Iterable[tuple[Mapping, pl.DataFrame]], together: int = TOGETHER_ROWS
) -> Iterator[pl.DataFrame]:
    """Raw rows that stand, by source, as rows of the table; fewer than `together` wait for more."""
    held: list[tuple[Mapping, pl.DataFrame]] = []
    for mapping, rows in standing:
        held.append((mapping, rows))
        if sum(part.height for _, part in held) >= together:
            conformed = _conformed(contract, held)
            # phonenumbers keeps its exceptions, and they the rows of whoever called it.
            collect_young()
            yield conformed
            held = []
    if held:
        yield _conformed(contract, held)


_TOLD_ROWS = 20_000
"""A source of so many rows takes long enough to be told of."""


def _standing(night: Night, mapping: Mapping, table: str, raw: pl.DataFrame, whole: bool) -> pl.DataFrame:
    """The raw rows that stand; `whole` unless a document's newest telling was refused."""
    if raw.height >= _TOLD_ROWS:
        tell(f"{mapping.source}: {raw.height:,} rows to {table}")
    if table == STATEMENTS:
        rows = raw
    elif tells_entries(mapping, table):
        rows = canonical_entries(raw)
    else:
        rows = latest(_still_told(night, raw, mapping, table) if whole else raw, mapping)
    return bounded(with_entry_keys(rows)) if table == "payments" else rows


def _conformed(contract: Contract, held: list[tuple[Mapping, pl.DataFrame]]) -> pl.DataFrame:
    """Raw rows that stand, by source, as rows of the table."""
    read = standardise_sources(held, contract)
    parts = [
        with_field_times(frame, rows, mapping) for frame, (mapping, rows) in zip(read, held, strict=True)
    ]
    held.clear()
    names = contract.column_names
    # Columns that only helped to standardise (a country, to read a phone) are not the table's.
    frame = pl.concat([part.select(c for c in part.columns if c in names) for part in parts], how="diagonal")
    stated = [pl.col(c).cast(pl.Datetime("us", "UTC")) for c in OBSERVED_BY if c in frame.columns]
    frame = frame.with_columns(
        # A change time after the landing is a wrong clock; it must not win by being in the future.
        observed_at=pl.min_horizontal(pl.coalesce(*stated, pl.col("landed_at")), pl.col("landed_at"))
    )
    if "is_deleted" in names:
        deleted = pl.col("is_deleted").fill_null(False) if "is_deleted" in frame.columns else pl.lit(False)
        frame = frame.with_columns(is_deleted=deleted)
    frame = contract.shape(frame.select(c for c in frame.columns if c in names))
    content = frame.select(c for c in frame.columns if c not in _NOT_CONTENT)
    frame = frame.with_columns(content_hash=content.hash_rows(seed=0).cast(pl.String))
    return _first_said(frame) if contract.table == f"conformed.{STATEMENTS}" else frame


def conform_table(night: Night, table: str, refused: Refusals | None = None) -> pl.DataFrame:
    """All rows of a conformed table, one per key.

    Parameters
    ----------
    table
        bare name: `people`, `organisations`, ...
    refused
        landed rows that a gate refused; given, only the records they belong to are conformed, from
        the newest of their other rows.

    Returns
    -------
    a frame of the contract `conformed.<table>`; of consents every distinct statement of a record.
    """
    contract = contract_of(f"conformed.{table}")
    if refused is not None and table == STATEMENTS:
        return contract.empty()  # no statement stands in for another one
    sources = ((mapping, None) for mapping in feeding(night, table))
    return pl.concat([contract.empty(), *conform_sources(night, contract, sources, refused)])

"""Selection: a few records of the lake, prepared exactly as a night sees all of them.

What is generic depends on the whole table and is as the last night found it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.comparable import comparable, with_block_columns
from crm_hygiene.linkage.connection import connection
from crm_hygiene.linkage.generic_values import without_generic
from crm_hygiene.linkage.records import NOUNS, TABLES, Record, live_records, written
from crm_hygiene.linkage.settings import EntityKind, LinkageSettings
from crm_hygiene.linkage.store import load_generic
from crm_hygiene.night import Night


class UnknownRecord(ConfigurationError):  # noqa: N818 - named as what it is about
    """A record that linkage does not look at: there is none of that id, or it is deleted or refused."""


@dataclass(frozen=True)
class Selection:
    """Records prepared for comparing.

    Attributes
    ----------
    conformed
        `source`, `record_id` and the conformed columns that linkage reads, one row per record, sorted.
    stated
        comparable columns, generic values still in them, with `unique_id` by (source, record_id).
    frame
        the same without generic values, with block columns: what is compared.
    generic
        `family`, `value`, `record_count` of all generic values of the kind.
    """

    conformed: pl.DataFrame
    stated: pl.DataFrame
    frame: pl.DataFrame
    generic: pl.DataFrame

    def number_of(self) -> dict[Record, int]:
        """`unique_id` by record."""
        rows = self.frame.select("source", "record_id", "unique_id").iter_rows()
        return {(source, record_id): number for source, record_id, number in rows}


def find_records(
    night: Night, kind: EntityKind, records: Sequence[Record], settings: LinkageSettings
) -> pl.DataFrame:
    """The conformed rows of some records, sorted: `source`, `record_id` and what linkage reads.

    Raises
    ------
    UnknownRecord
        if one is not in the conformed table, or is deleted there.
    """
    wanted = pl.DataFrame(
        sorted(set(records)), schema={"source": pl.String, "record_id": pl.String}, orient="row"
    )
    possible = (
        live_records(night.lake, kind)
        .drop("landed_at")
        .filter(
            pl.col("source").is_in(wanted["source"].implode())
            & pl.col("record_id").is_in(wanted["record_id"].implode())
        )
    )
    conformed = (
        possible.collect().join(wanted, on=["source", "record_id"], how="semi").sort("source", "record_id")
    )
    missing = wanted.join(conformed, on=["source", "record_id"], how="anti")
    if not missing.is_empty():
        raise UnknownRecord(_why_unknown(night, kind, missing.row(0), settings))
    return conformed


def select_records(
    night: Night, kind: EntityKind, records: Sequence[Record], settings: LinkageSettings
) -> Selection:
    """Prepare some records of the lake as the night sees them.

    Raises
    ------
    UnknownRecord
        if one is not in the conformed table, or is deleted there.
    """
    conformed = find_records(night, kind, records, settings)
    stated = comparable(kind, conformed)
    generic = load_generic(night.lake, kind)
    frame = with_block_columns(kind, without_generic(kind, stated, generic))
    return Selection(conformed, stated, frame, generic)


def similar_ids(ids: pl.DataFrame, wanted: str, settings: LinkageSettings, limit: int = 3) -> list[str]:
    """The ids (first column of `ids`) that look most like `wanted`, best first."""
    if ids.is_empty():
        return []
    column = ids.columns[0]
    with connection(settings) as con:
        con.register("ids", ids.select(pl.col(column).alias("id")).unique().to_arrow())
        found = con.execute(
            "SELECT id FROM ids ORDER BY jaro_winkler_similarity(id, ?) DESC, id LIMIT ?", [wanted, limit]
        ).fetchall()
    return [str(row[0]) for row in found]


def _why_unknown(night: Night, kind: EntityKind, record: Record, settings: LinkageSettings) -> str:
    source, record_id = record
    noun = NOUNS[kind][0]
    table = night.lake.scan(contract_of(TABLES[kind]))
    at = (pl.col("source") == source) & (pl.col("record_id") == record_id)
    if not table.filter(at).select("record_id").collect().is_empty():
        return f"{written(record)} is deleted in its source: the night no longer compares it with anything"
    refused = night.lake.scan(contract_of("quality.quarantine")).filter(
        at & (pl.col("table_name") == TABLES[kind])
    )
    reasons = refused.select("reasons").collect()["reasons"].explode().drop_nulls().unique().sort().to_list()
    if reasons:
        return f"{written(record)} was refused and is in quality.quarantine: {'; '.join(reasons)}"
    sources = table.select("source").unique().collect()["source"].sort().to_list()
    if source not in sources:
        known = f"there are {', '.join(sources)}" if sources else "the lake has none at all"
        return f"no {noun} records of a source '{source}'{nearest(source, sources)}; {known}"
    ids = table.filter(pl.col("source") == source).select("record_id").collect()
    likely = similar_ids(ids, record_id, settings)
    return f"no {noun} record {written(record)}; the ids most like it: {', '.join(likely)}"

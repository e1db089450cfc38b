"""Selection: a few records of the lake, prepared exactly as a night sees all of them.

What is generic depends on the whole table. Of people, as a rule only the records are read that hold the
values concerned; where a name among them may be no name, and for organisations, all are prepared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.comparable import comparable, read_columns, with_block_columns
from crm_hygiene.linkage.connection import connection
from crm_hygiene.linkage.generic_names import generic_names
from crm_hygiene.linkage.generic_values import FAMILIES, IDENTIFYING, generic_values, without_generic
from crm_hygiene.linkage.preparation import prepare
from crm_hygiene.linkage.settings import EntityKind, LinkageSettings
from crm_hygiene.night import Night

Record = tuple[str, str]  # (source, record_id)

TABLES: dict[EntityKind, str] = {"person": "conformed.people", "organisation": "conformed.organisations"}
NOUNS: dict[EntityKind, tuple[str, str]] = {
    "person": ("person", "people"),
    "organisation": ("organisation", "organisations"),
}


# Conformed columns of people from which the values come that can be generic.
_HOLDING = ("email", "email_normalised", "phone", "mobile_phone", "tax_id", "tax_id_stated")
_NAMING = ("given_name", "family_name", "full_name")


class UnknownRecord(ConfigurationError):  # noqa: N818 - named as what it is about
    """A record that linkage does not look at: there is none of that id, or it is deleted or refused."""


def written(record: Record) -> str:
    """A record as people write it: `source:record_id`."""
    return f"{record[0]}:{record[1]}"


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
        `family`, `value`, `record_count` of generic values, at least of those among the records.
    """

    conformed: pl.DataFrame
    stated: pl.DataFrame
    frame: pl.DataFrame
    generic: pl.DataFrame

    def number_of(self) -> dict[Record, int]:
        """`unique_id` by record."""
        rows = self.frame.select("source", "record_id", "unique_id").iter_rows()
        return {(source, record_id): number for source, record_id, number in rows}


def _live(night: Night, kind: EntityKind) -> pl.LazyFrame:
    contract = contract_of(TABLES[kind])
    rows = night.lake.scan(contract).filter(~pl.col("is_deleted"))
    return rows.select(read_columns(kind, contract.column_names))


def _bare(column: pl.Expr) -> pl.Expr:
    """Upper case letters and digits only: two values that compare equal have one bare form."""
    return column.str.to_uppercase().str.replace_all(r"[^\p{L}\p{N}]+", "")


def _holders(rows: pl.LazyFrame, values: Iterable[str]) -> pl.DataFrame:
    """Every row that may hold one of the values; some hold none."""
    bare = pl.DataFrame({"value": list(values)}, schema={"value": pl.String}).select(_bare(pl.col("value")))
    wanted = bare["value"].implode()
    held = (_bare(pl.col(c)).is_in(wanted).fill_null(False) for c in _HOLDING)
    return rows.filter(pl.any_horizontal(held)).collect()


def _may_be_generic(rows: pl.LazyFrame, frames: Sequence[pl.DataFrame], settings: LinkageSettings) -> bool:
    """Whether a name in `frames` is generic by all that names alone can tell."""
    # Folding is what costs: each way of writing a name is folded once, then counted as often as it stands.
    spelled = rows.select(*_NAMING).collect().group_by(_NAMING).len("bearers").with_row_index("record_id")
    distinct = spelled.with_columns(pl.col("record_id").cast(pl.String), source=pl.lit(""))
    folded = comparable("person", distinct).join(distinct.select("record_id", "bearers"), on="record_id")
    times = folded.select(pl.int_range(pl.len()).repeat_by("bearers").explode())
    everybody = folded.select(pl.all().gather(times.to_series()))
    lenient = settings.model_copy(update={"generic_name_contacts": 0})
    names = generic_names("person", everybody, lenient).select(name_sort="value")
    held = pl.concat([frame.select("name_sort") for frame in frames]).drop_nulls()
    return not held.join(names, on="name_sort", how="semi").is_empty()


def _generic_people(
    stated: pl.DataFrame, rows: pl.LazyFrame, settings: LinkageSettings
) -> pl.DataFrame | None:
    """Generic values of the whole table of people, of those in `stated`; None: only all records can tell."""
    held = pl.concat(
        stated.select(family=pl.lit(FAMILIES.get(c, c)), value=pl.col(c)).drop_nulls()
        for c in IDENTIFYING["person"]
    ).unique()
    holders = comparable("person", _holders(rows, held["value"].unique().sort()))
    if _may_be_generic(rows, [stated, holders], settings):
        return None
    return generic_values("person", holders, settings).join(held, on=["family", "value"], how="semi")


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
    possible = _live(night, kind).filter(
        pl.col("source").is_in(wanted["source"].implode())
        & pl.col("record_id").is_in(wanted["record_id"].implode())
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
    rows = _live(night, kind)
    stated = comparable(kind, conformed)
    generic = _generic_people(stated, rows, settings) if kind == "person" else None
    if generic is not None:
        return Selection(
            conformed, stated, with_block_columns(kind, without_generic(kind, stated, generic)), generic
        )
    # Of organisations, blocking knows the rarest word of all names: only all of them can tell.
    whole = prepare(kind, rows.collect(), settings)
    frame = whole.frame.join(conformed, on=["source", "record_id"], how="semi", maintain_order="left")
    return Selection(conformed, stated, frame, whole.generic)


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

"""A plan at a glance: counts per kind and field, samples, and values that a bystander may see."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from crm_hygiene.contract import contract_of, load_glossary
from crm_hygiene.revision import slices
from crm_hygiene.writeback.mapped_object import MappedObject

#: Kinds in the order in which they are told, the heaviest to take back first.
KINDS = ("merge", "reparent", "create", "posting", "owner", "link", "update", "suppress")
_ORDER = {kind: place for place, kind in enumerate(KINDS)}

_MAIL = re.compile(r"^(.)[^@]*(@.+)$")
_NUMBER = re.compile(r"^\+?[0-9][0-9 ./()-]{5,}$")

# What a plan is counted by: a field of an object in a target, and what is done to it.
_FIELD = ("target", "object", "change_kind", "column_name")
_TOLD_BY = ("change_id", *_FIELD, "record_id", "confidence")

# Rows of a plan held at a time.
_ROWS = 500_000


@dataclass(frozen=True)
class Overview:
    """What a plan says of itself.

    Attributes
    ----------
    counts
        per target, object, change_kind and column_name: changes, records, least_confidence; sorted.
    least_sure
        change_id, target, object, change_kind, column_name, record_id, confidence: of each field the
        changes among which `samples` chooses.
    touched
        records of each target that the whole plan touches.
    """

    counts: pl.DataFrame
    least_sure: pl.DataFrame
    touched: dict[str, int]

    def only(self, is_wanted: pl.Expr) -> Overview:
        """The fields that are wanted; `touched` stays that of the whole plan."""
        return replace(
            self, counts=self.counts.filter(is_wanted), least_sure=self.least_sure.filter(is_wanted)
        )

    @property
    def changes(self) -> int:
        """How many changes there are."""
        return int(self.counts["changes"].sum())


def overview_of(changes: pl.LazyFrame, per_kind: int) -> Overview:
    """What rows of writeback.changes say, with enough of them for `per_kind` samples of a target and kind.

    They are read some at a time. Records are told apart by hashes of 64 bits: of millions of changes 8
    bytes each are held at the end, and among ten million records two are taken for one in fewer than one of
    100,000 plans.
    """
    least = contract_of("writeback.changes").empty().select(_TOLD_BY)
    parts = [_counted(least)]
    for part in slices(changes.select(_TOLD_BY), _ROWS):
        rows = part.collect()
        parts.append(_counted(rows))
        least = _least_sure(pl.concat([least, rows]), per_kind)
    counted = pl.concat(parts)
    records = pl.col("records").explode().n_unique()
    counts = counted.group_by(_FIELD).agg(pl.col("changes").sum(), records, pl.col("least_confidence").min())
    place = pl.col("change_kind").replace_strict(_ORDER, default=len(_ORDER))
    touched = (
        counted.group_by("target", "object").agg(records).group_by("target").agg(pl.col("records").sum())
    )
    return Overview(
        counts.sort("target", place, "object", "column_name"), least, dict(touched.sort("target").iter_rows())
    )


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    """Per field: changes, records (a list of their hashes, each once), least_confidence."""
    return rows.group_by(_FIELD).agg(
        pl.len().cast(pl.Int64).alias("changes"),
        pl.col("record_id").hash().unique().alias("records"),
        pl.col("confidence").min().alias("least_confidence"),
    )


def _least_sure(rows: pl.DataFrame, count: int) -> pl.DataFrame:
    """Up to `count` rows of each field, the least sure."""
    least = (
        rows.with_row_index("_row")
        .group_by(_FIELD)
        .agg(pl.col("_row").bottom_k_by(["confidence", "change_id"], count))
    )
    return rows[least["_row"].explode()]


def samples(rows: pl.DataFrame, per_kind: int) -> pl.DataFrame:
    """Up to `per_kind` rows of each target and kind, the least sure first, of as many fields as can be."""
    group = ["target", "change_kind"]
    doubtful = _least_sure(rows, per_kind).sort("confidence", "change_id")
    nth = pl.int_range(pl.len()).over(_FIELD)
    mixed = doubtful.with_columns(nth.alias("_nth")).sort("_nth", "confidence", "change_id").drop("_nth")
    place = pl.col("change_kind").replace_strict(_ORDER, default=len(_ORDER))
    return mixed.filter(pl.int_range(pl.len()).over(group) < per_kind).sort(
        "target", place, "object", "column_name", "confidence", "change_id"
    )


def whole_rows(changes: pl.LazyFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """The rows of writeback.changes that were chosen, in the order of `chosen`."""
    rows = changes.filter(pl.col("change_id").is_in(chosen["change_id"].implode())).collect()
    return chosen.select("change_id").join(rows, on="change_id", how="left", maintain_order="left")


def masked(value: str | None) -> str | None:
    """A personal value as a bystander may see it: its first letter, a mailbox's domain, a number's end."""
    if value is None:
        return None
    if mail := _MAIL.match(value):
        return f"{mail[1]}•••{mail[2]}"
    if _NUMBER.match(value):
        return f"{value[:3]}•••{value[-2:]}"
    return f"{value[0]}•••" if len(value) > 1 else "•"


def with_masks(plan: pl.DataFrame, objects: Sequence[MappedObject]) -> pl.DataFrame:
    """`plan` with personal values masked: fields whose column the glossary calls personal (`pii`).

    Ids, owners, links, flags and postings are shown as they are; a field that no mapping knows is masked.
    """
    glossary = load_glossary()
    plain = {
        (m.target, m.object, field)
        for m in objects
        for column, field in m.columns.items()
        if column in glossary and not glossary[column].pii
    }
    held = ["update", "create"]
    what = ["target", "object", "column_name"]
    open_fields = pl.DataFrame(sorted(plain), schema=dict.fromkeys(what, pl.String), orient="row")
    marked = plan.join(open_fields.with_columns(_open=True), on=what, how="left", maintain_order="left")
    is_ours = pl.col("after") == pl.col("entity_id")
    hide = pl.col("change_kind").is_in(held) & pl.col("_open").is_null() & ~is_ours.fill_null(value=False)
    return marked.with_columns(
        pl.when(hide).then(pl.col(c).map_elements(masked, return_dtype=pl.String)).otherwise(c).alias(c)
        for c in ("before", "after")
    ).drop("_open")

"""A plan at a glance: counts per kind and field, samples, and values that a bystander may see."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from crm_hygiene.contract import load_glossary
from crm_hygiene.writeback.mapped_object import MappedObject

#: Kinds in the order in which they are told, the heaviest to take back first.
KINDS = ("merge", "reparent", "create", "posting", "owner", "link", "update", "suppress")

_MAIL = re.compile(r"^(.)[^@]*(@.+)$")
_NUMBER = re.compile(r"^\+?[0-9][0-9 ./()-]{5,}$")


#: Columns of writeback.changes that `counts` and `samples` look at.
TOLD_BY = ["change_id", "target", "object", "change_kind", "column_name", "record_id", "confidence"]


def counts(plan: pl.DataFrame) -> pl.DataFrame:
    """Per target, object, change_kind and column_name: changes, records, least_confidence."""
    order = {kind: place for place, kind in enumerate(KINDS)}
    keys = ["target", "object", "change_kind", "column_name"]
    counted = plan.group_by(keys).agg(
        pl.len().alias("changes"),
        pl.col("record_id").n_unique().alias("records"),
        pl.col("confidence").min().alias("least_confidence"),
    )
    place = pl.col("change_kind").replace_strict(order, default=len(order))
    return counted.sort("target", place, "object", "column_name")


def samples(plan: pl.DataFrame, per_kind: int) -> pl.DataFrame:
    """Up to `per_kind` rows of each target and kind, the least sure first, of as many fields as can be."""
    order = {kind: place for place, kind in enumerate(KINDS)}
    group = ["target", "change_kind"]
    field = ["target", "object", "change_kind", "column_name"]
    # No more of a field can be shown: millions of others need not be put in order.
    least = (
        plan.with_row_index("_row")
        .group_by(field)
        .agg(pl.col("_row").bottom_k_by(["confidence", "change_id"], per_kind))
    )
    doubtful = plan[least["_row"].explode()].sort("confidence", "change_id")
    nth = pl.int_range(pl.len()).over(field)
    mixed = doubtful.with_columns(nth.alias("_nth")).sort("_nth", "confidence", "change_id").drop("_nth")
    place = pl.col("change_kind").replace_strict(order, default=len(order))
    return mixed.filter(pl.int_range(pl.len()).over(group) < per_kind).sort(
        "target", place, "object", "column_name", "confidence", "change_id"
    )


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

"""Stakes: what hangs on who an entity is, counted from all that refers to its records."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from crm_hygiene.golden.references import resolve
from crm_hygiene.linkage.settings import EntityKind

# Table and foreign key of what refers to people and to organisations.
REFERRING: dict[EntityKind, tuple[tuple[str, str], ...]] = {
    "person": (
        ("conformed.interactions", "person_record_id"),
        ("conformed.opportunities", "person_record_id"),
    ),
    "organisation": (
        ("conformed.interactions", "organisation_record_id"),
        ("conformed.opportunities", "organisation_record_id"),
        ("conformed.invoices", "customer_record_id"),
    ),
}


def count_references(rows: pl.LazyFrame, column: str) -> pl.DataFrame:
    """`source`, `column`, `n`: how many rows that are not deleted carry each foreign key."""
    if "is_deleted" in rows.collect_schema().names():
        rows = rows.filter(~pl.col("is_deleted"))
    return (
        rows.filter(pl.col(column).is_not_null())
        .group_by("source", column)
        .agg(pl.len().cast(pl.Int64).alias("n"))
        .collect()
    )


def stakes(
    members: pl.DataFrame, counted: Mapping[tuple[str, str], pl.DataFrame], systems: Mapping[str, str]
) -> pl.DataFrame:
    """What hangs on each entity: its records, and the rows that refer to them.

    Parameters
    ----------
    members
        `source`, `record_id`, `entity_id` of one kind of entity.
    counted
        `count_references` by table and foreign key; each interaction, opportunity and invoice
        counts one.
    systems
        vendor system by source: a foreign key names a record of the same system.

    Returns
    -------
    polars.DataFrame
        `entity_id`, `stake` (a count, as float), sorted.
    """
    parts = [members.select("entity_id", n=pl.lit(1, dtype=pl.Int64))]
    for (_, column), rows in sorted(counted.items(), key=lambda item: item[0]):
        found = resolve(rows, column, members, systems, "entity_id")
        parts.append(found.filter(pl.col("entity_id").is_not_null()).select("entity_id", "n"))
    return (
        pl.concat(parts)
        .group_by("entity_id")
        .agg(pl.col("n").sum().cast(pl.Float64).alias("stake"))
        .sort("entity_id")
    )

"""Foreign keys between records: a key names a record in another source of the same system.

Only finding the entity behind a key belongs here.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl


def with_system(frame: pl.DataFrame, systems: Mapping[str, str]) -> pl.DataFrame:
    """Add `system`, the vendor of the row's source; a source without one is its own system."""
    return frame.with_columns(system=pl.col("source").replace(dict(systems)))


def resolve(
    referring: pl.DataFrame,
    column: str,
    members: pl.DataFrame,
    systems: Mapping[str, str],
    name: str,
) -> pl.DataFrame:
    """Add `name`: the entity that the foreign key `column` of `referring` points at, or null.

    `members` (source, record_id, entity_id, an id or a number) are the records of the table the key speaks
    of, so an id that also exists in another table of the system does no harm. Where two of its sources
    hold the id, the referring row's own source goes first, then the first source by name.
    """
    if referring[column].null_count() == referring.height:
        return referring.with_columns(pl.lit(None, dtype=members.schema["entity_id"]).alias(name))
    # Only the records that are pointed at: there may be few of them among very many.
    meant = referring.select(record_id=column).drop_nulls().unique()
    pointed_at = members.select("source", "record_id", "entity_id").join(meant, on="record_id", how="semi")
    keyed = with_system(pointed_at, systems).sort("source", "record_id")
    first = keyed.unique(["system", "record_id"], keep="first", maintain_order=True).select(
        "system", pl.col("record_id").alias(column), pl.col("entity_id").alias("_first")
    )
    own = keyed.select("source", pl.col("record_id").alias(column), pl.col("entity_id").alias("_own"))
    joined = with_system(referring, systems)
    joined = joined.join(first, on=["system", column], how="left", maintain_order="left")
    joined = joined.join(own.unique(), on=["source", column], how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("_own", "_first").alias(name)).drop("_own", "_first", "system")


def unambiguous(frame: pl.DataFrame, column: str, name: str) -> pl.DataFrame:
    """Values of `column` that belong to exactly one entity_id: (column, name)."""
    return (
        frame.select(column, "entity_id")
        .drop_nulls()
        .unique()
        .group_by(column)
        .agg(pl.col("entity_id").first().alias(name), pl.len().alias("_entities"))
        .filter(pl.col("_entities") == 1)
        .drop("_entities")
    )

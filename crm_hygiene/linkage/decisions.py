"""Decisions: which of the stewards' judgements bind, pair by pair.

What does not belong here: what a binding judgement does to clusters (`clustering`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.linkage.settings import EntityKind


def binding(kind: EntityKind, decisions: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """The latest judgement that binds per pair of live records: `l` < `r`, `judgement`."""
    empty = pl.DataFrame(schema={"l": pl.Int64, "r": pl.Int64, "judgement": pl.String})
    if decisions.is_empty():
        return empty
    ids = records.select("source", "record_id", "unique_id")
    found = (
        decisions.filter(
            (pl.col("entity_kind") == kind)
            & pl.col("revokes").is_null()
            & ~pl.col("decision_id").is_in(decisions["revokes"].drop_nulls().implode())
        )
        .join(ids, left_on=["source_l", "record_id_l"], right_on=["source", "record_id"])
        .rename({"unique_id": "a"})
        .join(ids, left_on=["source_r", "record_id_r"], right_on=["source", "record_id"])
        .rename({"unique_id": "b"})
        .filter(pl.col("a") != pl.col("b"))
    )
    if found.is_empty():
        return empty
    return (
        found.with_columns(l=pl.min_horizontal("a", "b"), r=pl.max_horizontal("a", "b"))
        .sort("decided_at", "decision_id")
        .unique(["l", "r"], keep="last", maintain_order=True)
        .select("l", "r", "judgement")
        .sort("l", "r")
    )

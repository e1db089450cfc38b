"""Every value an entity has of a kind: its e-mail addresses, its numbers, its domains.

Lists are unions, not choices: nothing survives here and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from crm_hygiene.survivorship.candidates import Candidates


def union_of(candidates: Candidates, columns: Sequence[str]) -> pl.Series:
    """Distinct values of `columns` per entity, sorted, in the order of entities; empty list for none."""
    stated = pl.concat(candidates.records.select("entity", pl.col(c).alias("value")) for c in columns)
    return sorted_lists(stated, candidates.entities.len())


def sorted_lists(stated: pl.DataFrame, entities: int) -> pl.Series:
    """Lists from (entity, value) rows; nulls are left out."""
    everyone = pl.DataFrame({"entity": pl.Series(range(entities), dtype=pl.UInt32)})
    lists = (
        stated.drop_nulls()
        .unique()
        .sort("entity", "value")
        .group_by("entity", maintain_order=True)
        .agg("value")
    )
    return (
        everyone.join(lists, on="entity", how="left", maintain_order="left")
        .select(pl.col("value").fill_null(pl.lit([], dtype=pl.List(pl.String))))
        .to_series()
    )

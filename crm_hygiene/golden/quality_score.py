"""Quality of a golden row: four parts between 0 and 1, and their mean.

completeness = filled important columns / important columns
validity     = records without a problem / records
freshness    = 0.5 ** (days from last_seen_at to as_of / half-life)
consistency  = fields on which all records that state one agree / fields that some record states;
               1 where none does. A group counts as one field.
quality      = (completeness + validity + freshness + consistency) / 4

Every part and the mean are rounded to 4 places; the mean is taken of the rounded parts, so that
anyone can check it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from crm_hygiene.survivorship.candidates import Candidates
from crm_hygiene.survivorship.choose import Choice
from crm_hygiene.survivorship.rules import TableRules
from crm_hygiene.survivorship.trust import decayed

PARTS = ["completeness_score", "validity_score", "freshness_score", "consistency_score"]


def summarise_records(candidates: Candidates) -> pl.DataFrame:
    """Per entity, in the order of entities: entity, counts, first and last seen, validity_score."""
    return (
        candidates.records.lazy()
        .group_by("entity", maintain_order=True)
        .agg(
            record_count=pl.len().cast(pl.Int64),
            source_count=pl.col("source").n_unique().cast(pl.Int64),
            first_seen_at=pl.min_horizontal("created_at", "observed_at").min(),
            last_seen_at=pl.col("observed_at").max(),
            sound=(pl.col("problems").list.len().fill_null(0) == 0).sum().cast(pl.Int64),
        )
        .with_columns(validity_score=(pl.col("sound") / pl.col("record_count")).round(4))
        .drop("sound")
        .collect()
    )


def consistency(choices: Sequence[Choice], entities: int) -> pl.Series:
    """consistency_score of every entity, in the order of entities."""
    total = pl.DataFrame({"entity": pl.Series(range(entities), dtype=pl.UInt32)}).with_columns(
        stated=pl.lit(0, dtype=pl.Int32), disputed=pl.lit(0, dtype=pl.Int32)
    )
    for choice in choices:
        total = (
            total.join(choice.disagreement(), on="entity", how="left", maintain_order="left")
            .with_columns(
                stated=pl.col("stated") + pl.col("is_disputed").is_not_null().cast(pl.Int32),
                disputed=pl.col("disputed") + pl.col("is_disputed").fill_null(False).cast(pl.Int32),
            )
            .drop("is_disputed")
        )
    share = 1 - pl.col("disputed") / pl.max_horizontal("stated", pl.lit(1, dtype=pl.Int32))
    return total.select(share.round(4).alias("consistency_score")).to_series()


def add_scores(golden: pl.DataFrame, rules: TableRules, as_of: datetime) -> pl.DataFrame:
    """Add completeness, freshness and the mean to a golden frame that has the other two parts."""
    filled = pl.sum_horizontal(pl.col(c).is_not_null().cast(pl.Int64) for c in rules.important)
    half_life = rules.freshness_half_life_days
    return golden.with_columns(
        completeness_score=(filled / len(rules.important)).round(4),
        freshness_score=decayed(pl.lit(1.0), pl.col("last_seen_at"), as_of, half_life).fill_null(0.0),
    ).with_columns(quality_score=(pl.sum_horizontal(PARTS) / len(PARTS)).round(4))

"""Quality of a golden row: five parts between 0 and 1, and their mean.

completeness = filled important columns / important columns
validity     = records without a problem / records
freshness    = 0.5 ** (days from last_seen_at to as_of / half-life); as_of is the end of the week of the
               latest landing (`asof.end_of_week`)
consistency  = fields on which all records that state one agree / fields that some record states;
               1 where none does. A group counts as one field.
uniqueness   = product of (1 - p) over the other entities that an open question says may be the same,
               p the highest match probability of a question about the two: the chance that the row has
               no duplicate not yet merged, each question taken for itself; 1 where none is open
quality      = (completeness + validity + freshness + consistency + uniqueness) / 5

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

PARTS = ["completeness_score", "validity_score", "freshness_score", "consistency_score", "uniqueness_score"]


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


def uniqueness(questions: pl.DataFrame) -> pl.DataFrame:
    """`entity_id` and `uniqueness_score` of every entity that an open question touches.

    `questions` are rows of linked.questions. A judgement closes its question, `unsure` too; clusters held
    back name no second entity and a question within one entity is about no duplicate: neither counts.
    """
    ends = questions.filter(
        (pl.col("entity_id_l") != pl.col("entity_id_r")) & pl.col("match_probability").is_not_null()
    ).select("entity_id_l", "entity_id_r", "match_probability")
    other_way = ends.select(
        entity_id_l="entity_id_r", entity_id_r="entity_id_l", match_probability="match_probability"
    )
    return (
        pl.concat([ends, other_way])
        .group_by("entity_id_l", "entity_id_r")
        .agg(pl.col("match_probability").max().clip(0, 1))
        # Sorted, so that no order of rows rounds the product otherwise.
        .sort("entity_id_l", "match_probability", "entity_id_r")
        .group_by("entity_id_l", maintain_order=True)
        .agg((1 - pl.col("match_probability")).product().round(4).alias("uniqueness_score"))
        .rename({"entity_id_l": "entity_id"})
    )


def add_scores(
    golden: pl.DataFrame, rules: TableRules, as_of: datetime, doubts: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Add completeness, freshness, uniqueness and the mean to a golden frame that has the other parts.

    Without `doubts` (of `uniqueness`) every row is unique.
    """
    filled = pl.sum_horizontal(pl.col(c).is_not_null().cast(pl.Int64) for c in rules.important)
    half_life = rules.freshness_half_life_days
    if doubts is None:
        golden = golden.with_columns(uniqueness_score=pl.lit(1.0))
    else:
        golden = golden.join(doubts, on="entity_id", how="left", maintain_order="left").with_columns(
            pl.col("uniqueness_score").fill_null(1.0)
        )
    return golden.with_columns(
        completeness_score=(filled / len(rules.important)).round(4),
        freshness_score=decayed(pl.lit(1.0), pl.col("last_seen_at"), as_of, half_life).fill_null(0.0),
    ).with_columns(quality_score=(pl.sum_horizontal(PARTS) / len(PARTS)).round(4))

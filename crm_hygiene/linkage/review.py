"""Review: the questions a steward should decide, the most valuable first."""

from __future__ import annotations

import hashlib

import polars as pl

from crm_hygiene.linkage.settings import EntityKind

SAME_QUESTION = {
    "person": "Are these two records the same person?",
    "organisation": "Are these two records the same organisation?",
}
CONFLICT_QUESTION = (
    "These records are kept apart although evidence links them: is the link wrong, or what keeps them apart?"
)
SUSPECT_QUESTION = (
    "This record belongs to a suspiciously large cluster that was held back: what really belongs together?"
)

REVIEW_KEY = ["source_l", "record_id_l", "source_r", "record_id_r"]


def _with_ids(kind: EntityKind, rows: pl.DataFrame) -> pl.DataFrame:
    ids = [
        hashlib.sha256("\x1f".join([kind, *(part or "" for part in row)]).encode()).hexdigest()[:16]
        for row in rows.select("question", *REVIEW_KEY).iter_rows()
    ]
    return rows.with_columns(pl.Series("review_id", ids, dtype=pl.String), pl.lit(kind).alias("entity_kind"))


def review_queue(
    kind: EntityKind,
    doubtful: pl.DataFrame,
    conflicts: pl.DataFrame,
    suspects: pl.DataFrame,
    limit: int,
) -> tuple[pl.DataFrame, list[str]]:
    """Rows of stewardship.review_queue.

    Parameters
    ----------
    doubtful
        undecided pairs between two clusters: pair key, `match_weight`, `match_probability`,
        `cluster_l`, `cluster_r`, `records_l`, `records_r`.
    conflicts
        links that were refused, same columns.
    suspects
        first record of each cluster held back: `source_l`, `record_id_l`, `records_l`.
    limit
        most rows to queue; notes say what was left for later nights.

    Returns
    -------
    tuple
        queue sorted by priority, highest first, and notes. Priority is uncertainty, 1 - |2p - 1|,
        times the records of both clusters; conflicts and suspects count as wholly uncertain.
    """
    empty_pair = {"match_weight": pl.Float64, "match_probability": pl.Float64}
    stake = (pl.col("records_l") + pl.col("records_r")).cast(pl.Float64)
    asked = (
        doubtful.sort(["match_probability", *REVIEW_KEY], descending=[True, False, False, False, False])
        .unique(["cluster_l", "cluster_r"], keep="first", maintain_order=True)
        .with_columns(
            question=pl.lit(SAME_QUESTION[kind]),
            question_kind=pl.lit("doubtful"),
            uncertainty=(1 - (2 * pl.col("match_probability") - 1).abs()).round(6),
            stake=stake,
        )
    )
    refused = conflicts.sort(REVIEW_KEY).unique(["cluster_l", "cluster_r"], keep="first", maintain_order=True)
    refused = refused.with_columns(
        question=pl.lit(CONFLICT_QUESTION),
        question_kind=pl.lit("conflict"),
        uncertainty=pl.lit(1.0),
        stake=stake,
    )
    large = suspects.with_columns(
        question=pl.lit(SUSPECT_QUESTION),
        question_kind=pl.lit("suspect"),
        uncertainty=pl.lit(1.0),
        stake=pl.col("records_l").cast(pl.Float64),
        source_r=pl.lit(None, dtype=pl.String),
        record_id_r=pl.lit(None, dtype=pl.String),
        **{name: pl.lit(None, dtype=kind_) for name, kind_ in empty_pair.items()},
    )
    columns = [
        "question_kind", "question", *REVIEW_KEY, "match_weight", "match_probability", "uncertainty", "stake",
    ]  # fmt: skip
    rows = pl.concat([part.select(columns) for part in (asked, refused, large)])
    rows = rows.with_columns(priority=(pl.col("uncertainty") * pl.col("stake")).round(6))
    rows = _with_ids(kind, rows).sort(["priority", "review_id"], descending=[True, False])
    notes = []
    if rows.height > limit:
        notes.append(f"{kind} review queue: {rows.height} questions, the {limit} most valuable are queued")
    return rows.head(limit), notes

"""Review: the questions a steward should decide, the most valuable first.

Linkage asks (`questions`); what hangs on an answer is counted afterwards (`review_queue`), so that who
is who does not depend on interactions, opportunities and invoices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import polars as pl

from crm_hygiene.linkage.settings import EntityKind

SAME_QUESTION: dict[EntityKind, str] = {
    "person": "Are these two records the same person?",
    "organisation": "Are these two records the same organisation?",
}
CONFLICT_QUESTION = (
    "These records are kept apart although evidence links them: is the link wrong, or what keeps them apart?"
)
CONTRADICTION_QUESTION = (
    "You said these records are the same, and another judgement keeps them apart: which one holds?"
)
CUT_QUESTION = "Nothing but these two records ties two groups of records together: are they really the same?"
SUSPECT_QUESTION = (
    "This record belongs to a suspiciously large cluster that was held back: what really belongs together?"
)

REVIEW_KEY = ["source_l", "record_id_l", "source_r", "record_id_r"]
_CLUSTERS = ["cluster_l", "cluster_r"]

QUESTIONS_SCHEMA = pl.Schema(
    {
        "review_id": pl.String,
        "entity_kind": pl.String,
        "question_kind": pl.String,
        "question": pl.String,
        "source_l": pl.String,
        "record_id_l": pl.String,
        "entity_id_l": pl.String,
        "source_r": pl.String,
        "record_id_r": pl.String,
        "entity_id_r": pl.String,
        "match_weight": pl.Float64,
        "match_probability": pl.Float64,
        "uncertainty": pl.Float64,
    }
)


def _with_ids(kind: EntityKind, rows: pl.DataFrame) -> pl.DataFrame:
    ids = [
        hashlib.sha256("\x1f".join([kind, *(part or "" for part in row)]).encode()).hexdigest()[:16]
        for row in rows.select("question", *REVIEW_KEY).iter_rows()
    ]
    return rows.with_columns(pl.Series("review_id", ids, dtype=pl.String), pl.lit(kind).alias("entity_kind"))


def _one_per_clusters(rows: pl.DataFrame) -> pl.DataFrame:
    """The first row for each two clusters, whichever of them is on the left."""
    return (
        rows.with_columns(low=pl.min_horizontal(_CLUSTERS), high=pl.max_horizontal(_CLUSTERS))
        .unique(["low", "high"], keep="first", maintain_order=True)
        .drop("low", "high")
    )


def questions(
    kind: EntityKind,
    doubtful: pl.DataFrame,
    refused: pl.DataFrame,
    cut: pl.DataFrame,
    suspects: pl.DataFrame,
    answered: pl.DataFrame,
    members: pl.DataFrame,
) -> pl.DataFrame:
    """Rows of linked.questions.

    A question about two clusters is asked once, with the pair that says most; a binding judgement
    between them, `unsure` too, has answered it until it is revoked. Links that contradict what binds
    are asked about all the same, unless the steward was unsure of that.

    Parameters
    ----------
    doubtful
        undecided pairs between two clusters: pair key, `match_weight`, `match_probability`,
        `judgement`, `cluster_l`, `cluster_r`.
    refused
        links refused for a judgement or for contradicting identifiers, same columns.
    cut
        links cut because the other pairs of the two groups speak against them, same columns.
    suspects
        first record of each cluster held back: `source_l`, `record_id_l`.
    answered
        `cluster_l`, `cluster_r`, `judgement`, both ways round.
    members
        `source`, `record_id`, `entity_id` of every record.

    Returns
    -------
    polars.DataFrame
        sorted by `review_id`. Uncertainty is 1 - |2p - 1| of the match probability p; conflicts and
        suspects count as wholly uncertain.
    """
    by_weight = doubtful.sort(
        ["match_probability", *REVIEW_KEY], descending=[True, False, False, False, False]
    ).join(answered, on=_CLUSTERS, how="anti")
    asked = _one_per_clusters(by_weight).with_columns(
        question=pl.lit(SAME_QUESTION[kind]),
        question_kind=pl.lit("doubtful"),
        uncertainty=(1 - (2 * pl.col("match_probability") - 1).abs()).round(6),
    )
    is_same = (pl.col("judgement") == "same").fill_null(False)
    conflicts = pl.concat(
        [
            refused.with_columns(
                question=pl.when(is_same)
                .then(pl.lit(CONTRADICTION_QUESTION))
                .otherwise(pl.lit(CONFLICT_QUESTION))
            ),
            cut.with_columns(question=pl.lit(CUT_QUESTION)),
        ]
    )
    unsure = answered.filter(pl.col("judgement") == "unsure")
    conflicts = conflicts.filter(is_same).vstack(
        conflicts.filter(~is_same).join(unsure, on=_CLUSTERS, how="anti").sort(REVIEW_KEY)
    )
    conflicts = conflicts.with_columns(question_kind=pl.lit("conflict"), uncertainty=pl.lit(1.0))
    held = suspects.with_columns(
        question=pl.lit(SUSPECT_QUESTION),
        question_kind=pl.lit("suspect"),
        uncertainty=pl.lit(1.0),
        source_r=pl.lit(None, dtype=pl.String),
        record_id_r=pl.lit(None, dtype=pl.String),
        match_weight=pl.lit(None, dtype=pl.Float64),
        match_probability=pl.lit(None, dtype=pl.Float64),
    )
    columns = ["question_kind", "question", *REVIEW_KEY, "match_weight", "match_probability", "uncertainty"]
    rows = _with_ids(
        kind, pl.concat([part.select(columns) for part in (asked, _one_per_clusters(conflicts), held)])
    )
    for side in ("l", "r"):
        rows = rows.join(
            members.select("source", "record_id", "entity_id").select(pl.all().name.suffix(f"_{side}")),
            on=[f"source_{side}", f"record_id_{side}"],
            how="left",
        )
    return rows.select(list(QUESTIONS_SCHEMA)).cast(QUESTIONS_SCHEMA).sort("review_id")


def review_queue(
    asked: pl.DataFrame, stake: Mapping[EntityKind, pl.DataFrame], limit: int
) -> tuple[pl.DataFrame, list[str]]:
    """Rows of stewardship.review_queue: the questions, ranked by what their answer is worth.

    Parameters
    ----------
    asked
        linked.questions.
    stake
        `entity_id`, `stake` for each kind of entity.
    limit
        most questions to queue per kind of entity; notes say how many are left out.

    Returns
    -------
    tuple
        rows sorted by `priority`, uncertainty times the stake of both entities, highest first; and
        notes.
    """
    queued: list[pl.DataFrame] = []
    notes: list[str] = []
    for kind, worth in stake.items():
        rows = asked.filter(pl.col("entity_kind") == kind)
        for side in ("l", "r"):
            rows = rows.join(
                worth.select(pl.all().name.suffix(f"_{side}")), on=f"entity_id_{side}", how="left"
            )
        # A question about one entity, whose records were all told apart, has one stake.
        other = pl.when(pl.col("entity_id_l") != pl.col("entity_id_r")).then(pl.col("stake_r"))
        rows = rows.with_columns(stake=pl.col("stake_l").fill_null(0.0) + other.fill_null(0.0))
        rows = rows.with_columns(priority=(pl.col("uncertainty") * pl.col("stake")).round(6))
        rows = rows.sort(["priority", "review_id"], descending=[True, False])
        if rows.height > limit:
            notes.append(
                f"{kind} review queue: {rows.height} questions, the {limit} most valuable are queued"
            )
        queued.append(rows.head(limit).drop("stake_l", "stake_r"))
    return pl.concat(queued).sort(["priority", "review_id"], descending=[True, False]), notes

"""Resolution: from scored pairs, keys and judgements to entities, their history and open questions.

What does not belong here: how pairs are found and weighed (`linking`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from crm_hygiene.linkage.clustering import (
    IDENTIFIER,
    KEY,
    MODEL,
    SAME,
    STATED,
    Clusters,
    cluster,
)
from crm_hygiene.linkage.cohesion import incoherent_links
from crm_hygiene.linkage.identifiers import identifiers_of
from crm_hygiene.linkage.register import Register, register
from crm_hygiene.linkage.review import questions
from crm_hygiene.linkage.settings import EntityKind, LinkageSettings

PAIRS_SCHEMA = pl.Schema(
    {
        "source_l": pl.String(),
        "record_id_l": pl.String(),
        "source_r": pl.String(),
        "record_id_r": pl.String(),
        "method": pl.String(),
        "match_key": pl.String(),
        "blocking_rule": pl.String(),
        "match_weight": pl.Float64(),
        "match_probability": pl.Float64(),
        "levels": pl.String(),
        "is_link": pl.Boolean(),
        "model_version": pl.String(),
    }
)

# Most suspect clusters with a line of their own in the summary.
SUSPECTS_NAMED = 10

# Keys that outweigh the others: what a source states of its own records, and numbers of a register.
KEY_STRENGTH = {"merged_record_ids": STATED, "converted_person_record_id": STATED, "tax_id": IDENTIFIER}


@dataclass(frozen=True)
class Resolution:
    """Who is who: frames with the schemas of linked.{kind}_pairs, _members, _entities, _history (this
    night's events only) and linked.questions; `notes` are lines for the run's summary."""

    pairs: pl.DataFrame
    members: pl.DataFrame
    entities: pl.DataFrame
    history: pl.DataFrame
    questions: pl.DataFrame
    notes: list[str]


def _candidates(
    scores: pl.DataFrame, keys: pl.DataFrame, decided: pl.DataFrame, threshold: float
) -> pl.DataFrame:
    """All pairs that speak for or against: `method`, `strength` (null: below the threshold), `weight`."""
    if "decided_at" not in decided.columns:
        decided = decided.with_columns(decided_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")))
    pairs = scores.join(keys, on=["l", "r"], how="full", coalesce=True)
    pairs = pairs.join(decided, on=["l", "r"], how="full", coalesce=True)
    judged = pl.col("judgement").is_in(["same", "different"]).fill_null(False)
    is_same = (pl.col("judgement") == "same").fill_null(False)
    return (
        pairs.filter(judged | pl.col("match_key").is_not_null() | pl.col("match_weight").is_not_null())
        .select(
            "l",
            "r",
            "match_weight",
            "match_probability",
            "levels",
            "judgement",
            "match_key",
            "blocking_rule",
            method=pl.when(judged)
            .then(pl.lit("decision"))
            .when(pl.col("match_key").is_not_null())
            .then(pl.lit("key"))
            .otherwise(pl.lit("model")),
            strength=pl.when(is_same)
            .then(SAME)
            .when(judged)
            .then(None)
            .when(pl.col("match_key").is_not_null())
            .then(pl.col("match_key").replace_strict(KEY_STRENGTH, default=KEY, return_dtype=pl.Int32))
            .when(pl.col("match_probability") >= threshold)
            .then(MODEL),
            # Of contradicting decisions the newest binds first.
            weight=pl.when(is_same)
            .then(pl.col("decided_at").rank("dense").cast(pl.Float64))
            .otherwise(pl.col("match_weight"))
            .fill_null(0.0),
        )
        .sort("l", "r")
    )


def _clusters(
    frame: pl.DataFrame,
    candidates: pl.DataFrame,
    previous: Register,
    kind: EntityKind,
    settings: LinkageSettings,
) -> tuple[Clusters, pl.DataFrame]:
    """Clusters, and the links cut because the groups they join do not belong together."""
    links = candidates.filter(pl.col("strength").is_not_null())
    cut = _incoherent(candidates, settings)
    before = (
        frame.select("source", "record_id")
        .join(previous.members, on=["source", "record_id"], how="left", maintain_order="left")
        .select(pl.col("entity_id").rank("dense").cast(pl.Int64))["entity_id"]
    )
    return cluster(
        frame.height,
        links.join(cut, on=["l", "r"], how="anti"),
        candidates.filter(pl.col("judgement") == "different").select("l", "r"),
        before,
        settings.max_cluster_records,
        identifiers_of(kind, frame),
    ), cut


def _incoherent(candidates: pl.DataFrame, settings: LinkageSettings) -> pl.DataFrame:
    """`l`, `r` of the model's links between groups that do not belong together."""
    pairs = candidates.filter(pl.col("judgement").is_null() | (pl.col("judgement") != "different"))
    return incoherent_links(
        pairs.select(
            "l",
            "r",
            weight=pl.col("match_weight").fill_null(settings.most_pair_weight),
            is_link=pl.col("strength").is_not_null(),
            is_firm=pl.col("strength").fill_null(MODEL) > MODEL,
        ),
        settings.absent_pair_weight,
        settings.most_pair_weight,
    )


def resolve(
    kind: EntityKind,
    frame: pl.DataFrame,
    scores: pl.DataFrame,
    keys: pl.DataFrame,
    decided: pl.DataFrame,
    previous: Register,
    model_version: str,
    as_of: datetime,
    settings: LinkageSettings,
) -> Resolution:
    """Form entities and ask what is doubtful.

    Parameters
    ----------
    frame
        comparable columns, sorted by `unique_id`.
    scores
        `l` < `r`, `blocking_rule`, `match_weight`, `match_probability`, `levels` of every scored pair
        worth keeping.
    keys
        `l` < `r`, `match_key`.
    decided
        `l` < `r`, `judgement` and, where known, `decided_at`: what binds.
    previous
        the register as last published.
    as_of
        landing time of the night (UTC).
    """
    notes: list[str] = []
    candidates = _candidates(scores, keys, decided, settings.threshold)
    clusters, cut = _clusters(frame, candidates, previous, kind, settings)
    of = frame.select("source", "record_id", "unique_id").with_columns(
        cluster=pl.Series(clusters.of, dtype=pl.Int64)
    )
    registered = register(kind, of, previous, as_of)

    sized = of.with_columns(records=pl.len().over("cluster").cast(pl.Int64))
    judged = _with_records(candidates, sized)
    pairs = judged.with_columns(
        is_link=pl.col("strength").is_not_null() & (pl.col("cluster_l") == pl.col("cluster_r")),
        model_version=pl.when(pl.col("match_weight").is_not_null()).then(pl.lit(model_version)),
    )
    apart = judged.filter(pl.col("cluster_l") != pl.col("cluster_r"))
    refused = pl.DataFrame(clusters.refused, schema={"l": pl.Int64, "r": pl.Int64}, orient="row")
    suspects = pl.DataFrame(
        {
            "unique_id": [nodes[0] for nodes in clusters.suspects],
            "record_count": [len(nodes) for nodes in clusters.suspects],
        },
        schema={"unique_id": pl.Int64, "record_count": pl.Int64},
    )
    asked = questions(
        kind,
        doubtful=apart.filter(pl.col("judgement").is_null() & pl.col("strength").is_null()),
        refused=apart.join(refused, on=["l", "r"], how="semi"),
        cut=apart.join(cut, on=["l", "r"], how="semi"),
        suspects=sized.join(suspects, on="unique_id").select(source_l="source", record_id_l="record_id"),
        answered=_answered(decided, sized),
        members=registered.members,
    )
    notes += [
        f"{kind} cluster of {len(nodes)} records is suspect and keeps its last good state; queued for review"
        for nodes in clusters.suspects[:SUSPECTS_NAMED]
    ]
    if len(clusters.suspects) > SUSPECTS_NAMED:
        others = clusters.suspects[SUSPECTS_NAMED:]
        notes.append(
            f"{kind}: {len(others)} more suspect clusters of {sum(map(len, others))} records keep their last "
            "good state; queued for review"
        )
    if clusters.refused:
        count = len(clusters.refused)
        notes.append(
            f"{kind}: {count} link{'s' if count != 1 else ''} refused because a decision or identifiers keep "
            "the records apart; queued for review"
        )
    if cut.height:
        notes.append(
            f"{kind}: {cut.height} link{'s' if cut.height != 1 else ''} cut because the other pairs of two "
            "groups of records speak against it; queued for review"
        )
    return Resolution(
        pairs=pairs.select(list(PAIRS_SCHEMA)).cast(PAIRS_SCHEMA).sort(list(PAIRS_SCHEMA)[:4]),
        members=registered.members,
        entities=registered.entities,
        history=registered.history,
        questions=asked,
        notes=notes,
    )


def _answered(decided: pl.DataFrame, sized: pl.DataFrame) -> pl.DataFrame:
    """`cluster_l`, `cluster_r`, `judgement`: pairs of clusters between which a judgement binds, both ways."""
    of = sized.select("unique_id", "cluster")
    both = (
        decided.select("l", "r", "judgement")
        .join(of.rename({"unique_id": "l", "cluster": "cluster_l"}), on="l")
        .join(of.rename({"unique_id": "r", "cluster": "cluster_r"}), on="r")
        .select("cluster_l", "cluster_r", "judgement")
    )
    return pl.concat([both, both.select(cluster_l="cluster_r", cluster_r="cluster_l", judgement="judgement")])


def _with_records(candidates: pl.DataFrame, sized: pl.DataFrame) -> pl.DataFrame:
    """Pairs with the keys, cluster and cluster size of both records."""
    for side, column in (("l", "l"), ("r", "r")):
        candidates = candidates.join(
            sized.select(
                pl.col("unique_id").alias(column),
                *(pl.col(c).alias(f"{c}_{side}") for c in ("source", "record_id", "cluster", "records")),
            ),
            on=column,
            how="left",
            maintain_order="left",
        )
    return candidates

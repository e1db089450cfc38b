"""Resolution: from scored pairs, keys and judgements to entities, their history and open questions.

What does not belong here: how pairs are found and weighed (`linking`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from crm_hygiene.linkage.clustering import KEY, SAME, Clusters, Edge, cluster
from crm_hygiene.linkage.register import Register, register
from crm_hygiene.linkage.review import review_queue
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


@dataclass(frozen=True)
class Resolution:
    """Who is who: frames with the schemas of linked.{kind}_pairs, _members, _entities, _history (this
    night's events only) and stewardship.review_queue; `notes` are lines for the run's summary."""

    pairs: pl.DataFrame
    members: pl.DataFrame
    entities: pl.DataFrame
    history: pl.DataFrame
    review_queue: pl.DataFrame
    notes: list[str]


def _candidates(
    scores: pl.DataFrame, keys: pl.DataFrame, decided: pl.DataFrame, threshold: float
) -> pl.DataFrame:
    """All pairs that speak for or against: `method`, `strength` (null: below the threshold), weights."""
    pairs = scores.join(keys, on=["l", "r"], how="full", coalesce=True)
    pairs = pairs.join(decided, on=["l", "r"], how="full", coalesce=True)
    judged = pl.col("judgement").is_in(["same", "different"]).fill_null(False)
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
            strength=pl.when(pl.col("judgement") == "same")
            .then(SAME)
            .when(pl.col("judgement") == "different")
            .then(None)
            .when(pl.col("match_key").is_not_null())
            .then(KEY)
            .when(pl.col("match_probability") >= threshold)
            .then(0),
        )
        .sort("l", "r")
    )


def _clusters(
    frame: pl.DataFrame,
    candidates: pl.DataFrame,
    previous: Register,
    kind: EntityKind,
    settings: LinkageSettings,
) -> Clusters:
    linked = candidates.filter(pl.col("strength").is_not_null())
    edges: list[Edge] = list(
        linked.select("strength", pl.col("match_weight").fill_null(0.0), "l", "r").iter_rows()
    )
    different = list(candidates.filter(pl.col("judgement") == "different").select("l", "r").iter_rows())
    before = (
        frame.select("source", "record_id")
        .join(previous.members, on=["source", "record_id"], how="left", maintain_order="left")
        .select(pl.col("entity_id").rank("dense").cast(pl.Int64))["entity_id"]
        .to_list()
    )
    identifiers = frame["tax_id"].to_list() if kind == "organisation" else []
    return cluster(frame.height, edges, different, before, settings.max_cluster_records, identifiers)


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
        `l` < `r`, `judgement`, what binds.
    previous
        the register as last published.
    as_of
        landing time of the night (UTC).
    """
    notes: list[str] = []
    candidates = _candidates(scores, keys, decided, settings.threshold)
    clusters = _clusters(frame, candidates, previous, kind, settings)
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
    doubtful = judged.filter(
        pl.col("judgement").is_null()
        & pl.col("strength").is_null()
        & (pl.col("cluster_l") != pl.col("cluster_r"))
    )
    refused = pl.DataFrame(clusters.refused, schema={"l": pl.Int64, "r": pl.Int64}, orient="row")
    conflicts = judged.join(refused, on=["l", "r"], how="semi")
    suspects = sized.filter(pl.col("unique_id").is_in([nodes[0] for nodes in clusters.suspects])).select(
        source_l="source",
        record_id_l="record_id",
        records_l=pl.col("unique_id").replace_strict(
            {nodes[0]: len(nodes) for nodes in clusters.suspects}, default=0, return_dtype=pl.Int64
        ),
    )
    queue, cut = review_queue(kind, doubtful, conflicts, suspects, settings.review_limit)
    for side in ("l", "r"):
        queue = queue.join(
            registered.members.select(pl.all().name.suffix(f"_{side}")),
            on=[f"source_{side}", f"record_id_{side}"],
            how="left",
            maintain_order="left",
        )
    notes += [
        f"{kind} cluster of {len(nodes)} records is suspect and keeps its last good state; queued for review"
        for nodes in clusters.suspects
    ]
    if clusters.refused:
        notes.append(
            f"{kind}: {len(clusters.refused)} links refused because a decision or identifiers keep them apart"
        )
    return Resolution(
        pairs=pairs.select(list(PAIRS_SCHEMA)).cast(PAIRS_SCHEMA).sort(list(PAIRS_SCHEMA)[:4]),
        members=registered.members,
        entities=registered.entities,
        history=registered.history,
        review_queue=queue,
        notes=notes + cut,
    )


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

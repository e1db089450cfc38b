"""One night of linkage: records in, pairs, entities, history and questions out.

The order of the steps is here and nothing else: generic values, keys, blocking, model, scores,
clusters, register, review.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from crm_hygiene.linkage.blocking import blocking
from crm_hygiene.linkage.clustering import KEY, SAME, Clusters, Edge, cluster
from crm_hygiene.linkage.cohesion import incoherent_links
from crm_hygiene.linkage.comparable import comparable, numbered, with_block_columns
from crm_hygiene.linkage.connection import connection
from crm_hygiene.linkage.generic_values import generic_notes, generic_values, without_generic
from crm_hygiene.linkage.keys import key_links
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.register import Register, register
from crm_hygiene.linkage.review import review_queue
from crm_hygiene.linkage.scoring import score
from crm_hygiene.linkage.settings import EntityKind, LinkageSettings
from crm_hygiene.linkage.training import train

PAIRS_SCHEMA = pl.Schema(
    {
        "source_l": pl.String(),
        "record_id_l": pl.String(),
        "source_r": pl.String(),
        "record_id_r": pl.String(),
        "method": pl.String(),
        "match_key": pl.String(),
        "match_weight": pl.Float64(),
        "match_probability": pl.Float64(),
        "levels": pl.String(),
        "is_link": pl.Boolean(),
        "model_version": pl.String(),
    }
)


@dataclass(frozen=True)
class Linkage:
    """Outcome of one night for one kind of entity.

    Frames have the schemas of linked.{kind}_pairs, _members, _entities, _history and
    stewardship.review_queue; `history` holds this night's events only. `notes` are lines for the
    run's summary.
    """

    pairs: pl.DataFrame
    members: pl.DataFrame
    entities: pl.DataFrame
    history: pl.DataFrame
    review_queue: pl.DataFrame
    model: FrozenModel
    notes: list[str]


def _binding(kind: EntityKind, decisions: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """The latest judgement that binds per pair of live records: `l` < `r`, `judgement`."""
    empty = pl.DataFrame(schema={"l": pl.Int64, "r": pl.Int64, "judgement": pl.String})
    if decisions.is_empty():
        return empty
    ids = records.select("source", "record_id", "unique_id")
    found = (
        decisions.filter((pl.col("entity_kind") == kind) & pl.col("revoked_at").is_null())
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


def _candidates(
    scores: pl.DataFrame, keys: pl.DataFrame, decided: pl.DataFrame, threshold: float
) -> pl.DataFrame:
    """All pairs that speak for or against: `method`, `strength` (null: below the threshold), weights."""
    pairs = scores.join(keys.rename({"match_key": "key"}), on=["l", "r"], how="full", coalesce=True)
    pairs = pairs.join(decided, on=["l", "r"], how="full", coalesce=True)
    judged = pl.col("judgement").is_in(["same", "different"]).fill_null(False)
    return (
        pairs.filter(judged | pl.col("key").is_not_null() | pl.col("match_weight").is_not_null())
        .select(
            "l",
            "r",
            "match_weight",
            "match_probability",
            "levels",
            "judgement",
            match_key=pl.coalesce("key", "match_key"),
            method=pl.when(judged)
            .then(pl.lit("decision"))
            .when(pl.col("key").is_not_null())
            .then(pl.lit("key"))
            .otherwise(pl.lit("model")),
            strength=pl.when(pl.col("judgement") == "same")
            .then(SAME)
            .when(pl.col("judgement") == "different")
            .then(None)
            .when(pl.col("key").is_not_null())
            .then(KEY)
            .when(pl.col("match_probability") >= threshold)
            .then(0),
        )
        .sort("l", "r")
    )


def _coherent(candidates: pl.DataFrame, settings: LinkageSettings) -> pl.DataFrame:
    """`candidates` in which links between groups that do not belong together are doubtful instead."""
    pairs = candidates.filter(pl.col("judgement").is_null() | (pl.col("judgement") != "different")).select(
        "l",
        "r",
        weight=pl.col("match_weight").fill_null(settings.most_pair_weight),
        is_link=pl.col("strength").is_not_null(),
        is_firm=pl.col("strength").fill_null(0) > 0,
    )
    refused = incoherent_links(pairs, settings.absent_pair_weight, settings.most_pair_weight)
    return (
        candidates.join(refused.with_columns(is_refused=True), on=["l", "r"], how="left")
        .with_columns(strength=pl.when(pl.col("is_refused").is_null()).then("strength"))
        .drop("is_refused")
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


def link(
    kind: EntityKind,
    records: pl.DataFrame,
    previous: Register,
    decisions: pl.DataFrame,
    model: FrozenModel | None,
    as_of: datetime,
    settings: LinkageSettings | None = None,
) -> Linkage:
    """Link the records of one kind of entity.

    Parameters
    ----------
    records
        conformed.people or conformed.organisations, without deleted records; absent columns count
        as empty.
    previous
        the register as last published, `Register.empty()` on the first night.
    decisions
        stewardship.decisions; revoked ones and those of the other kind are ignored.
    model
        the promoted model; None trains one.
    as_of
        landing time of the night (UTC), stamped on events.
    settings
        thresholds, budgets and rules; None takes `rules.yaml`.

    Returns
    -------
    Linkage
        the same for the same input, in any row order and on any number of threads.
    """
    settings = settings or LinkageSettings()
    frame = comparable(kind, records)
    generic = generic_values(kind, frame, settings)
    frame = with_block_columns(kind, without_generic(kind, frame, generic))
    notes = generic_notes(generic)

    with connection(settings) as con:
        stated = numbered(records, ("converted_person_record_id",) if kind == "person" else ())
        wanted = [c for c in ("converted_person_record_id",) if c in stated.columns]
        stated = stated.select("unique_id", "source", "record_id", "merged_record_ids", *wanted)
        keys = key_links(con, kind, frame, stated, settings.systems)
        if model is None:
            model, trained = train(con, kind, frame, settings)
            notes += trained
        blocks = blocking(kind, frame, settings)
        scores, scored = score(con, frame, blocks, model, settings)
        notes += blocks.notes + scored

    decided = _binding(kind, decisions, frame)
    candidates = _coherent(_candidates(scores, keys, decided, settings.threshold), settings)
    clusters = _clusters(frame, candidates, previous, kind, settings)
    of = frame.select("source", "record_id", "unique_id").with_columns(
        cluster=pl.Series(clusters.of, dtype=pl.Int64)
    )
    registered = register(kind, of, previous, as_of)

    sized = of.with_columns(records=pl.len().over("cluster").cast(pl.Int64))
    judged = _with_records(candidates, sized)
    pairs = judged.with_columns(
        is_link=pl.col("strength").is_not_null() & (pl.col("cluster_l") == pl.col("cluster_r")),
        model_version=pl.when(pl.col("match_weight").is_not_null()).then(pl.lit(model.model_version)),
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
    notes += [
        f"{kind} cluster of {len(nodes)} records is suspect and keeps its last good state; queued for review"
        for nodes in clusters.suspects
    ]
    if clusters.refused:
        notes.append(
            f"{kind}: {len(clusters.refused)} links refused because a decision or identifiers keep them apart"
        )
    return Linkage(
        pairs=pairs.select(list(PAIRS_SCHEMA)).cast(PAIRS_SCHEMA).sort(list(PAIRS_SCHEMA)[:4]),
        members=registered.members,
        entities=registered.entities,
        history=registered.history,
        review_queue=queue,
        model=model,
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


def levels_of(text: str | None) -> dict[str, str]:
    """Comparison levels of a pair from its JSON; empty for a pair that was not scored."""
    return dict(json.loads(text)) if text else {}

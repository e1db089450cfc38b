"""The register of entity ids: they live for ever, whatever happens to the clusters.

Every id ever published resolves to one live id or is a tombstone. Merge: the oldest id stays, the
others become its aliases. Split: the largest part keeps the id (ties: the part with the founding
record), except that a part that came wholly by a merge takes the id back that it had before: so undoing
a merge restores both. A record that was gone and comes back revives its old id. What does not belong
here: who belongs together (`clustering`), what the events so far tell (`ancestry`), which id goes where
(`entity_ids`), what is noted of it (`entity_events`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from crm_hygiene.linkage.ancestry import RECORD, last_left, merged_chains
from crm_hygiene.linkage.entity_events import HISTORY_SCHEMA, STAMP, events_of_night
from crm_hygiene.linkage.entity_ids import assign_ids
from crm_hygiene.linkage.settings import EntityKind

MEMBERS_SCHEMA = pl.Schema({"source": pl.String(), "record_id": pl.String(), "entity_id": pl.String()})
ENTITIES_SCHEMA = pl.Schema(
    {
        "entity_id": pl.String(),
        "status": pl.String(),
        "resolves_to": pl.String(),
        "founding_source": pl.String(),
        "founding_record_id": pl.String(),
        "founded_at": STAMP,
        "record_count": pl.Int64(),
    }
)


@dataclass(frozen=True)
class Register:
    """Members, entities and all events so far as last published; empty frames on the first night."""

    members: pl.DataFrame
    entities: pl.DataFrame
    history: pl.DataFrame = field(default_factory=HISTORY_SCHEMA.to_frame)

    @classmethod
    def empty(cls) -> Register:
        """The register before the first night."""
        return cls(pl.DataFrame(schema=MEMBERS_SCHEMA), pl.DataFrame(schema=ENTITIES_SCHEMA))


@dataclass(frozen=True)
class Registration:
    """Outcome of one night: members, entities and the night's events, sorted by key."""

    members: pl.DataFrame
    entities: pl.DataFrame
    history: pl.DataFrame


def register(kind: EntityKind, clusters: pl.DataFrame, previous: Register, as_of: datetime) -> Registration:
    """Give each cluster its id and note what happened.

    Parameters
    ----------
    clusters
        `source`, `record_id`, `cluster` (integer), one row per live record.
    previous
        the register as last published.
    as_of
        landing time of the night, stamped on new entities and events (UTC); a microsecond after the
        latest event where that is not earlier, so that the nights' events keep their order.

    Returns
    -------
    Registration
        frames in the contracts' schemas, sorted by key.
    """
    as_of = _later(previous.history, as_of)
    old_members = previous.members.select(list(MEMBERS_SCHEMA)).cast(MEMBERS_SCHEMA)
    old = previous.entities.select(list(ENTITIES_SCHEMA)).cast(ENTITIES_SCHEMA)
    rows = (
        clusters.select("source", "record_id", "cluster")
        .with_columns(pl.col("cluster").cast(pl.Int64))
        .join(old_members.rename({"entity_id": "before"}), on=["source", "record_id"], how="left")
        .sort("source", "record_id")
    )
    founders = (
        old.filter(pl.col("status") == "live")
        .select("entity_id", source="founding_source", record_id="founding_record_id")
        .join(rows.select(*RECORD, "cluster"), on=RECORD)
        .select("entity_id", "cluster")
    )

    parts = (
        rows.filter(pl.col("before").is_not_null())
        .group_by("before", "cluster")
        .agg(pl.len().cast(pl.Int64).alias("n"))
        .rename({"before": "entity_id"})
        .join(
            founders.select("entity_id", "cluster", has_founder=pl.lit(True)),
            on=["entity_id", "cluster"],
            how="left",
        )
        .with_columns(
            pl.col("has_founder").fill_null(False),
            pl.len().over("entity_id").alias("pieces"),
            pl.len().over("cluster").alias("claims"),
        )
    )
    # A cluster is settled when it holds all that is left of one entity and of no other.
    settled = parts.filter((pl.col("pieces") == 1) & (pl.col("claims") == 1))
    open_parts = parts.join(settled.select("cluster"), on="cluster", how="anti").sort("entity_id", "cluster")
    open_rows = rows.join(settled.select("cluster"), on="cluster", how="anti")
    asleep, own = _asleep(previous.history, old, open_parts, rows)
    open_parts = open_parts.join(
        own.with_columns(is_own=pl.lit(True)), on=["entity_id", "cluster"], how="left"
    ).with_columns(pl.col("is_own").fill_null(False))
    founders = pl.concat([founders, asleep.select("entity_id", "cluster")])
    founder_lists = founders.sort("entity_id").group_by("cluster", maintain_order=True).agg("entity_id")
    touched = (
        open_rows.unique("cluster", keep="first", maintain_order=True)
        .join(founder_lists.rename({"entity_id": "founder_of"}), on="cluster", how="left")
        .select("cluster", pl.col("founder_of").fill_null([]), "source", "record_id")
        .sort("source", "record_id")
    )
    # Number open clusters by their first record, so that the caller's numbering does not matter.
    order = touched.select("cluster").with_row_index("rank")
    ranked = touched.join(order, on="cluster").with_columns(pl.col("rank").cast(pl.Int64).alias("cluster"))
    ranked_parts = (
        open_parts.join(order, on="cluster")
        .select("entity_id", pl.col("rank").cast(pl.Int64).alias("cluster"), "n", "has_founder", "is_own")
        .sort("entity_id", "cluster")
    )
    returned = _returned(previous.history, old, open_rows).join(order, on="cluster")
    playing = pl.concat(
        [
            open_parts.select("entity_id"),
            touched.select(entity_id="founder_of").explode("entity_id").drop_nulls(),
        ]
    ).unique()
    known = {
        row[0]: (row[1], (row[2], row[3]), row[4])
        for row in old.join(playing, on="entity_id", how="semi")
        .select("entity_id", "founded_at", "founding_source", "founding_record_id", "resolves_to")
        .iter_rows()
    }
    assigned, split = assign_ids(
        kind,
        ranked_parts,
        ranked,
        known,
        set(old["entity_id"]),
        set(settled["entity_id"]),
        dict(asleep.select("entity_id", "since").drop_nulls().iter_rows()),
        returned.sort(["n", "rank"], descending=[True, False]).select("rank", "entity_id").rows(),
    )

    numbers = pl.DataFrame(
        {"rank": list(assigned), "entity_id": list(assigned.values())},
        schema={"rank": order.schema["rank"], "entity_id": pl.String},
    ).join(order, on="rank")
    id_of = pl.concat([settled.select("cluster", "entity_id"), numbers.select("cluster", "entity_id")])
    members_now = rows.join(id_of, on="cluster", how="left").sort("source", "record_id")
    entities = _entities(members_now, old, asleep, id_of, as_of)
    split_pairs = [
        (entity, assigned[number])
        for entity in sorted(split)
        for number in split[entity]
        if assigned[number] != entity
    ]
    history = events_of_night(members_now, old_members, old, entities, split_pairs, as_of)
    return Registration(
        members=members_now.select(list(MEMBERS_SCHEMA)),
        entities=entities.select(list(ENTITIES_SCHEMA)).cast(ENTITIES_SCHEMA).sort("entity_id"),
        history=history.cast(HISTORY_SCHEMA).sort("event_id"),
    )


def _later(history: pl.DataFrame, as_of: datetime) -> datetime:
    latest = history["event_at"].max()
    return max(as_of, latest + timedelta(microseconds=1)) if isinstance(latest, datetime) else as_of


def _asleep(
    history: pl.DataFrame, old: pl.DataFrame, open_parts: pl.DataFrame, rows: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Where ids that are not live rest, and which parts of what splits are its own.

    An id that had merged into an entity that splits rests with most of the records it brought; one
    whose founding record comes back, on that record.

    Returns
    -------
    tuple
        `entity_id`, `cluster`, `since` (when it merged, null for what comes back); and `entity_id`,
        `cluster` of parts with a record that no merge brought.
    """
    dead = old.filter(pl.col("status") != "live")
    nights = pl.lit(None, dtype=STAMP).alias("since")
    founded = dead.select(
        "entity_id", "resolves_to", source="founding_source", record_id="founding_record_id"
    ).join(rows, on=RECORD)
    back = founded.filter(pl.col("before").is_null()).select("entity_id", "cluster", nights)
    split = open_parts.filter(pl.col("pieces") > 1)
    within = rows.filter(pl.col("before").is_in(split["entity_id"].unique().implode()))
    if history.is_empty():
        # Without a history the founding records have to stand for all that came with them.
        rested = founded.filter(pl.col("before") == pl.col("resolves_to")).select(
            "entity_id", "cluster", nights
        )
        claimed = rested.join(dead.select("entity_id", "resolves_to"), on="entity_id")
        own = split.join(
            claimed.select("cluster", entity_id="resolves_to"), on=["entity_id", "cluster"], how="anti"
        )
        return pl.concat([back, rested]), pl.concat([own, split.filter("has_founder")]).select(
            "entity_id", "cluster"
        ).unique()
    chains = merged_chains(history, within)
    placed = chains.join(within.select(*RECORD, "before", "cluster"), on=RECORD)
    rested = (
        placed.join(dead.select("entity_id", before="resolves_to"), on=["entity_id", "before"], how="semi")
        .join(
            founded.select("entity_id", *RECORD, is_founder=pl.lit(1)), on=["entity_id", *RECORD], how="left"
        )
        .group_by("entity_id", "cluster")
        .agg(
            pl.len().alias("n"),
            pl.col("is_founder").sum(),
            pl.col("since").max(),
            pl.struct(RECORD).min().alias("first"),
        )
        .sort(["entity_id", "n", "is_founder", "first"], descending=[False, True, True, False])
        .unique("entity_id", keep="first", maintain_order=True)
        .select("entity_id", "cluster", "since")
    )
    own = within.join(chains, on=RECORD, how="anti").select("cluster", entity_id="before").unique()
    return (
        pl.concat([rested, back.join(rested, on="entity_id", how="anti")]),
        own.select("entity_id", "cluster"),
    )


def _returned(history: pl.DataFrame, old: pl.DataFrame, open_rows: pl.DataFrame) -> pl.DataFrame:
    """`entity_id`, `cluster`, `n`: tombstones to which records that come back belonged."""
    tombstones = old.filter(pl.col("status") == "tombstone").select("entity_id")
    arrived = open_rows.filter(pl.col("before").is_null())
    return (
        last_left(history, arrived)
        .join(tombstones, on="entity_id", how="semi")
        .join(arrived.select(*RECORD, "cluster"), on=RECORD)
        .group_by("entity_id", "cluster")
        .agg(pl.len().alias("n"))
    )


def _entities(
    members: pl.DataFrame, old: pl.DataFrame, asleep: pl.DataFrame, id_of: pl.DataFrame, as_of: datetime
) -> pl.DataFrame:
    """Every id ever published with its state now."""
    live = members.group_by("entity_id").agg(
        pl.len().cast(pl.Int64).alias("record_count"), pl.col("source").first(), pl.col("record_id").first()
    )
    fresh = live.join(old, on="entity_id", how="anti").select(
        "entity_id",
        status=pl.lit("live"),
        resolves_to=pl.lit(None, dtype=pl.String),
        founding_source="source",
        founding_record_id="record_id",
        founded_at=pl.lit(as_of).cast(STAMP),
        record_count="record_count",
    )
    # An id that merges stands for the entity to which most of its records went; later for the entity
    # that holds the record it rests on, or for what it stood for before. Else it is a tombstone.
    home = asleep.join(id_of.rename({"entity_id": "home"}), on="cluster").select("entity_id", "home")
    moved_to = (
        members.filter(pl.col("before").is_not_null())
        .group_by("before", "entity_id")
        .agg(pl.len().alias("n"))
        .sort(["before", "n", "entity_id"], descending=[False, True, False])
        .unique("before", keep="first", maintain_order=True)
        .select(entity_id="before", moved="entity_id")
    )
    known = old.drop("record_count").join(
        live.select("entity_id", "record_count"), on="entity_id", how="left"
    )
    known = known.join(home, on="entity_id", how="left").join(moved_to, on="entity_id", how="left")
    is_live = pl.col("record_count").is_not_null()
    known = known.with_columns(
        target=pl.when(~is_live).then(pl.coalesce("home", "moved", "resolves_to")), is_live=is_live
    )
    # A target that stopped being live passes on to where it went itself.
    for _ in range(known.height + 1):
        hops = known.filter(~pl.col("is_live")).select(target="entity_id", onward="target")
        stepped = known.join(hops.with_columns(hop=pl.lit(True)), on="target", how="left")
        if stepped["hop"].null_count() == stepped.height:
            break
        known = stepped.with_columns(
            target=pl.when(pl.col("hop").is_not_null()).then(pl.col("onward")).otherwise(pl.col("target"))
        ).drop("onward", "hop")
    kept = known.select(
        "entity_id",
        status=pl.when("is_live")
        .then(pl.lit("live"))
        .when(pl.col("target").is_not_null())
        .then(pl.lit("alias"))
        .otherwise(pl.lit("tombstone")),
        resolves_to="target",
        founding_source="founding_source",
        founding_record_id="founding_record_id",
        founded_at="founded_at",
        record_count=pl.col("record_count").fill_null(0),
    )
    return pl.concat([kept, fresh])

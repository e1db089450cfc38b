"""The register of entity ids: they live for ever, whatever happens to the clusters.

Every id ever published resolves to one live id or is a tombstone. Merge: the oldest id stays, the
others become its aliases. Split: the largest part keeps the id (ties: the part with the founding
record), except that a part holding the founding record of an alias takes that id back: so undoing a
merge restores both. What does not belong here: who belongs together (`clustering`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from crm_hygiene.linkage.settings import EntityKind

MEMBERS_SCHEMA = pl.Schema({"source": pl.String(), "record_id": pl.String(), "entity_id": pl.String()})
STAMP = pl.Datetime("us", "UTC")
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
HISTORY_SCHEMA = pl.Schema(
    {
        "event_id": pl.String(),
        "entity_id": pl.String(),
        "event": pl.String(),
        "related_entity_id": pl.String(),
        "source": pl.String(),
        "record_id": pl.String(),
        "event_at": STAMP,
    }
)
PREFIX: dict[EntityKind, str] = {"person": "P-", "organisation": "O-"}

Record = tuple[str, str]


@dataclass(frozen=True)
class Register:
    """Members and entities as last published; empty frames on the first night."""

    members: pl.DataFrame
    entities: pl.DataFrame

    @classmethod
    def empty(cls) -> Register:
        """The register before the first night."""
        return cls(pl.DataFrame(schema=MEMBERS_SCHEMA), pl.DataFrame(schema=ENTITIES_SCHEMA))


@dataclass(frozen=True)
class Registration:
    """Outcome of one night: members, entities and events, sorted by key."""

    members: pl.DataFrame
    entities: pl.DataFrame
    history: pl.DataFrame


def new_id(kind: EntityKind, record: Record, attempt: int = 0) -> str:
    """`P-` or `O-` and 16 hexadecimal digits of the founding record's SHA-256; `attempt` disambiguates."""
    text = "\x1f".join(record if attempt == 0 else (*record, str(attempt)))
    return PREFIX[kind] + hashlib.sha256(text.encode()).hexdigest()[:16]


def _assign(
    kind: EntityKind,
    parts: pl.DataFrame,
    touched: pl.DataFrame,
    known: dict[str, tuple[datetime, Record, str | None]],
    taken: set[str],
    settled: set[str],
) -> tuple[dict[int, str], dict[str, list[int]]]:
    """Ids for the clusters that are not simply unchanged.

    Parameters
    ----------
    parts
        `entity_id`, `cluster`, `n` (records of the entity in the cluster), `has_founder`.
    touched
        `cluster`, `founder_of` (ids founded on its records), `source`, `record_id` (its first record).
    known
        founded_at, founding record and resolves_to by id, for every id that plays a part.
    taken
        every id ever published; new ones are added.
    settled
        ids that stay live where they are.
    """
    founded_in = {c: list(ids) for c, ids in touched.select("cluster", "founder_of").iter_rows()}

    def age(entity: str) -> tuple[datetime, Record, str]:
        founded_at, founder, _ = known[entity]
        return founded_at, founder, entity

    parts_of: dict[str, list[tuple[int, int, bool]]] = defaultdict(list)
    for entity, number, n, has_founder in parts.iter_rows():
        parts_of[entity].append((number, n, has_founder))
    candidates: dict[int, list[str]] = defaultdict(list)
    for entity in sorted(parts_of):
        pieces = parts_of[entity]
        unclaimed = [
            piece
            for piece in pieces
            if piece[2] or not any(known[x][2] == entity for x in founded_in.get(piece[0], ()) if x in known)
        ]
        best = min(unclaimed or pieces, key=lambda p: (-p[1], not p[2], p[0]))
        candidates[best[0]].append(entity)
    assigned = {number: min(ids, key=age) for number, ids in candidates.items()}
    live = settled | set(assigned.values())
    for number, ids, source, record_id in (
        touched.select("cluster", "founder_of", "source", "record_id").sort("cluster").iter_rows()
    ):
        if number in assigned:
            continue
        sleeping = [x for x in ids if x not in live]
        if sleeping:
            assigned[number] = min(sleeping, key=age)
        else:
            attempt = 0
            while (found := new_id(kind, (source, record_id), attempt)) in taken:
                attempt += 1
            assigned[number] = found
            taken.add(found)
        live.add(assigned[number])
    split = {e: sorted(p[0] for p in pieces) for e, pieces in parts_of.items() if len(pieces) > 1}
    return assigned, split


def _event_ids(rows: pl.DataFrame) -> pl.DataFrame:
    texts = rows.select(
        pl.concat_str(
            [pl.col(c).cast(pl.String).fill_null("") for c in HISTORY_SCHEMA if c != "event_id"],
            separator="\x1f",
        )
    ).to_series()
    ids = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]
    return rows.with_columns(pl.Series("event_id", ids, dtype=pl.String)).select(list(HISTORY_SCHEMA))


def register(kind: EntityKind, clusters: pl.DataFrame, previous: Register, as_of: datetime) -> Registration:
    """Give each cluster its id and note what happened.

    Parameters
    ----------
    clusters
        `source`, `record_id`, `cluster` (integer), one row per live record.
    previous
        the register as last published.
    as_of
        landing time of the night, stamped on new entities and events (UTC).

    Returns
    -------
    Registration
        frames in the contracts' schemas, sorted by key.
    """
    old_members = previous.members.select(list(MEMBERS_SCHEMA)).cast(MEMBERS_SCHEMA)
    old = previous.entities.select(list(ENTITIES_SCHEMA)).cast(ENTITIES_SCHEMA)
    rows = (
        clusters.select("source", "record_id", "cluster")
        .with_columns(pl.col("cluster").cast(pl.Int64))
        .join(old_members.rename({"entity_id": "before"}), on=["source", "record_id"], how="left")
        .sort("source", "record_id")
    )
    founders = old.select(
        "entity_id", "status", source="founding_source", record_id="founding_record_id"
    ).join(rows.select("source", "record_id", "cluster"), on=["source", "record_id"], how="inner")

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
        .select("entity_id", pl.col("rank").cast(pl.Int64).alias("cluster"), "n", "has_founder")
        .sort("entity_id", "cluster")
    )
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
    assigned, split = _assign(
        kind, ranked_parts, ranked, known, set(old["entity_id"]), set(settled["entity_id"])
    )

    numbers = pl.DataFrame(
        {"rank": list(assigned), "entity_id": list(assigned.values())},
        schema={"rank": order.schema["rank"], "entity_id": pl.String},
    ).join(order, on="rank")
    id_of = pl.concat([settled.select("cluster", "entity_id"), numbers.select("cluster", "entity_id")])
    members_now = rows.join(id_of, on="cluster", how="left").sort("source", "record_id")
    entities = _entities(members_now, old, founders, id_of, as_of)
    split_pairs = [
        (entity, assigned[number])
        for entity in sorted(split)
        for number in split[entity]
        if assigned[number] != entity
    ]
    history = _history(members_now, old_members, old, entities, split_pairs, as_of)
    return Registration(
        members=members_now.select(list(MEMBERS_SCHEMA)),
        entities=entities.select(list(ENTITIES_SCHEMA)).cast(ENTITIES_SCHEMA).sort("entity_id"),
        history=history.cast(HISTORY_SCHEMA).sort("event_id"),
    )


def _entities(
    members: pl.DataFrame, old: pl.DataFrame, founders: pl.DataFrame, id_of: pl.DataFrame, as_of: datetime
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
    # An id that is not live stands for the entity that now holds its founding record; where that
    # record is gone, for what it stood for before; where that is gone too, it is a tombstone.
    home = founders.join(id_of.rename({"entity_id": "home"}), on="cluster").select("entity_id", "home")
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


def _history(
    members: pl.DataFrame,
    old_members: pl.DataFrame,
    old: pl.DataFrame,
    entities: pl.DataFrame,
    split_pairs: list[tuple[str, str]],
    as_of: datetime,
) -> pl.DataFrame:
    """Events of this night. A record whose entity merged as a whole did not move."""
    nothing = pl.lit(None, dtype=pl.String)

    def events(
        rows: pl.DataFrame, event: str, related: pl.Expr, source: pl.Expr, record: pl.Expr
    ) -> pl.DataFrame:
        return rows.select(
            "entity_id",
            event=pl.lit(event),
            related_entity_id=related,
            source=source,
            record_id=record,
            event_at=pl.lit(as_of).cast(STAMP),
        )

    was = old.select("entity_id", was="status")
    now = entities.join(was, on="entity_id", how="left")
    found: list[pl.DataFrame] = [
        events(
            now.filter(pl.col("was").is_null()),
            "created", nothing, pl.col("founding_source"), pl.col("founding_record_id"),
        ),
        events(
            now.filter((pl.col("status") == "alias") & (pl.col("was") == "live")),
            "merged", pl.col("resolves_to"), nothing, nothing,
        ),
        events(
            now.filter((pl.col("status") == "tombstone") & (pl.col("was") != "tombstone")),
            "retired", nothing, nothing, nothing,
        ),
        events(
            now.filter((pl.col("status") == "live") & (pl.col("was") != "live")), 
            "revived", nothing, nothing, nothing,
        ),
        events(
            pl.DataFrame(split_pairs, schema={"entity_id": pl.String, "other": pl.String}, orient="row"),
            "split", pl.col("other"), nothing, nothing,
        ),
    ]  # fmt: skip
    standing = entities.select(before="entity_id", stands=pl.coalesce("resolves_to", "entity_id"))
    both = members.join(standing, on="before", how="left")
    brought = now.filter(pl.col("was").is_null()).select("entity_id")
    moved = both.filter(pl.col("before").is_not_null() & (pl.col("stands") != pl.col("entity_id")))
    arrived = both.filter(pl.col("before").is_null()).join(brought, on="entity_id", how="anti")
    left = old_members.join(members, on=["source", "record_id"], how="anti")
    record = (pl.col("source"), pl.col("record_id"))
    found += [
        events(arrived, "joined", nothing, *record),
        events(moved, "joined", pl.col("before"), *record),
        events(
            moved.select("source", "record_id", entity_id="before", other="entity_id"),
            "left",
            pl.col("other"),
            *record,
        ),
        events(left, "left", nothing, *record),
    ]
    return _event_ids(pl.concat(found).unique())

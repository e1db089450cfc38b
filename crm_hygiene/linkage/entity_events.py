"""Events: what a night did to entity ids, so that the history alone gives the members.

Merges move the records of an entity along; all other records that change their entity join and leave.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import polars as pl

from crm_hygiene.linkage.ancestry import RECORD

STAMP = pl.Datetime("us", "UTC")
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


def _event_ids(rows: pl.DataFrame) -> pl.DataFrame:
    texts = rows.select(
        pl.concat_str(
            [pl.col(c).cast(pl.String).fill_null("") for c in HISTORY_SCHEMA if c != "event_id"],
            separator="\x1f",
        )
    ).to_series()
    ids = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]
    return rows.with_columns(pl.Series("event_id", ids, dtype=pl.String)).select(list(HISTORY_SCHEMA))


def events_of_night(
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

    was = old.select("entity_id", was="status", stood_for="resolves_to")
    now = entities.join(was, on="entity_id", how="left")
    # Where the entity an alias stood for merged itself, its own event tells.
    onward = entities.select(
        stood_for="entity_id", told=pl.coalesce("resolves_to", pl.when(status="live").then("entity_id"))
    )
    redirected = now.join(onward, on="stood_for", how="left").filter(
        (pl.col("status") == "alias")
        & (pl.col("was") != "live")
        & pl.col("resolves_to").ne_missing(pl.col("told"))
    )
    found: list[pl.DataFrame] = [
        events(
            now.filter(pl.col("was").is_null()),
            "created", nothing, pl.col("founding_source"), pl.col("founding_record_id"),
        ),
        events(
            now.filter((pl.col("status") == "alias") & (pl.col("was") == "live")),
            "merged", pl.col("resolves_to"), nothing, nothing,
        ),
        events(redirected, "redirected", pl.col("resolves_to"), nothing, nothing),
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
    founded = now.filter(pl.col("was").is_null()).select(
        "entity_id", source="founding_source", record_id="founding_record_id"
    )
    moved = both.filter(pl.col("before").is_not_null() & (pl.col("stands") != pl.col("entity_id")))
    arrived = both.filter(pl.col("before").is_null()).join(founded, on=["entity_id", *RECORD], how="anti")
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

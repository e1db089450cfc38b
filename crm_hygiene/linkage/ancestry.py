"""Ancestry: what the register's history knows of records that its members no longer show.

An event is final and its night's events share one time, later than all before. A merge moves the
records of an entity along without events of their own.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

RECORD = ["source", "record_id"]
CHAINS_SCHEMA = pl.Schema(
    {
        "source": pl.String(),
        "record_id": pl.String(),
        "entity_id": pl.String(),
        "since": pl.Datetime("us", "UTC"),
    }
)
_ARRIVALS = ["created", "joined"]


def last_left(history: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """`source`, `record_id`, `entity_id`: the entity that each of `records` left for none other."""
    return (
        history.filter((pl.col("event") == "left") & pl.col("related_entity_id").is_null())
        .join(records.select(RECORD), on=RECORD, how="semi")
        .sort("event_at", "event_id")
        .unique(RECORD, keep="last", maintain_order=True)
        .select(*RECORD, "entity_id")
    )


def merged_chains(history: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The ids under which records were known before merges brought them into their entity.

    From the entity that a record last joined or founded, its merges are followed one by one up to the
    entity it was in last night.

    Parameters
    ----------
    rows
        `source`, `record_id`, `before` (the entity last night).

    Returns
    -------
    polars.DataFrame
        `source`, `record_id`, `entity_id`, `since` (when that id merged): none for a record that is in
        `before` by itself, several where one merge followed another.
    """
    arrived = (
        history.filter(pl.col("event").is_in(_ARRIVALS) & pl.col("record_id").is_not_null())
        .join(rows.select(*RECORD, "before"), on=RECORD)
        .sort("event_at", "event_id")
        .unique(RECORD, keep="last", maintain_order=True)
        .filter(pl.col("entity_id") != pl.col("before"))
    )
    merges: dict[str, list[tuple[datetime, str]]] = {}
    if not arrived.is_empty():
        merged = history.filter(pl.col("event") == "merged").sort("event_at")
        for entity, at, into in merged.select("entity_id", "event_at", "related_entity_id").iter_rows():
            merges.setdefault(entity, []).append((at, into))
    found: list[tuple[str, str, str, datetime]] = []
    for source, record_id, entity, at, before in arrived.select(
        *RECORD, "entity_id", "event_at", "before"
    ).iter_rows():
        steps: list[tuple[str, str, str, datetime]] = []
        while entity != before:
            onward = next((step for step in merges.get(entity, ()) if step[0] > at), None)
            if onward is None:
                break
            at = onward[0]
            steps.append((source, record_id, entity, at))
            entity = onward[1]
        found += steps
    return pl.DataFrame(found, schema=CHAINS_SCHEMA, orient="row")

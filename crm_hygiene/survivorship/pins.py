"""A steward's pins as the choice sees them: which value holds for which entity.

A pin hangs on a record, so it goes where the record goes when entities merge or split; the newest pin of a
field holds, and a revoked one never does. Setting and revoking pins belongs to `pinning`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from crm_hygiene.contract import contract_of

PINS = "stewardship.pins"
_WHO = ["pin_id", "decided_by", "decided_at", "reason"]


def standing_pins(log: pl.DataFrame) -> pl.DataFrame:
    """The rows of stewardship.pins that nobody took back; of several pins of one field all."""
    return log.filter(
        pl.col("revokes").is_null() & ~pl.col("pin_id").is_in(log["revokes"].drop_nulls().implode())
    )


def pins_of_entities(log: pl.DataFrame, members: pl.DataFrame, table: str) -> pl.DataFrame:
    """Standing pins with the entity they hold for now.

    Parameters
    ----------
    log
        stewardship.pins.
    members
        linked members: source, record_id, entity_id.
    table
        `contacts` or `accounts`.

    Returns
    -------
    pl.DataFrame
        entity_id, column_name, value, pin_id, decided_by, decided_at, reason. A pin whose record is gone
        falls back to the entity it was set on, where that still has a member; else it sleeps.
    """
    mine = standing_pins(log).filter(pl.col("table_name") == f"golden.{table}")
    keys = ["source", "record_id"]
    if mine.is_empty():
        members = members.clear()  # most lakes have few pins, and all have many members
    anchored = mine.join(
        members.select(*keys, now="entity_id"), on=keys, how="left", maintain_order="left"
    ).with_columns(
        now=pl.coalesce(
            "now",
            pl.when(pl.col("entity_id").is_in(members["entity_id"].unique().implode())).then("entity_id"),
        )
    )
    return (
        anchored.filter(pl.col("now").is_not_null())
        .select(entity_id="now", column_name="column_name", value="value", **{c: c for c in _WHO})
        .sort("entity_id", "column_name", "decided_at", "pin_id")
    )


def pinned_values(
    pins: pl.DataFrame | None, columns: Sequence[str], schema: Mapping[str, pl.DataType], entities: pl.Series
) -> pl.DataFrame:
    """The pins that hold for a field or group: entity, pin_id, decided_by, decided_at, reason, values.

    One row per pinned entity of `entities` (sorted ids), sorted; `entity` is its position. The newest pin
    speaks for the whole group: a column it does not name is empty, never taken from another pin or record.
    """
    types = {c: schema[c] for c in columns}
    log = contract_of(PINS).schema
    empty = pl.DataFrame(schema={"entity": pl.UInt32, **{c: log[c] for c in _WHO}, **types})
    if pins is None or pins.is_empty():
        return empty
    positions = pl.DataFrame({"entity_id": entities, "entity": range(entities.len())}).cast(
        {"entity": pl.UInt32}
    )
    mine = pins.filter(pl.col("column_name").is_in(list(columns))).join(
        positions, on="entity_id", how="inner"
    )
    if mine.is_empty():
        return empty
    newest = (
        mine.sort("decided_at", "pin_id")
        .unique("entity", keep="last", maintain_order=True)
        .select("entity", "pin_id")
    )
    held = mine.join(newest, on=["entity", "pin_id"], how="semi")
    return (
        held.group_by("entity", *_WHO)
        .agg(
            pl.col("value").filter(pl.col("column_name") == c).first().cast(types[c]).alias(c)
            for c in columns
        )
        .select(empty.columns)
        .sort("entity")
    )

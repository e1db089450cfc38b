"""Setting and revoking pins: rows of stewardship.pins, added and never changed.

What a pin does to golden records belongs to `pins`, what a steward may type to `pin_values`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lake import Lake
from crm_hygiene.night import Night
from crm_hygiene.survivorship.pin_values import pinnable_rule, read_pin
from crm_hygiene.survivorship.pins import PINS, pins_of_entities, standing_pins
from crm_hygiene.survivorship.rules import CONFORMED

KINDS = {"contacts": "person", "accounts": "organisation"}


@dataclass(frozen=True)
class Entity:
    """A living entity: its golden table, its id and its records (source, record_id), sorted."""

    table: str
    entity_id: str
    records: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PinSet:
    """What setting a pin came to.

    Attributes
    ----------
    rows
        rows added to stewardship.pins; none where the same pin holds already.
    before
        the golden cell as last published.
    overridden
        ids of pins of the entity's field that held until now.
    """

    entity: Entity
    field: str
    value: str | None
    before: str | None
    rows: pl.DataFrame
    overridden: tuple[str, ...]


def find_entity(lake: Lake, text: str) -> Entity:
    """The entity that `text` names: an id, also one that was merged away, or a record `source:record_id`.

    Raises
    ------
    ConfigurationError
        if there is none, or more than one.
    """
    source, colon, record_id = text.partition(":")
    known: list[str] = []
    found: list[Entity] = []
    for table, kind in KINDS.items():
        members = lake.scan(contract_of(f"linked.{kind}_members"))
        if colon:
            at = (pl.col("source") == source) & (pl.col("record_id") == record_id)
            ids = members.filter(at).collect()["entity_id"].to_list()
        else:
            register = lake.scan(contract_of(f"linked.{kind}_entities"))
            rows = register.filter(pl.col("entity_id") == text).collect()
            ids = pl.Series(rows.select(pl.coalesce("resolves_to", "entity_id")).to_series()).to_list()
            known += [] if ids else register.select("entity_id").collect()["entity_id"].to_list()
        for entity_id in ids:
            mine = members.filter(pl.col("entity_id") == entity_id).collect().sort("source", "record_id")
            if mine.height:
                records = tuple(mine.select("source", "record_id").iter_rows())
                found.append(Entity(table, entity_id, records))
    if len(found) > 1:
        ids_found = " or ".join(e.entity_id for e in found)
        raise ConfigurationError(f"'{text}' is both a person and an organisation: say {ids_found}")
    if not found:
        hint = "" if colon else nearest(text, known)
        raise ConfigurationError(f"no living person or organisation '{text}'{hint}")
    return found[0]


def set_pin(
    night: Night,
    target: str,
    field: str,
    text: str | None,
    why: str | None,
    by: str,
    now: datetime | None = None,
) -> PinSet:
    """Pin the golden `field` of an entity to a value; the caller holds the night lock.

    The pin hangs on a record of the entity: one that states the value, else the founding one. A column of a
    group pins the group, its other columns as they are now.

    Parameters
    ----------
    target
        an entity id or `source:record_id`.
    text
        the value as a steward writes it; None pins the field empty.

    Raises
    ------
    ConfigurationError
        if there is no such entity or field, or the text is no value of it.
    LakeError
        if the lake cannot be written; nothing is written then.
    """
    entity = find_entity(night.lake, target)
    _, rule = pinnable_rule(entity.table, field, night.survivorship.of(entity.table))
    golden = _golden_row(night.lake, entity)
    log = night.lake.read(contract_of(PINS))
    held = _held(night.lake, log, entity, rule.columns)
    as_is = {**golden, **{row["column_name"]: row["value"] for row in held}}
    values = read_pin(entity.table, field, text, rule, as_is)
    before = None if golden.get(field) is None else str(golden[field])
    if held and {row["column_name"]: row["value"] for row in held} == values:
        return PinSet(entity, field, values[field], before, log.clear(), ())
    at = _moment(log, now)
    source, record_id = _anchor(night.lake, entity, field, values[field])
    pin_id = _pin_id(entity.entity_id, field, str(values[field]), by, at.isoformat())
    rows = _append(
        night,
        [
            {
                "pin_id": pin_id,
                "table_name": f"golden.{entity.table}",
                "entity_id": entity.entity_id,
                "source": source,
                "record_id": record_id,
                "column_name": column,
                "value": value,
                "reason": why,
                "decided_by": by,
                "decided_at": at,
                "revokes": None,
            }
            for column, value in values.items()
        ],
    )
    overridden = tuple(dict.fromkeys(row["pin_id"] for row in held))
    return PinSet(entity, field, values[field], before, rows, overridden)


def revoke_pin(
    night: Night, word: str, why: str | None, by: str, now: datetime | None = None
) -> tuple[pl.DataFrame, bool]:
    """Take a pin back; the caller holds the night lock.

    Parameters
    ----------
    word
        its id, or the first characters of it (4 or more).

    Returns
    -------
    the rows of the pin, and whether this took it back (False: it had been before, nothing was added).

    Raises
    ------
    ConfigurationError
        if there is no such pin.
    LakeError
        if the lake cannot be written; nothing is written then.
    """
    log = night.lake.read(contract_of(PINS))
    pins = log.filter(pl.col("revokes").is_null())
    ids = pins["pin_id"].unique().sort().to_list()
    found = [i for i in ids if i == word] or [i for i in ids if len(word) >= 4 and i.startswith(word)]
    if len(found) != 1:
        said = (
            f"'{word}' could be {' or '.join(found[:5])}" if found else f"no pin '{word}'{nearest(word, ids)}"
        )
        raise ConfigurationError(f"{said}; `crm-hygiene pin list --all` lists them")
    mine = pins.filter(pl.col("pin_id") == found[0])
    if log.filter(pl.col("revokes") == found[0]).height:
        return mine, False
    at = _moment(log, now)
    pin_id = _pin_id(found[0], by, at.isoformat())
    changed = {"pin_id": pin_id, "value": None, "reason": why, "decided_by": by, "decided_at": at}
    _append(night, [{**row, **changed, "revokes": found[0]} for row in mine.iter_rows(named=True)])
    return mine, True


def list_pins(night: Night, target: str | None = None) -> pl.DataFrame:
    """Every pin with what became of it, newest first: the columns of stewardship.pins, `now`, `state`.

    `now` is the entity it holds for; `state` is binds, overridden (a newer pin of the field holds), asleep
    (its record and entity are gone), revoked or revocation.
    """
    log = night.lake.read(contract_of(PINS))
    standing = standing_pins(log)["pin_id"].unique()
    parts = []
    for table, kind in KINDS.items():
        members = night.lake.read(contract_of(f"linked.{kind}_members"))
        pins = pins_of_entities(log, members, table)
        newest = pins.unique(["entity_id", "column_name"], keep="last", maintain_order=True)
        places = pins.select("pin_id", "column_name", now="entity_id")
        binding = newest.select("pin_id", "column_name", is_newest=pl.lit(True))
        parts.append(places.join(binding, on=["pin_id", "column_name"], how="left"))
    places = pl.concat(parts)
    state = (
        pl.when(pl.col("revokes").is_not_null())
        .then(pl.lit("revocation"))
        .when(~pl.col("pin_id").is_in(standing.implode()))
        .then(pl.lit("revoked"))
        .when(pl.col("is_newest").fill_null(False))
        .then(pl.lit("binds"))
        .when(pl.col("now").is_not_null())
        .then(pl.lit("overridden"))
        .otherwise(pl.lit("asleep"))
    )
    found = (
        log.join(places, on=["pin_id", "column_name"], how="left")
        .with_columns(state=state)
        .drop("is_newest")
        .sort(["decided_at", "pin_id", "column_name"], descending=[True, False, False])
    )
    if target is None:
        return found
    entity = find_entity(night.lake, target)
    return found.filter(pl.coalesce("now", "entity_id") == entity.entity_id)


def _moment(log: pl.DataFrame, now: datetime | None) -> datetime:
    """`now`, or just after the last row: where a clock went back the newest row is still the latest."""
    last = log["decided_at"].max()
    at = now or datetime.now(UTC)
    return max(at, last + timedelta(microseconds=1)) if isinstance(last, datetime) else at


def _pin_id(*parts: str) -> str:
    return "N-" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def _golden_row(lake: Lake, entity: Entity) -> dict[str, Any]:
    contract = contract_of(f"golden.{entity.table}")
    rows = lake.scan(contract).filter(pl.col("entity_id") == entity.entity_id).collect()
    if rows.is_empty():
        raise ConfigurationError(
            f"{entity.entity_id} is not in golden.{entity.table}: every record of it is deleted, or no night "
            "has run since it appeared"
        )
    return rows.row(0, named=True)


def _held(lake: Lake, log: pl.DataFrame, entity: Entity, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of the pin that holds for the entity's field or group now, also one set since the last night."""
    members = pl.DataFrame(
        [(*record, entity.entity_id) for record in entity.records],
        schema=["source", "record_id", "entity_id"],
        orient="row",
    )
    pins = pins_of_entities(log, members, entity.table).filter(
        (pl.col("entity_id") == entity.entity_id) & pl.col("column_name").is_in(list(columns))
    )
    if pins.is_empty():
        return []
    newest = pins.sort("decided_at", "pin_id")["pin_id"][-1]
    return pins.filter(pl.col("pin_id") == newest).to_dicts()


def _anchor(lake: Lake, entity: Entity, field: str, value: str | None) -> tuple[str, str]:
    """The record a pin hangs on: the first that states the value, else the founding one, else the first."""
    keys = pl.DataFrame(entity.records, schema=["source", "record_id"], orient="row")
    records = lake.scan(contract_of(CONFORMED[entity.table])).select("source", "record_id", field)
    if value is not None:
        stating = (
            records.filter(pl.col("record_id").is_in(keys["record_id"].implode()))
            .join(keys.lazy(), on=["source", "record_id"], how="semi")
            .filter(pl.col(field).cast(pl.String) == value)
            .sort("source", "record_id")
            .head(1)
            .collect()
        )
        if stating.height:
            return (stating["source"][0], stating["record_id"][0])
    register = lake.scan(contract_of(f"linked.{KINDS[entity.table]}_entities"))
    founding = register.filter(pl.col("entity_id") == entity.entity_id).collect()
    founders = founding.select("founding_source", "founding_record_id").rows()
    return next(((s, r) for s, r in founders if (s, r) in entity.records), entity.records[0])


def _append(night: Night, rows: list[dict[str, Any]]) -> pl.DataFrame:
    contract = contract_of(PINS)
    frame = contract.shape(pl.DataFrame(rows, schema=contract.schema)).sort(contract.key)
    night.lake.append(contract, [frame], night.metadata(), once=f"pins/{rows[0]['pin_id']}")
    return frame

"""Repair: what a person lets go again: dead letters after the cause is mended, parked and undone fields."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.delivery.delivery_log import DEAD, DeliveryLog, Event
from crm_hygiene.writeback.delivery.taken_back import taken_back


def retry(log: DeliveryLog, apply_id: str, now: datetime, operation_id: str | None = None) -> int:
    """Let dead letters go with the next apply, all or the one whose id begins so; returns how many.

    Raises
    ------
    ConfigurationError
        if no dead letter's id begins so.
    """
    dead = [e for e in log.of_states(DEAD) if e.undoes is None]
    chosen = [e for e in dead if operation_id is None or e.operation_id.startswith(operation_id)]
    if operation_id is not None and not chosen:
        raise ConfigurationError(
            f"target {log.policy.target}: no dead letter '{operation_id}'; `writeback status` lists them"
        )
    log.record([Event(e, "retried") for e in chosen], apply_id, now)
    return len(chosen)


def unpark(
    log: DeliveryLog,
    apply_id: str,
    now: datetime,
    object_name: str | None = None,
    record_id: str | None = None,
    column: str | None = None,
) -> int:
    """Let parked and undone fields go: the next plan may hold them again; returns how many.

    Raises
    ------
    ConfigurationError
        if what was named is neither parked nor undone.
    """
    wanted = (object_name, record_id, column)

    def is_wanted(place: tuple[str, ...]) -> bool:
        return all(w is None or w == part for w, part in zip(wanted, place, strict=True))

    chosen = {place for place in log.parked if is_wanted(place)}
    undone = taken_back(log.lake).filter(pl.col("target") == log.policy.target)
    events = [
        Event(log.entries[key], "unparked", column_name=field)
        for name, record, field, key in undone.select(
            "object", "record_id", "column_name", "operation_id"
        ).iter_rows()
        if is_wanted((name, record, field))
    ]
    if any(wanted) and not (chosen or events):
        raise ConfigurationError(
            f"target {log.policy.target}: no such field is parked or undone; `writeback status` lists them"
        )
    for place in sorted(chosen):
        entry = next(
            e
            for e in reversed([*log.entries.values()])
            if (e.operation.object, e.operation.record_id) == place[:2] and place[2] in e.operation.after
        )
        events.append(Event(entry, "unparked", column_name=place[2]))
    log.record(events, apply_id, now)
    return len(events)

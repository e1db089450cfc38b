"""Withholding: what of a plan is kept back: fields parked or undone, and people who are suppressed.

What does not belong here: what flips and is therefore parked (`convergence`), what was undone
(`taken_back`), who is suppressed (`suppressed_people`).
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from crm_hygiene.lake import Lake
from crm_hygiene.writeback.delivery.delivery_log import DeliveryLog
from crm_hygiene.writeback.delivery.outbox import Entry
from crm_hygiene.writeback.delivery.suppressed_people import SuppressedPeople
from crm_hygiene.writeback.delivery.taken_back import taken_back
from crm_hygiene.writeback.operations import Operation


class Withholding:
    """What one target is not told."""

    def __init__(self, lake: Lake, log: DeliveryLog) -> None:
        self._log = log
        self._suppressed = SuppressedPeople(lake)
        undone = taken_back(lake).filter(pl.col("target") == log.policy.target)
        self._taken_back = {
            (name, record_id, column): after
            for name, record_id, column, after in undone.select(
                "object", "record_id", "column_name", "after"
            ).iter_rows()
        }

    def forbids(self, entry: Entry) -> bool:
        """Whether it speaks of a suppressed person and does not carry the opt-out."""
        return self._suppressed.forbid(entry)

    def is_opted_out(self, entry: Entry) -> bool:
        """Whether the person that an opt-out is about is suppressed still."""
        return self._suppressed.forbid(replace(entry, change_kind="update"))

    def remainder(self, entry: Entry) -> Entry | None:
        """The entry without what is parked and what was undone; None if nothing is left of it."""
        operation = entry.operation
        # An opt-out is never held back.
        if entry.is_opt_out:
            return entry
        if operation.kind != "write":
            return None if self._is_taken_back(operation) else entry
        name, record_id = operation.object, operation.record_id or ""
        held = {f for f in operation.after if (name, record_id, f) in self._log.parked}
        for field_name, value in operation.after.items():
            place = (name, record_id, field_name)
            if place in self._taken_back and self._taken_back[place] == value:
                held.add(field_name)
        if not held:
            return entry
        after = {f: v for f, v in operation.after.items() if f not in held}
        before = {f: v for f, v in operation.before.items() if f not in held}
        return replace(entry, operation=replace(operation, before=before, after=after)) if after else None

    def _is_taken_back(self, operation: Operation) -> bool:
        if operation.kind == "merge":
            places = [(operation.object, loser, "merged_into") for loser in operation.losers]
            return any(self._taken_back.get(place, "") == operation.record_id for place in places)
        key = (operation.external_id or ("", ""))[1]
        return any((operation.object, key, field_name) in self._taken_back for field_name in operation.after)

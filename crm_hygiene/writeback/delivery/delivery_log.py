"""The log of deliveries: what happened to each operation, folded into how it stands now; nothing is changed.

What does not belong here: what is sent (`outbox`), sending (`courier`, `exchange`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.writeback.delivery.outbox import OUTBOX, Entry, as_text, entry_of, frame_of
from crm_hygiene.writeback.policy import TargetPolicy

DELIVERIES = "writeback.deliveries"

DeliveryState = Literal[
    "sending",
    "written",
    "delivered",
    "found",
    "already",
    "conflict",
    "refused",
    "retry",
    "exhausted",
    "uncertain",
    "retried",
    "confirmed",
    "reopened",
    "parked",
    "unparked",
    "undone",
    "expired",
]

#: Most characters of a target's answer that are kept.
LONGEST_ANSWER = 500

#: Not sent, or certainly not taken: goes out with the next apply. None: never sent.
WAITING = frozenset({None, "retry", "retried"})
#: It may have been taken: is read at the target before anything else.
UNSURE = frozenset({"sending", "uncertain"})
#: At the target, or in a file for it; the next landing confirms or reopens it.
ARRIVED = frozenset({"written", "delivered", "found", "already"})
#: Needs a person, or another plan.
DEAD = frozenset({"conflict", "refused", "exhausted"})
#: Done to the end: the same content planned again is a new generation.
CLOSED = frozenset({"confirmed", "reopened", "undone", "expired"})


@dataclass
class Standing:
    """How one operation stands.

    Attributes
    ----------
    state
        the last state, None before the first.
    image
        values read right before the last sending, of the fields that were sent; None if nothing was sent.
    left_out
        fields that were not sent because the target had changed them.
    apply_id
        the apply that sent it last.
    has_arrived
        whether the target ever told, or showed, that it took it.
    """

    state: str | None = None
    record_id: str | None = None
    apply_id: str | None = None
    attempt: int = 0
    image: dict[str, str | None] | None = None
    version: str | None = None
    sent_at: datetime | None = None
    answered_at: datetime | None = None
    code: str = ""
    answer: str = ""
    left_out: set[str] = field(default_factory=set)
    has_arrived: bool = False
    found_values: dict[str, str | None] | None = None
    answers_seen: set[tuple[str, str, str]] = field(default_factory=set)
    recorded_at: datetime | None = None

    def take(self, row: Mapping[str, Any]) -> None:
        """Fold one more row of the log in."""
        state = row["delivery_state"]
        if row["column_name"] is not None:
            if state == "conflict":
                self.left_out.add(row["column_name"])
            return
        self.state, self.recorded_at = state, row["recorded_at"]
        self.code, self.answer = row["answer_code"] or "", row["answer"] or ""
        self.record_id = row["record_id"] or self.record_id
        self.version = row["target_version"] or self.version
        self.attempt = max(self.attempt, row["attempt"] or 0)
        if state == "sending":
            self.sent_at = row["sent_at"]
            self.image = json.loads(row["before_image"] or "{}")
            self.apply_id = row["apply_id"]
        elif state == "reopened" and row["before_image"]:
            self.found_values = json.loads(row["before_image"])
        elif state in ("retried", "retry"):
            self.left_out = set()
        if state in ARRIVED or state in DEAD or state == "retry":
            self.answered_at = row["answered_at"] or row["recorded_at"]
            self.answers_seen.add((state, self.code, self.answer))
        if state in ("delivered", "found", "confirmed"):
            self.has_arrived = True

    def sent_fields(self, entry: Entry) -> dict[str, str | None]:
        """The values that were sent: those of the plan, without the fields left out."""
        after = entry.operation.after
        if entry.operation.kind == "create" or self.image is None:
            return dict(after)
        return {name: after[name] for name in self.image if name in after}


@dataclass(frozen=True)
class Event:
    """A row to add to the log; with a `column_name` it speaks of one field and not of the operation."""

    entry: Entry
    state: DeliveryState
    column_name: str | None = None
    attempt: int = 0
    image: Mapping[str, str | None] | None = None
    record_id: str | None = None
    version: str | None = None
    sent_at: datetime | None = None
    answered_at: datetime | None = None
    code: str = ""
    answer: str = ""


class DeliveryLog:
    """Outbox and deliveries of one target: read once, added to by one process at a time.

    Attributes
    ----------
    entries, standings
        by operation id.
    parked, unparked_at
        fields left alone, and since when others are not any more: object, record, column.
    sendings
        when each operation was sent, once per sending.
    versions
        of records by object and id: what the target said after our last change, None if it did not say.
    """

    def __init__(self, lake: Lake, policy: TargetPolicy, metadata: Mapping[str, str]) -> None:
        self.lake = lake
        self.policy = policy
        self._metadata = dict(metadata)
        self.entries: dict[str, Entry] = {}
        self.standings: dict[str, Standing] = {}
        self.parked: set[tuple[str, str, str]] = set()
        self.unparked_at: dict[tuple[str, str, str], datetime] = {}
        self.sendings: list[datetime] = []
        self.versions: dict[tuple[str, str], str | None] = {}
        self._last: datetime | None = None
        self._read()

    def _read(self) -> None:
        of_target = pl.col("target") == self.policy.target
        outbox = self.lake.scan(contract_of(OUTBOX)).filter(of_target).collect()
        for row in outbox.sort("planned_at", "operation_id").iter_rows(named=True):
            entry = entry_of(row, self.policy)
            self.entries[entry.operation_id] = entry
            self.standings[entry.operation_id] = Standing()
        rows = self.lake.scan(contract_of(DELIVERIES)).filter(of_target).collect()
        for row in rows.sort("recorded_at", "delivery_id").iter_rows(named=True):
            self._take(row)

    def _take(self, row: Mapping[str, Any]) -> None:
        if row["operation_id"] in self.standings:
            self.standings[row["operation_id"]].take(row)
        if row["delivery_state"] == "sending":
            self.sendings.append(row["recorded_at"])
        if row["delivery_state"] in ("delivered", "found") and row["record_id"] is not None:
            self.versions[row["object"], row["record_id"]] = row["target_version"]
        if row["column_name"] is not None and row["record_id"] is not None:
            field_key = (row["object"], row["record_id"], row["column_name"])
            if row["delivery_state"] == "parked":
                self.parked.add(field_key)
            elif row["delivery_state"] == "unparked":
                self.parked.discard(field_key)
                self.unparked_at[field_key] = row["recorded_at"]
        self._last = row["recorded_at"]

    def state(self, operation_id: str) -> str | None:
        """How the operation stands; None before it was first sent."""
        return self.standings[operation_id].state

    def is_closed(self, operation_id: str) -> bool | None:
        """Whether it was done to the end; None if it is not in the outbox."""
        known = self.standings.get(operation_id)
        return None if known is None else known.state in CLOSED

    def of_states(self, states: frozenset[str | None] | frozenset[str]) -> list[Entry]:
        """Entries that stand so, in the order of delivery."""
        found = [self.entries[key] for key, known in self.standings.items() if known.state in states]
        return sorted(found, key=lambda entry: entry.order)

    def take_in(self, entries: Sequence[Entry], apply_id: str, now: datetime) -> None:
        """Add operations to the outbox in one commit; those already there are passed over."""
        new = list({e.operation_id: e for e in entries if e.operation_id not in self.entries}.values())
        if not new:
            return
        frame = frame_of(new, apply_id, now)
        self.lake.append(contract_of(OUTBOX), [frame], self._metadata)
        for row in frame.iter_rows(named=True):
            entry = entry_of(row, self.policy)
            self.entries[entry.operation_id] = entry
            self.standings[entry.operation_id] = Standing()

    def record(self, events: Iterable[Event], apply_id: str, now: datetime) -> None:
        """Add rows in one commit."""
        rows = []
        moment = now
        for event in events:
            # A clock may go back, and rows of one commit have an order too.
            if self._last is not None and moment <= self._last:
                moment = self._last + timedelta(microseconds=1)
            self._last = moment
            rows.append(_row(event, self.policy.target, apply_id, moment))
        if not rows:
            return
        contract = contract_of(DELIVERIES)
        frame = contract.shape(pl.DataFrame(rows, schema=contract.schema))
        self.lake.append(contract, [frame], self._metadata)
        for row in rows:
            self._take(row)


def _row(event: Event, target: str, apply_id: str, moment: datetime) -> dict[str, Any]:
    operation = event.entry.operation
    sent, answered = event.sent_at, event.answered_at
    key = "\x1f".join((operation.operation_id, event.state, event.column_name or "", moment.isoformat()))
    return {
        "delivery_id": hashlib.sha256(key.encode()).hexdigest()[:32],
        "operation_id": operation.operation_id,
        "target": target,
        "object": operation.object,
        "record_id": event.record_id or operation.record_id,
        "column_name": event.column_name,
        "apply_id": apply_id,
        "attempt": event.attempt or None,
        "delivery_state": event.state,
        "before_image": None if event.image is None else as_text(event.image),
        "target_version": event.version,
        "sent_at": sent,
        "answered_at": answered,
        "latency_ms": round((answered - sent).total_seconds() * 1000) if sent and answered else None,
        "answer_code": event.code or None,
        "answer": event.answer or None,
        "recorded_at": moment,
    }

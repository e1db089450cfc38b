"""The courier: takes one batch to the target and writes down, before and after, what becomes of it.

Before a batch goes out its records are read, its rows of state `sending` are appended; after it the
answers. Whatever ends the process between the two leaves `sending` rows behind, and what is `sending` is
read at the target before it is ever sent again. What does not belong here: which batches (`dispatch`),
reading them (`inspection`), sending them (`exchange`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from crm_hygiene.writeback.delivery.breaker import BREAKER_CODE
from crm_hygiene.writeback.delivery.delivery_log import (
    ARRIVED,
    UNSURE,
    DeliveryLog,
    DeliveryState,
    Event,
)
from crm_hygiene.writeback.delivery.exchange import Exchange
from crm_hygiene.writeback.delivery.inspection import Inspection
from crm_hygiene.writeback.delivery.outbox import Entry
from crm_hygiene.writeback.delivery.patience import Patience
from crm_hygiene.writeback.delivery.precondition import Verdict
from crm_hygiene.writeback.delivery.stopping import Stopped
from crm_hygiene.writeback.operations import Operation
from crm_hygiene.writeback.target import Target


@dataclass
class Courier:
    """One apply's way to one target."""

    target: Target
    log: DeliveryLog
    patience: Patience
    inspection: Inspection
    apply_id: str

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Take a batch (one kind, one object) to the target; every entry stands somewhere new afterwards.

        Raises
        ------
        Stopped
            when the target must be left alone; what is known of the batch has been written down.
        """
        # A batch is of one kind: the connector can all of it or nothing.
        can = entries[0].operation.kind in self.target.kinds
        able = [*entries] if can else []
        events = [
            Event(e, "refused", code="unable", answer=f"the connector cannot {e.operation.kind} records")
            for e in ([] if can else entries)
        ]
        try:
            verdicts = self.inspection.judge(able, {e.operation_id: e.operation for e in able})
        except Stopped as stop:
            if stop.reason == "breaker":
                # So that the next apply and `status` know that the target was down.
                waiting = [e for e in able if self.log.state(e.operation_id) not in UNSURE]
                events += [Event(e, "retry", code=BREAKER_CODE, answer=str(stop)) for e in waiting]
            self._record(events)
            raise
        due: dict[str, Operation] = {}
        sent_at = self.patience.clock.now()
        for entry in able:
            verdict = verdicts[entry.operation_id]
            events += self._before(entry, verdict, sent_at)
            if verdict.decision == "send":
                due[entry.operation_id] = verdict.operation
        self._record(events)
        if due:
            self._exchange({e.operation_id: e for e in able}, due, sent_at)

    def _before(self, entry: Entry, verdict: Verdict, sent_at: datetime) -> list[Event]:
        known = self.log.standings[entry.operation_id]
        if verdict.decision == "already":
            state: DeliveryState = "found" if known.state in UNSURE else "already"
            return [
                Event(
                    entry,
                    state,
                    record_id=verdict.operation.record_id,
                    attempt=known.attempt,
                    version=verdict.operation.version,
                )
            ]
        if verdict.decision == "conflict":
            partly = known.state in UNSURE and verdict.done and known.image is not None
            state = "found" if partly else "conflict"
            left_out = [Event(entry, "conflict", column_name=f, code="changed") for f in verdict.changed]
            return [*left_out, Event(entry, state, code=verdict.code, answer=verdict.reason)]
        events = [
            Event(entry, "conflict", column_name=f, code="changed", record_id=entry.operation.record_id)
            for f in verdict.changed
        ]
        # A field that an earlier, half-taken sending wrote keeps the before-image of that sending.
        earlier = {
            f: v for f, v in (known.image or {}).items() if f in verdict.done and known.state in UNSURE
        }
        image = {**earlier, **verdict.image}
        return [*events, Event(entry, "sending", attempt=known.attempt + 1, image=image, sent_at=sent_at)]

    def _exchange(self, entries: dict[str, Entry], due: dict[str, Operation], sent_at: datetime) -> None:
        attempts = {key: self.log.standings[key].attempt for key in due}
        exchange = Exchange(self.target, self.patience, self.inspection, entries, due, attempts, sent_at)
        try:
            exchange.run()
        finally:
            # Not reached by a kill; what a defect throws leaves the batch as `sending` all the same.
            self._record(exchange.events)

    def _record(self, events: Sequence[Event]) -> None:
        # In the same commit: an operation taken back is never both undone and not.
        undone = [
            Event(self.log.entries[e.entry.undoes], "undone", code=e.entry.operation_id)
            for e in events
            if e.entry.undoes is not None and e.state in ARRIVED and e.column_name is None
        ]
        self.log.record([*events, *undone], self.apply_id, self.patience.clock.now())

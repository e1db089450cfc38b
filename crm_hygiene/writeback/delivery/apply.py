"""Applying: the plan becomes operations, and they go to the target in order until all have.

Resumable: what was taken in stays in the outbox, and whatever a kill left open is looked up at the target
first. What does not belong here: what of the plan is kept back (`withholding`), which batches go out and
when (`dispatch`), one batch (`courier`), the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import polars as pl

from crm_hygiene.lake import Lake
from crm_hygiene.writeback.delivery import approval as approvals
from crm_hygiene.writeback.delivery.backoff import Backoff
from crm_hygiene.writeback.delivery.breaker import BREAKER_CODE, Breaker, breaker_opened_at
from crm_hygiene.writeback.delivery.canary import CANARY_CODE
from crm_hygiene.writeback.delivery.convergence import flips
from crm_hygiene.writeback.delivery.courier import Courier
from crm_hygiene.writeback.delivery.delivery_log import (
    DEAD,
    UNSURE,
    WAITING,
    DeliveryLog,
    DeliveryState,
    Event,
)
from crm_hygiene.writeback.delivery.dispatch import Dispatch, Watcher, say_nothing
from crm_hygiene.writeback.delivery.inspection import Inspection, Landed
from crm_hygiene.writeback.delivery.late_answers import collect_answers
from crm_hygiene.writeback.delivery.outbox import Entry, as_generation, batches, entries_of
from crm_hygiene.writeback.delivery.pacing import Clock, Pace, SystemClock
from crm_hygiene.writeback.delivery.patience import Patience
from crm_hygiene.writeback.delivery.report import Report
from crm_hygiene.writeback.delivery.secrets import Redactor
from crm_hygiene.writeback.delivery.stopping import Stopped
from crm_hygiene.writeback.delivery.undo import not_undone, undo_entries
from crm_hygiene.writeback.delivery.withholding import Withholding
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.target import Target


@dataclass
class Delivery:
    """One target with its log, for one apply or undo; the caller holds the lock.

    Attributes
    ----------
    metadata
        texts for the lake's commits.
    landed
        the record of an operation as the last landing has it, for targets that cannot be read.
    """

    lake: Lake
    policy: TargetPolicy
    target: Target
    log: DeliveryLog
    apply_id: str
    metadata: dict[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    random: Random = field(default_factory=Random)
    redact: Redactor = field(default_factory=Redactor)
    landed: Landed | None = None
    watch: Watcher = say_nothing

    def __post_init__(self) -> None:
        self._withholding = Withholding(self.lake, self.log)
        self._patience = Patience(
            self.target,
            self.policy,
            Pace(self.policy.pace, self.clock, self.log.sendings),
            Backoff(self.policy.retry, self.random),
            Breaker(self.policy.breaker, was_open=breaker_opened_at(self.log) is not None),
            self.clock,
            self.redact,
        )
        self._inspection = Inspection(self.target, self.log, self._patience, self.landed)
        courier = Courier(self.target, self.log, self._patience, self._inspection, self.apply_id)
        self._dispatch = Dispatch(self.policy, courier, self._withholding, self.watch)

    # -- the plan

    def planned(self, changes: pl.DataFrame, report: Report) -> list[Entry]:
        """The plan's operations under their keys; without parked and undone fields and suppressed people."""
        entries = entries_of(changes, self.policy)
        kept = []
        for entry in entries:
            able = self._withholding.remainder(entry)
            if able is None or able != entry:
                report.withheld += 1
            if able is None:
                continue
            if self._withholding.forbids(able):
                report.suppressed += 1
                continue
            kept.append(as_generation(able, self.log.is_closed))
        report.planned = len(kept)
        return kept

    def _park(self, changes: pl.DataFrame, is_dry: bool = False) -> None:
        """Park the fields that this plan would turn once more."""
        found = flips(self.log, {}, entries_of(changes, self.policy))
        if is_dry:
            self.log.parked |= {
                (e.operation.object, e.operation.record_id, c) for e, c in found if e.operation.record_id
            }
            return
        words = "it goes back and forth between the target and us; writeback unpark lets it go"
        events = [Event(e, "parked", column_name=c, answer=words) for e, c in found]
        self.log.record(events, self.apply_id, self.clock.now())

    def _expire(self, planned: Sequence[Entry]) -> None:
        """Close what is no longer planned: another plan has taken its place."""
        keys = {entry.operation_id for entry in planned}
        old = [
            e for e in self.log.of_states(WAITING | DEAD) if e.operation_id not in keys and e.undoes is None
        ]
        events = [Event(e, "expired", code="superseded", answer="no longer planned") for e in old]
        self.log.record(events, self.apply_id, self.clock.now())

    # -- apply

    def preview(self, changes: pl.DataFrame, population: int) -> Report:
        """What `apply` would send now; nothing is written and the target is not asked."""
        report = self._measured(changes, population)
        self._park(changes, is_dry=True)
        planned = [e for e in self.planned(changes, report) if self._is_open(e)]
        report.tell_due(planned)
        report.waiting = report.due
        return report

    def _measured(self, changes: pl.DataFrame, population: int) -> Report:
        extent = approvals.extent_of(changes, self.policy.target, population)
        digest = approvals.plan_digest(changes, self.policy.target)
        report = Report(self.policy.target, self.apply_id, digest=digest)
        report.touched, report.share = extent.touched, round(float(extent.share), 6)
        return report

    def _is_open(self, entry: Entry) -> bool:
        known = self.log.standings.get(entry.operation_id)
        return known is None or known.state in WAITING or known.state in UNSURE

    def apply(
        self,
        changes: pl.DataFrame,
        population: int,
        limit: int | None = None,
        approval: approvals.Approval | None = None,
    ) -> Report:
        """Send what is planned and not yet there.

        Parameters
        ----------
        changes
            writeback.changes.
        population
            records of the target, as far as they have landed: the plan's share is of these.
        limit
            most operations to send.
        approval
            lets a plan go that is larger than the policy allows unasked.
        """
        report = self._measured(changes, population)
        before = {key: known.recorded_at for key, known in self.log.standings.items()}
        try:
            self.collect()
            self._park(changes)
            self._resolve_unplanned(entries := self.planned(changes, report))
            self._check_extent(report, population, approval)
            self._expire(entries)
            self.log.take_in(entries, self.apply_id, self.clock.now())
            due = [self.log.entries[e.operation_id] for e in entries if self._is_open(e)]
            report.tell_due(due)
            if due:
                self._check_canary_of_before()
                self._connect(due)
                self._dispatch.all_of(due, limit)
        except Stopped as stop:
            report.tell_stop(stop)
        report.sum_up(self.log, before)
        return report

    def _connect(self, due: Sequence[Entry]) -> None:
        try:
            self._patience.connect()
        except Stopped as stop:
            if stop.reason == "breaker":
                # So that the next apply and `status` know that the target was down.
                first = due[: self._dispatch.batch_size]
                waiting = [e for e in first if self.log.state(e.operation_id) in WAITING]
                events = [Event(e, "retry", code=BREAKER_CODE, answer=str(stop)) for e in waiting]
                self.log.record(events, self.apply_id, self.clock.now())
            raise

    def _check_extent(self, report: Report, population: int, approval: approvals.Approval | None) -> None:
        extent = approvals.Extent(report.touched, population)
        if not extent.exceeds(self.policy.halt):
            return
        if approval is not None:
            now = self.clock.now()
            approvals.approve(
                self.lake, self.policy.target, report.digest, extent, approval, now, self.metadata
            )
        elif not approvals.is_approved(self.lake, self.policy.target, report.digest):
            raise Stopped(
                "approval",
                f"the plan touches {extent.touched:,} of {population:,} records ({extent.share:.1%}), more "
                f"than {self.policy.halt.share:.1%} and {self.policy.halt.floor}: read it, then "
                "writeback apply --approve --why ...",
            )

    def _resolve_unplanned(self, planned: Sequence[Entry]) -> None:
        """Find out what became of operations that a kill left open and that the plan has dropped since."""
        keys = {entry.operation_id for entry in planned}
        lost = [e for e in self.log.of_states(UNSURE) if e.operation_id not in keys and e.undoes is None]
        if not lost:
            return
        if self.target.is_live:
            self._patience.connect()
        events = []
        for batch in batches(lost, self._dispatch.batch_size):
            verdicts = self._inspection.judge(batch, {e.operation_id: e.operation for e in batch})
            for entry in batch:
                verdict = verdicts[entry.operation_id]
                is_there = verdict.decision == "already" or bool(verdict.done)
                state: DeliveryState = "found" if is_there else "expired"
                code = "" if is_there else "superseded"
                events.append(Event(entry, state, code=code, record_id=verdict.operation.record_id))
        self.log.record(events, self.apply_id, self.clock.now())

    def _check_canary_of_before(self) -> None:
        wrong = [
            e for e in self.log.of_states(DEAD) if self.log.standings[e.operation_id].code == CANARY_CODE
        ]
        if wrong:
            raise Stopped(
                "canary",
                f"{len(wrong)} operations of an earlier canary did not read back as sent; mend the cause, "
                "then writeback retry",
            )

    # -- results that come later

    def collect(self) -> int:
        """Take in what the target tells of operations sent earlier; returns how many answers were new."""
        return collect_answers(self.log, self.target, self.apply_id, self.clock, self.redact)

    # -- undo

    def undo(self, apply_id: str) -> Report:
        """Take an apply back, as far as the target still holds what we wrote; the rest is listed."""
        report = Report(self.policy.target, self.apply_id)
        before = {key: known.recorded_at for key, known in self.log.standings.items()}
        entries, report.left = undo_entries(self.log, apply_id, self._withholding.is_opted_out)
        report.tell_due(entries)
        report.planned = report.due
        try:
            self.log.take_in(entries, self.apply_id, self.clock.now())
            if entries:
                self._patience.connect()
                # What was refused or left alone by an earlier undo is looked at again.
                self._dispatch.in_order([self.log.entries[e.operation_id] for e in entries], None)
        except Stopped as stop:
            report.tell_stop(stop)
        report.left += not_undone(self.log, entries)
        report.sum_up(self.log, before)
        return report

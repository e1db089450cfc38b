"""Applying: the plan becomes operations, and they go to the target in order until all have.

Resumable: what was taken in stays in the outbox, and whatever a kill left open is looked up at the target
first. What does not belong here: one batch (`courier`), the command line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

import polars as pl

from crm_hygiene.lake import Lake
from crm_hygiene.writeback.delivery import approval as approvals
from crm_hygiene.writeback.delivery.backoff import Backoff
from crm_hygiene.writeback.delivery.breaker import Breaker
from crm_hygiene.writeback.delivery.canary import CANARY_CODE, choose
from crm_hygiene.writeback.delivery.convergence import flips
from crm_hygiene.writeback.delivery.courier import BREAKER_CODE, Courier, Landed, Stopped, StopReason
from crm_hygiene.writeback.delivery.delivery_log import (
    ARRIVED,
    DEAD,
    UNSURE,
    WAITING,
    DeliveryLog,
    DeliveryState,
    Event,
)
from crm_hygiene.writeback.delivery.outbox import Entry, as_generation, batches, entries_of
from crm_hygiene.writeback.delivery.pacing import Clock, Pace, SystemClock, is_open
from crm_hygiene.writeback.delivery.secrets import Redactor
from crm_hygiene.writeback.delivery.suppressed_people import SuppressedPeople
from crm_hygiene.writeback.delivery.taken_back import taken_back
from crm_hygiene.writeback.delivery.undo import Left, undo_entries
from crm_hygiene.writeback.operations import Operation, Outcome
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.target import CollectsLater, Target

Watcher = Callable[[int, int], None]
"""Told how many operations of how many have been dealt with."""


def _say_nothing(done: int, total: int) -> None:
    """A watcher that tells nobody."""


#: Reasons for which an apply counts as stopped by a guard; the others only put off what is left.
GUARDS: frozenset[StopReason] = frozenset({"approval", "canary", "breaker", "rate_limit", "sign_in"})


@dataclass
class Report:
    """What one apply or undo did.

    `planned` counts the plan's operations, `done` what they have come to in this apply by state, `waiting`
    those that are left for the next apply. `left` lists what an undo leaves as it is.
    """

    target: str
    apply_id: str
    planned: int = 0
    due: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    dead: int = 0
    withheld: int = 0
    suppressed: int = 0
    left: list[Left] = field(default_factory=list)
    stopped_by: StopReason | None = None
    message: str = ""
    digest: str = ""
    touched: int = 0
    share: float = 0.0

    @property
    def is_stopped(self) -> bool:
        """Whether a guard ended it."""
        return self.stopped_by in GUARDS


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
    watch: Watcher = _say_nothing

    def __post_init__(self) -> None:
        self._suppressed = SuppressedPeople(self.lake)
        undone = taken_back(self.lake).filter(pl.col("target") == self.policy.target)
        self._taken_back = {
            (name, record_id, column): after
            for name, record_id, column, after in undone.select(
                "object", "record_id", "column_name", "after"
            ).iter_rows()
        }
        self._pace = Pace(self.policy.pace, self.clock, self.log.sendings)
        self._courier = Courier(
            self.target,
            self.policy,
            self.log,
            self._pace,
            Backoff(self.policy.retry, self.random),
            Breaker(self.policy.breaker, was_open=breaker_opened_at(self.log) is not None),
            self.clock,
            self.redact,
            self.apply_id,
            self.landed,
        )

    # -- the plan

    def planned(self, changes: pl.DataFrame, report: Report) -> list[Entry]:
        """The plan's operations under their keys; without parked and undone fields and suppressed people."""
        entries = entries_of(changes, self.policy)
        kept = []
        for entry in entries:
            able = self._without_held(entry)
            if able is None or able != entry:
                report.withheld += 1
            if able is None:
                continue
            if self._suppressed.forbid(able):
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

    def _without_held(self, entry: Entry) -> Entry | None:
        """The entry without what is parked and what was undone; None if nothing is left of it."""
        operation = entry.operation
        # An opt-out is never held back.
        if entry.is_opt_out:
            return entry
        if operation.kind != "write":
            return None if self._is_taken_back(operation) else entry
        name, record_id = operation.object, operation.record_id or ""
        held = {f for f in operation.after if (name, record_id, f) in self.log.parked}
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
        report.due = report.waiting = len(planned)
        report.by_kind = dict(Counter(f"{e.operation.kind} {e.operation.object}" for e in planned))
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
            self._collect()
            self._park(changes)
            self._resolve_unplanned(entries := self.planned(changes, report))
            self._check_extent(report, population, approval)
            self._expire(entries)
            self.log.take_in(entries, self.apply_id, self.clock.now())
            due = [self.log.entries[e.operation_id] for e in entries if self._is_open(e)]
            report.due = len(due)
            report.by_kind = dict(Counter(f"{e.operation.kind} {e.operation.object}" for e in due))
            if due:
                self._check_canary_of_before()
                self._connect(due)
                self._deliver_all(due, limit)
        except Stopped as stop:
            report.stopped_by, report.message = stop.reason, str(stop)
        return self._summed(report, before)

    def _connect(self, due: Sequence[Entry]) -> None:
        try:
            self._courier.connect()
        except Stopped as stop:
            if stop.reason == "breaker":
                # So that the next apply and `status` know that the target was down.
                waiting = [e for e in due[: self._batch_size()] if self.log.state(e.operation_id) in WAITING]
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
            self._courier.connect()
        events = []
        for batch in batches(lost, self._batch_size()):
            verdicts = self._courier.judge(batch, {e.operation_id: e.operation for e in batch})
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

    # -- undo

    def undo(self, apply_id: str) -> Report:
        """Take an apply back, as far as the target still holds what we wrote; the rest is listed."""
        report = Report(self.policy.target, self.apply_id)
        before = {key: known.recorded_at for key, known in self.log.standings.items()}
        entries, report.left = undo_entries(self.log, apply_id, self._is_still_opted_out)
        report.planned = report.due = len(entries)
        report.by_kind = dict(Counter(f"{e.operation.kind} {e.operation.object}" for e in entries))
        try:
            self.log.take_in(entries, self.apply_id, self.clock.now())
            if entries:
                self._courier.connect()
                # What was refused or left alone by an earlier undo is looked at again.
                self._deliver_batches([self.log.entries[e.operation_id] for e in entries], None)
        except Stopped as stop:
            report.stopped_by, report.message = stop.reason, str(stop)
        for entry in entries:
            known = self.log.standings[entry.operation_id]
            record_id, name = entry.operation.record_id, entry.operation.object
            if known.state in DEAD:
                fields = tuple(sorted(known.left_out or entry.operation.after))
                report.left.append(Left(name, record_id, fields, known.answer or known.code))
            elif known.left_out:
                reason = "changed at the target since we wrote it"
                report.left.append(Left(name, record_id, tuple(sorted(known.left_out)), reason))
        return self._summed(report, before)

    def _is_still_opted_out(self, entry: Entry) -> bool:
        return self._suppressed.forbid(replace(entry, change_kind="update"))

    # -- the loop

    def _batch_size(self) -> int:
        return max(1, min(self.policy.pace.batch, self.target.batch_size))

    def _deliver_all(self, due: Sequence[Entry], limit: int | None) -> None:
        canary = choose(due, self.policy.canary)
        sent = 0
        if canary:
            sent = self._deliver_batches(canary, limit, total=len(due))
            self._check_canary(canary)
        chosen = {e.operation_id for e in canary}
        rest = [e for e in due if e.operation_id not in chosen]
        self._deliver_batches(rest, limit, sent, len(due))

    def _deliver_batches(
        self, due: Sequence[Entry], limit: int | None, sent: int = 0, total: int | None = None
    ) -> int:
        """Deliver in order; returns how many have been dealt with, those of before included."""
        for batch in self._batches(due):
            room = min(len(batch), self._pace.left(), len(batch) if limit is None else limit - sent)
            if not is_open(self.policy.hours, self.clock.now()):
                raise Stopped("hours", "outside the hours the policy allows; apply again then")
            if room <= 0 and limit is not None and sent >= limit:
                raise Stopped("limit", f"the limit of {limit:,} operations is reached")
            if room <= 0:
                raise Stopped("budget", f"today's budget of {self.policy.pace.per_day:,} records is spent")
            allowed = [e for e in batch[:room] if not self._is_forbidden_now(e)]
            if allowed:
                self._courier.deliver(allowed)
            sent += room
            self.watch(sent, len(due) if total is None else total)
            if room < len(batch):
                reason: StopReason = "limit" if limit is not None and sent >= limit else "budget"
                raise Stopped(reason, f"{reason} reached; the rest goes with the next apply")
        return sent

    def _batches(self, due: Sequence[Entry]) -> list[list[Entry]]:
        """What a kill left open first; for files in the very batches it was written down in."""
        size = self._batch_size()
        unsure = [e for e in due if self.log.state(e.operation_id) in UNSURE]
        fresh = [e for e in due if self.log.state(e.operation_id) not in UNSURE]
        by_sending: dict[datetime | None, list[Entry]] = {}
        for entry in unsure:
            by_sending.setdefault(self.log.standings[entry.operation_id].sent_at, []).append(entry)
        again = [b for group in by_sending.values() for b in batches(group, size)]
        return [*again, *batches(fresh, size)]

    def _is_forbidden_now(self, entry: Entry) -> bool:
        """Whether the person has become suppressed while this apply runs."""
        if not self._suppressed.forbid(entry):
            return False
        event = Event(entry, "expired", code="suppressed", answer="the person has opted out")
        self.log.record([event], self.apply_id, self.clock.now())
        return True

    def _check_canary(self, canary: Sequence[Entry]) -> None:
        states = Counter(self.log.state(e.operation_id) for e in canary)
        refused = states["refused"] + states["exhausted"]
        if refused * 2 > len(canary):
            raise Stopped(
                "canary", f"the target refused {refused} of the {len(canary)} operations of the canary"
            )
        if not self.target.is_live:
            return
        arrived = [e for e in canary if self.log.state(e.operation_id) in ("delivered", "found")]
        wrong = self._courier.differing(arrived)
        if wrong:
            events = [
                Event(self.log.entries[key], "refused", code=CANARY_CODE, answer=reason)
                for key, reason in sorted(wrong.items())
            ]
            self.log.record(events, self.apply_id, self.clock.now())
            reasons = "; ".join(sorted(set(wrong.values()))[:3])
            raise Stopped(
                "canary",
                f"{len(wrong)} of the {len(canary)} operations of the canary: {reasons}; nothing else was "
                "sent",
            )

    # -- results that come later

    def _collect(self) -> None:
        collect_answers(self.log, self.target, self.apply_id, self.clock, self.redact)

    def _summed(self, report: Report, before: dict[str, datetime | None]) -> Report:
        moved = [
            known.state
            for key, known in self.log.standings.items()
            if known.recorded_at is not None and known.recorded_at != before.get(key)
        ]
        report.done = dict(sorted(Counter(str(state) for state in moved).items()))
        is_undo = report.digest == ""
        mine = [e for e in self.log.of_states(WAITING | UNSURE) if (e.undoes is not None) == is_undo]
        report.waiting = len(mine)
        report.dead = len([e for e in self.log.of_states(DEAD) if (e.undoes is not None) == is_undo])
        return report


def collect_answers(log: DeliveryLog, target: Target, apply_id: str, clock: Clock, redact: Redactor) -> int:
    """Take the answers in that a target gives later, as files of results; returns how many were new.

    An answer told before is passed over: it may be of an earlier sending of the same operation.
    """
    if not isinstance(target, CollectsLater):
        return 0
    states: dict[Outcome, DeliveryState] = {
        Outcome.DONE: "delivered",
        Outcome.CONFLICT: "conflict",
        Outcome.REFUSED: "refused",
        Outcome.RETRY: "retry",
    }
    events = []
    for answer in target.collect():
        known = log.standings.get(answer.operation_id)
        state = states.get(answer.outcome)
        if known is None or state is None or (known.state not in UNSURE and known.state != "written"):
            continue
        words = redact(answer.message)[:500]
        if (state, answer.code, words) in known.answers_seen and state != "delivered":
            continue
        events.append(
            Event(
                log.entries[answer.operation_id],
                state,
                record_id=answer.record_id,
                version=answer.version,
                attempt=known.attempt,
                sent_at=known.sent_at,
                answered_at=clock.now(),
                code=answer.code,
                answer=words,
            )
        )
    log.record(events, apply_id, clock.now())
    return len(events)


def breaker_opened_at(log: DeliveryLog, now: datetime | None = None) -> datetime | None:
    """When the breaker last opened, if the target has not answered since; with `now`, if its pause lasts."""
    opened = [k.recorded_at for k in log.standings.values() if k.code == BREAKER_CODE and k.recorded_at]
    good = [k.answered_at for k in log.standings.values() if k.state in ARRIVED and k.answered_at]
    last = max(opened, default=None)
    if last is None or (good and max(good) > last):
        return None
    if now is not None and now - last > timedelta(seconds=log.policy.breaker.pause_seconds):
        return None
    return last

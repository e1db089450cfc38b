"""The courier: takes one batch to the target and writes down, before and after, what becomes of it.

Before a batch goes out its records are read, its rows of state `sending` are appended; after it the
answers. Whatever ends the process between the two leaves `sending` rows behind, and what is `sending` is
read at the target before it is ever sent again. What does not belong here: which batches (`apply`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeVar

from crm_hygiene.writeback.delivery.backoff import Backoff
from crm_hygiene.writeback.delivery.breaker import Breaker, CallKind
from crm_hygiene.writeback.delivery.delivery_log import (
    ARRIVED,
    UNSURE,
    DeliveryLog,
    DeliveryState,
    Event,
)
from crm_hygiene.writeback.delivery.outbox import Entry
from crm_hygiene.writeback.delivery.pacing import Clock, Pace
from crm_hygiene.writeback.delivery.precondition import (
    Verdict,
    judge_create,
    judge_delete,
    judge_merge,
    judge_unmerge,
    judge_write,
)
from crm_hygiene.writeback.delivery.secrets import Redactor
from crm_hygiene.writeback.operations import Answer, Child, Held, Operation, Outcome
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.target import (
    AnswerLost,
    HoldsSecrets,
    RateLimited,
    RenamesSurvivors,
    SessionExpired,
    SignInRefused,
    Target,
    TargetError,
    TargetUnavailable,
)

T = TypeVar("T")

#: What ended an apply before all was sent.
StopReason = Literal["approval", "canary", "breaker", "rate_limit", "sign_in", "hours", "budget", "limit"]

#: The answer's code of operations that a target which is down has left behind.
BREAKER_CODE = "breaker"

_LONGEST_ANSWER = 500
_LEAST_MASKED = 4

Landed = Callable[[Entry], Held | None]


class Stopped(Exception):  # noqa: N818 - named as what happened
    """The apply ends here; what has not been sent stays in the outbox."""

    def __init__(self, reason: StopReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass
class Courier:
    """One apply's way to one target.

    `landed` gives the record as the last landing has it, for targets that cannot be read.
    """

    target: Target
    policy: TargetPolicy
    log: DeliveryLog
    pace: Pace
    backoff: Backoff
    breaker: Breaker
    clock: Clock
    redact: Redactor
    apply_id: str
    landed: Landed | None = None

    def connect(self) -> None:
        """Sign in.

        Raises
        ------
        Stopped
            if the target refuses the credentials, or is down for longer than the breaker's patience.
        """
        self._ask(self._sign_in, "connect")

    def _sign_in(self) -> None:
        self.target.connect()
        if isinstance(self.target, HoldsSecrets):
            self.redact.learn(*self.target.session_secrets())

    # -- asking, with patience

    def _ask(self, call: Callable[[], T], kind: CallKind = "read") -> T:
        """What `call` gives; asked again after failures of the whole target, as long as the policy allows.

        Raises
        ------
        AnswerLost
            of a sending only: what was sent has to be read first.
        Stopped
            when patience ends; nothing was taken then.
        """
        limited = failed = 0
        is_renewed = False
        while True:
            self.pace.before_request()
            try:
                got = call()
            except SignInRefused as error:
                raise Stopped(
                    "sign_in", f"the target refuses the sign-in: {self.redact(str(error))}"
                ) from None
            except RateLimited as error:
                limited += 1
                self._wait_for_allowance(limited, error.retry_after)
            except SessionExpired as error:
                # A session that ends right after signing in is a failure like any other.
                if is_renewed or kind == "connect":
                    failed += 1
                    self._bear(error, failed, kind)
                if kind != "connect":
                    self._ask(self._sign_in, "connect")
                    is_renewed = True
            except TargetUnavailable as error:
                failed += 1
                self._bear(error, failed, kind)
            except TargetError as error:
                if kind == "send":
                    raise AnswerLost(str(error)) from error
                failed += 1
                self._bear(error, failed, kind)
            else:
                self.breaker.succeed(kind)
                return got

    def _wait_for_allowance(self, times: int, retry_after: float | None) -> None:
        if self.backoff.is_too_long(retry_after):
            raise Stopped(
                "rate_limit", f"the target asks to wait {retry_after:.0f} seconds; apply again then"
            )
        if times >= self.policy.retry.attempts:
            raise Stopped("rate_limit", f"the target has answered {times} times that it is asked too often")
        self.clock.sleep(self.backoff.seconds(times, retry_after))

    def _bear(self, error: Exception, times: int, kind: CallKind) -> None:
        """Wait after a failure of the whole target; Stopped if the breaker's probe failed too."""
        was_probe = self.breaker.state == "half_open"
        self.breaker.fail(kind)
        if was_probe:
            words = self.redact(str(error))[:_LONGEST_ANSWER]
            raise Stopped("breaker", f"the target does not answer: {words or type(error).__name__}")
        if self.breaker.state == "open":
            self.clock.sleep(self.policy.breaker.pause_seconds)
            self.breaker.probe()
        else:
            self.clock.sleep(self.backoff.seconds(times))

    # -- looking before writing

    def judge(self, entries: Sequence[Entry], operations: dict[str, Operation]) -> dict[str, Verdict]:
        """What is to be done with each of a batch's operations, by what the target holds now."""
        if not entries:
            return {}
        if not self.target.is_live:
            return {e.operation_id: self._judge_unseen(e, operations[e.operation_id]) for e in entries}
        kind, name = entries[0].operation.kind, entries[0].operation.object
        ops = [operations[e.operation_id] for e in entries]
        if kind == "create":
            keys = {op.external_id for op in ops if op.external_id is not None}
            found: dict[str, str] = {}
            for key_field in sorted({key[0] for key in keys}):
                wanted = sorted(key[1] for key in keys if key[0] == key_field)
                found |= self._ask(lambda f=key_field, w=wanted: self.target.find(name, f, w))  # type: ignore[misc]
            return {
                op.operation_id: judge_create(op, found.get((op.external_id or ("", ""))[1])) for op in ops
            }
        ids = sorted({i for op in ops for i in (op.record_id, *op.losers) if i is not None})
        fields = sorted({f for op in ops for f in (*op.after, *op.before)})
        if isinstance(self.target, RenamesSurvivors):
            self.target.expect(name, self._survivors(name))
        held = self._ask(lambda: self.target.read(name, ids, fields))
        if kind == "write":
            return {
                op.operation_id: judge_write(op, held.get(op.record_id or ""), self.target.normalise)
                for op in ops
            }
        if kind == "delete":
            return {
                op.operation_id: judge_delete(
                    op,
                    held.get(op.record_id or ""),
                    self.log.versions.get((name, op.record_id or "")),
                    self.target.normalise,
                )
                for op in ops
            }
        if kind == "unmerge":
            return {op.operation_id: judge_unmerge(op, held) for op in ops}
        children = self._children([child for op in ops for child in op.children])
        return {
            op.operation_id: judge_merge(
                op, held, children, may_be_ours=self.log.state(op.operation_id) in UNSURE
            )
            for op in ops
        }

    def _survivors(self, name: str) -> set[str]:
        """Records of an object that others were, or may have been, merged into by us since they landed."""
        return {
            entry.operation.record_id
            for entry in self.log.of_states(UNSURE | ARRIVED)
            if entry.operation.kind == "merge"
            and entry.operation.object == name
            and entry.operation.record_id
        }

    def _children(self, children: Sequence[Child]) -> dict[Child, str | None]:
        found: dict[Child, str | None] = {}
        for name, field in sorted({(c.object, c.field) for c in children}):
            mine = [c for c in children if (c.object, c.field) == (name, field)]
            ids = sorted({c.record_id for c in mine})
            held = self._ask(lambda n=name, i=ids, f=field: self.target.read(n, i, [f]))  # type: ignore[misc]
            found |= {c: held[c.record_id].values.get(field) for c in mine if c.record_id in held}
        return found

    def _judge_unseen(self, entry: Entry, operation: Operation) -> Verdict:
        """A target that cannot be read: what is taken back must at least have landed as we wrote it."""
        if entry.undoes is None:
            return Verdict("send", operation, operation.before)
        held = self.landed(entry) if self.landed is not None else None
        if held is None:
            return Verdict(
                "conflict",
                operation,
                {},
                code="unseen",
                reason="no export since shows the record; undo again after a night that landed one",
            )
        if operation.kind == "delete":
            return judge_delete(operation, held, None, self.target.normalise)
        if operation.kind == "write":
            return judge_write(operation, held, self.target.normalise)
        return Verdict("send", operation, {})

    # -- one batch

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
            verdicts = self.judge(able, {e.operation_id: e.operation for e in able})
        except Stopped as stop:
            if stop.reason == "breaker":
                # So that the next apply and `status` know that the target was down.
                waiting = [e for e in able if self.log.state(e.operation_id) not in UNSURE]
                events += [Event(e, "retry", code=BREAKER_CODE, answer=str(stop)) for e in waiting]
            self._record(events)
            raise
        due: dict[str, Operation] = {}
        sent_at = self.clock.now()
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
        """Send until every operation has an answer, or patience ends; then write the answers down."""
        pending = dict(due)
        unsure: set[str] = set()
        tries: Counter[str] = Counter()
        first = {key: self.log.standings[key].attempt for key in due}
        events: dict[str, Event] = {}

        def settle(key: str, event: Event) -> None:
            attempt = first[key] + max(tries[key] - 1, 0)
            words = self._words(entries[key], event.answer)
            moment = self.clock.now()
            events[key] = replace(event, attempt=attempt, answer=words, sent_at=sent_at, answered_at=moment)
            pending.pop(key, None)
            unsure.discard(key)

        try:
            while pending:
                if unsure:
                    looked = [entries[key] for key in pending if key in unsure]
                    for key, verdict in self.judge(looked, {k: pending[k] for k in unsure}).items():
                        if verdict.decision == "already":
                            settle(key, Event(entries[key], "found", record_id=verdict.operation.record_id))
                        elif verdict.decision == "conflict":
                            settle(
                                key,
                                Event(entries[key], "conflict", code=verdict.code, answer=verdict.reason),
                            )
                        elif tries[key] >= self.policy.retry.attempts:
                            settle(key, Event(entries[key], "retry", code="no_answer", answer="no answer"))
                        else:
                            pending[key] = verdict.operation
                            unsure.discard(key)
                    if not pending:
                        break
                operations = list(pending.values())
                tries.update(pending.keys())
                self.pace.spend(len(operations))
                unsure = set(pending)  # until an answer says otherwise
                try:
                    answers = self._ask(lambda ops=operations: self.target.send(ops), "send")  # type: ignore[misc]
                except AnswerLost as error:
                    self._bear(error, max(tries.values()), "send")
                    continue
                except Stopped:
                    unsure = set()  # as a whole not taken
                    raise
                self._sort(answers, entries, pending, unsure, tries, settle)
                if pending:
                    self.clock.sleep(self.backoff.seconds(max(tries[key] for key in pending)))
        except Stopped as stop:
            code = BREAKER_CODE if stop.reason == "breaker" else stop.reason
            for key in list(pending):
                state: DeliveryState = "uncertain" if key in unsure else "retry"
                settle(key, Event(entries[key], state, code=code, answer=str(stop)))
            raise
        finally:
            # Not reached by a kill; what a defect throws leaves the batch as `sending` all the same.
            self._record([*events.values()])

    def _sort(
        self,
        answers: Sequence[Answer],
        entries: dict[str, Entry],
        pending: dict[str, Operation],
        unsure: set[str],
        tries: Counter[str],
        settle: Callable[[str, Event], None],
    ) -> None:
        done: DeliveryState = "delivered" if self.target.is_live else "written"
        by_key = {answer.operation_id: answer for answer in answers}
        for key in list(pending):
            answer = by_key.get(key)
            if answer is None or answer.outcome == Outcome.UNCERTAIN:
                continue
            states: dict[Outcome, DeliveryState] = {
                Outcome.DONE: done,
                Outcome.CONFLICT: "conflict",
                Outcome.REFUSED: "refused",
            }
            state = states.get(answer.outcome)
            if state is None:
                unsure.discard(key)
                if tries[key] < self.policy.retry.attempts:
                    continue
                state = "exhausted"
            settle(
                key,
                Event(
                    entries[key],
                    state,
                    record_id=answer.record_id,
                    version=answer.version,
                    code=answer.code,
                    answer=answer.message,
                ),
            )

    # -- reading back

    def differing(self, entries: Sequence[Entry]) -> dict[str, str]:
        """Of operations that arrived, those that do not read back as sent, each with its reason."""
        found: dict[str, str] = {}
        for entry in entries:
            known = self.log.standings[entry.operation_id]
            operation = entry.operation
            if operation.kind not in ("write", "create"):
                continue
            sent = known.sent_fields(entry)
            record_id = known.record_id or operation.record_id or ""
            held = self._ask(
                lambda o=operation, r=record_id, s=sent: self.target.read(o.object, [r], sorted(s))  # type: ignore[misc]
            ).get(record_id)
            now = self.target.normalise(operation.object, held.values if held is not None else {})
            wanted = self.target.normalise(operation.object, sent)
            wrong = sorted(f for f in wanted if (now.get(f) or None) != (wanted[f] or None))
            if held is None or held.is_deleted:
                found[entry.operation_id] = "the record is gone"
            elif wrong:
                found[entry.operation_id] = f"reads back otherwise: {', '.join(wrong)}"
        return found

    # -- writing down

    def _record(self, events: Sequence[Event]) -> None:
        # In the same commit: an operation taken back is never both undone and not.
        undone = [
            Event(self.log.entries[e.entry.undoes], "undone", code=e.entry.operation_id)
            for e in events
            if e.entry.undoes is not None and e.state in ARRIVED and e.column_name is None
        ]
        self.log.record([*events, *undone], self.apply_id, self.clock.now())

    def _words(self, entry: Entry, message: str) -> str:
        """An answer without secrets and without the values it may repeat."""
        text = self.redact(message)
        values = {*entry.operation.before.values(), *entry.operation.after.values()}
        for value in sorted((v for v in values if v and len(v) >= _LEAST_MASKED), key=len, reverse=True):
            text = text.replace(value, "…")
        return text[:_LONGEST_ANSWER]

"""One exchange with a target: a batch is sent until each of its operations has an answer, or patience ends.

What was sent and not answered is looked up before it is sent again. What does not belong here: asking
again when the whole target fails (`patience`), the log (`courier`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from crm_hygiene.writeback.delivery.breaker import BREAKER_CODE
from crm_hygiene.writeback.delivery.delivery_log import LONGEST_ANSWER, DeliveryState, Event
from crm_hygiene.writeback.delivery.inspection import Inspection
from crm_hygiene.writeback.delivery.outbox import Entry
from crm_hygiene.writeback.delivery.patience import Patience
from crm_hygiene.writeback.delivery.stopping import Stopped
from crm_hygiene.writeback.operations import Answer, Operation, Outcome
from crm_hygiene.writeback.target import AnswerLost, Target

_LEAST_MASKED = 4


class Exchange:
    """One batch under way.

    Parameters
    ----------
    entries, due
        by operation id: the batch, and what of it is sent.
    attempts
        how often each operation of `due` was sent before, this time included.
    sent_at
        when the batch was written down as on its way.

    Attributes
    ----------
    events
        what to write down, an event for each operation that is settled.
    """

    def __init__(
        self,
        target: Target,
        patience: Patience,
        inspection: Inspection,
        entries: Mapping[str, Entry],
        due: Mapping[str, Operation],
        attempts: Mapping[str, int],
        sent_at: datetime,
    ) -> None:
        self._target = target
        self._patience = patience
        self._inspection = inspection
        self._entries = entries
        self._attempts = attempts
        self._sent_at = sent_at
        self._most_tries = patience.policy.retry.attempts
        self._pending = dict(due)
        #: Of those pending: may have been taken.
        self._unsure: set[str] = set()
        self._tries: Counter[str] = Counter()
        self.events: list[Event] = []

    def run(self) -> None:
        """Send until every operation is settled.

        Raises
        ------
        Stopped
            when patience ends; everything is settled then too, as not sent or as uncertain.
        """
        try:
            while self._pending:
                if self._unsure:
                    self._look_again()
                if self._pending:
                    self._send()
        except Stopped as stop:
            code = BREAKER_CODE if stop.reason == "breaker" else stop.reason
            for key in list(self._pending):
                state: DeliveryState = "uncertain" if key in self._unsure else "retry"
                self._settle(key, Event(self._entries[key], state, code=code, answer=str(stop)))
            raise

    def _look_again(self) -> None:
        """Find out at the target what became of operations that were sent and not answered."""
        looked = [self._entries[key] for key in self._pending if key in self._unsure]
        verdicts = self._inspection.judge(looked, {key: self._pending[key] for key in self._unsure})
        for key, verdict in verdicts.items():
            entry = self._entries[key]
            if verdict.decision == "already":
                self._settle(key, Event(entry, "found", record_id=verdict.operation.record_id))
            elif verdict.decision == "conflict":
                self._settle(key, Event(entry, "conflict", code=verdict.code, answer=verdict.reason))
            elif self._tries[key] >= self._most_tries:
                self._settle(key, Event(entry, "retry", code="no_answer", answer="no answer"))
            else:
                self._pending[key] = verdict.operation
                self._unsure.discard(key)

    def _send(self) -> None:
        operations = list(self._pending.values())
        self._tries.update(self._pending.keys())
        self._patience.pace.spend(len(operations))
        self._unsure = set(self._pending)  # until an answer says otherwise
        try:
            answers = self._patience.ask(lambda: self._target.send(operations), "send")
        except AnswerLost as error:
            self._patience.bear(error, max(self._tries.values()), "send")
            return
        except Stopped:
            self._unsure = set()  # as a whole not taken
            raise
        self._sort(answers)
        if self._pending:
            times = max(self._tries[key] for key in self._pending)
            self._patience.clock.sleep(self._patience.backoff.seconds(times))

    def _sort(self, answers: Sequence[Answer]) -> None:
        """Settle what was answered for good; what is to be sent again, or looked up, stays pending."""
        states: dict[Outcome, DeliveryState] = {
            Outcome.DONE: "delivered" if self._target.is_live else "written",
            Outcome.CONFLICT: "conflict",
            Outcome.REFUSED: "refused",
        }
        by_key = {answer.operation_id: answer for answer in answers}
        for key in list(self._pending):
            answer = by_key.get(key)
            if answer is None or answer.outcome == Outcome.UNCERTAIN:
                continue
            state = states.get(answer.outcome)
            if state is None:
                self._unsure.discard(key)
                if self._tries[key] < self._most_tries:
                    continue
                state = "exhausted"
            event = Event(
                self._entries[key],
                state,
                record_id=answer.record_id,
                version=answer.version,
                code=answer.code,
                answer=answer.message,
            )
            self._settle(key, event)

    def _settle(self, key: str, event: Event) -> None:
        event = replace(
            event,
            attempt=self._attempts[key] + max(self._tries[key] - 1, 0),
            answer=self._masked(self._entries[key], event.answer),
            sent_at=self._sent_at,
            answered_at=self._patience.clock.now(),
        )
        self.events.append(event)
        self._pending.pop(key, None)
        self._unsure.discard(key)

    def _masked(self, entry: Entry, message: str) -> str:
        """An answer without secrets and without the values it may repeat."""
        text = self._patience.redact(message)
        values = {*entry.operation.before.values(), *entry.operation.after.values()}
        for value in sorted((v for v in values if v and len(v) >= _LEAST_MASKED), key=len, reverse=True):
            text = text.replace(value, "…")
        return text[:LONGEST_ANSWER]

"""Dispatch: what is due goes out batch by batch, the canary first, within hours, budget and limit.

What does not belong here: what is due (`apply`), one batch (`courier`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from crm_hygiene.writeback.delivery.canary import CANARY_CODE, choose
from crm_hygiene.writeback.delivery.courier import Courier
from crm_hygiene.writeback.delivery.delivery_log import UNSURE, Event
from crm_hygiene.writeback.delivery.outbox import Entry, batches
from crm_hygiene.writeback.delivery.pacing import is_open
from crm_hygiene.writeback.delivery.stopping import Stopped, StopReason
from crm_hygiene.writeback.delivery.withholding import Withholding
from crm_hygiene.writeback.policy import TargetPolicy

Watcher = Callable[[int, int], None]
"""Told how many operations of how many have been dealt with."""


def say_nothing(done: int, total: int) -> None:
    """A watcher that tells nobody."""


@dataclass
class Dispatch:
    """One apply's way through what is due."""

    policy: TargetPolicy
    courier: Courier
    withholding: Withholding
    watch: Watcher = say_nothing

    def __post_init__(self) -> None:
        self._target, self._log = self.courier.target, self.courier.log
        self._pace, self._clock = self.courier.patience.pace, self.courier.patience.clock

    @property
    def batch_size(self) -> int:
        """Most operations of one batch, by the policy and by what the target takes."""
        return max(1, min(self.policy.pace.batch, self._target.batch_size))

    def all_of(self, due: Sequence[Entry], limit: int | None) -> None:
        """Send the canary, read it back, send the rest; `limit` is the most operations of both.

        Raises
        ------
        Stopped
            as `in_order`, or when the canary did not arrive as sent.
        """
        canary = choose(due, self.policy.canary)
        sent = 0
        if canary:
            sent = self.in_order(canary, limit, total=len(due))
            self._check_canary(canary)
        chosen = {e.operation_id for e in canary}
        rest = [e for e in due if e.operation_id not in chosen]
        self.in_order(rest, limit, sent, len(due))

    def in_order(
        self, due: Sequence[Entry], limit: int | None, sent: int = 0, total: int | None = None
    ) -> int:
        """Deliver in order; returns how many have been dealt with, those of before included.

        Raises
        ------
        Stopped
            outside the hours, or when the limit, the day's budget or the target's patience is used up.
        """
        for batch in self._batches(due):
            room = min(len(batch), self._pace.left(), len(batch) if limit is None else limit - sent)
            if not is_open(self.policy.hours, self._clock.now()):
                raise Stopped("hours", "outside the hours the policy allows; apply again then")
            if room <= 0 and limit is not None and sent >= limit:
                raise Stopped("limit", f"the limit of {limit:,} operations is reached")
            if room <= 0:
                raise Stopped("budget", f"today's budget of {self.policy.pace.per_day:,} records is spent")
            allowed = [e for e in batch[:room] if not self._is_forbidden_now(e)]
            if allowed:
                self.courier.deliver(allowed)
            sent += room
            self.watch(sent, len(due) if total is None else total)
            if room < len(batch):
                reason: StopReason = "limit" if limit is not None and sent >= limit else "budget"
                raise Stopped(reason, f"{reason} reached; the rest goes with the next apply")
        return sent

    def _batches(self, due: Sequence[Entry]) -> list[list[Entry]]:
        """What a kill left open first; for files in the very batches it was written down in."""
        size = self.batch_size
        unsure = [e for e in due if self._log.state(e.operation_id) in UNSURE]
        fresh = [e for e in due if self._log.state(e.operation_id) not in UNSURE]
        by_sending: dict[datetime | None, list[Entry]] = {}
        for entry in unsure:
            by_sending.setdefault(self._log.standings[entry.operation_id].sent_at, []).append(entry)
        again = [b for group in by_sending.values() for b in batches(group, size)]
        return [*again, *batches(fresh, size)]

    def _is_forbidden_now(self, entry: Entry) -> bool:
        """Whether the person has become suppressed while this apply runs."""
        if not self.withholding.forbids(entry):
            return False
        event = Event(entry, "expired", code="suppressed", answer="the person has opted out")
        self._log.record([event], self.courier.apply_id, self._clock.now())
        return True

    def _check_canary(self, canary: Sequence[Entry]) -> None:
        states = Counter(self._log.state(e.operation_id) for e in canary)
        refused = states["refused"] + states["exhausted"]
        if refused * 2 > len(canary):
            raise Stopped(
                "canary", f"the target refused {refused} of the {len(canary)} operations of the canary"
            )
        if not self._target.is_live:
            return
        arrived = [e for e in canary if self._log.state(e.operation_id) in ("delivered", "found")]
        wrong = self.courier.inspection.differing(arrived)
        if wrong:
            events = [
                Event(self._log.entries[key], "refused", code=CANARY_CODE, answer=reason)
                for key, reason in sorted(wrong.items())
            ]
            self._log.record(events, self.courier.apply_id, self._clock.now())
            reasons = "; ".join(sorted(set(wrong.values()))[:3])
            raise Stopped(
                "canary",
                f"{len(wrong)} of the {len(canary)} operations of the canary: {reasons}; nothing else was "
                "sent",
            )

"""The circuit breaker: a target that is down is not knocked at without end.

Closed, requests go through. After `failures` failures of the whole target in a row it opens: nothing is
sent for the pause; then one request probes (half open). A failed probe ends the apply, a good one closes.
An open breaker outlives the apply in the log.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from crm_hygiene.writeback.delivery.delivery_log import ARRIVED, DeliveryLog
from crm_hygiene.writeback.policy import BreakerPolicy

#: The answer's code of operations that a target which is down has left behind.
BREAKER_CODE = "breaker"

BreakerState = Literal["closed", "open", "half_open"]

#: What is asked of a target, the weightier the later: that it signs in does not say that it writes.
CallKind = Literal["connect", "read", "send"]
_WEIGHTS: dict[CallKind, int] = {"connect": 0, "read": 1, "send": 2}


class Breaker:
    """One target's breaker; single refused records are none of its business."""

    def __init__(self, policy: BreakerPolicy, was_open: bool = False) -> None:
        self._policy = policy
        self._failures = 0
        self._failed: CallKind = "send"
        self.state: BreakerState = "half_open" if was_open else "closed"

    def fail(self, call: CallKind) -> None:
        """The target as a whole failed."""
        self._failures += 1
        self._failed = call
        if self.state == "half_open" or self._failures >= self._policy.failures:
            self.state = "open"

    def succeed(self, call: CallKind) -> None:
        """The target answered; that counts if what failed was no weightier than this."""
        if _WEIGHTS[call] >= _WEIGHTS[self._failed]:
            self._failures = 0
            self._failed = "connect"
            self.state = "closed"

    def probe(self) -> None:
        """After the pause: let one request through."""
        self.state = "half_open"


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

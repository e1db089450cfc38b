"""The circuit breaker: a target that is down is not knocked at without end.

Closed, requests go through. After `failures` failures of the whole target in a row it opens: nothing is
sent for the pause; then one request probes (half open). A failed probe ends the apply, a good one closes.
"""

from __future__ import annotations

from typing import Literal

from crm_hygiene.writeback.policy import BreakerPolicy

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

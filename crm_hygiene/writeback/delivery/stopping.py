"""Stopping: what ends an apply before all of it was sent.

What does not belong here: when that is so (`patience`, `dispatch`, `canary`, `apply`).
"""

from __future__ import annotations

from typing import Literal

#: What ended an apply before all was sent.
StopReason = Literal["approval", "canary", "breaker", "rate_limit", "sign_in", "hours", "budget", "limit"]

#: Reasons for which an apply counts as stopped by a guard; the others only put off what is left.
GUARDS: frozenset[StopReason] = frozenset({"approval", "canary", "breaker", "rate_limit", "sign_in"})


class Stopped(Exception):  # noqa: N818 - named as what happened
    """The apply ends here; what has not been sent stays in the outbox."""

    def __init__(self, reason: StopReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

"""Backoff: how long to wait before the next attempt."""

from __future__ import annotations

from random import Random

from crm_hygiene.writeback.policy import RetryPolicy


class Backoff:
    """Exponential with full jitter: evenly between nothing and the doubling bound.

    Clients that were thrown out together do not come back together. The scheme is that of M. Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    def __init__(self, policy: RetryPolicy, random: Random) -> None:
        self._policy = policy
        self._random = random

    def seconds(self, attempt: int, retry_after: float | None = None) -> float:
        """Seconds to wait after the `attempt`-th failure, from 1; what the target asks for goes before."""
        if retry_after is not None:
            return max(0.0, retry_after)
        bound = self._policy.first_seconds * 2.0 ** min(attempt - 1, 60)
        return self._random.uniform(0.0, min(self._policy.most_seconds, bound))

    def is_too_long(self, retry_after: float | None) -> bool:
        """Whether the target asks for a longer wait than an apply is to last for."""
        return retry_after is not None and retry_after > self._policy.most_seconds

"""Pacing: so many requests a second, so many records a day, only at certain hours."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from crm_hygiene.writeback.policy import HoursPolicy, PacePolicy


class Clock(Protocol):
    """What time it is, and waiting; a test's stands still until somebody waits."""

    def now(self) -> datetime:
        """The moment, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The computer's own clock."""

    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Pace:
    """Requests evenly spaced, and a daily budget of records counted in UTC days.

    Parameters
    ----------
    policy
        `per_second` requests, `per_day` records sent, resendings included.
    clock
        tells the time and waits.
    sendings
        moments of all records sent so far, from the log.
    """

    def __init__(self, policy: PacePolicy, clock: Clock, sendings: Iterable[datetime]) -> None:
        self._policy = policy
        self._clock = clock
        self._next: datetime | None = None
        self._day = clock.now().date()
        self._spent = sum(1 for moment in sendings if moment.date() == self._day)

    def before_request(self) -> None:
        """Wait until the next request is due."""
        now = self._clock.now()
        if self._next is not None and now < self._next:
            self._clock.sleep((self._next - now).total_seconds())
            now = self._clock.now()
        due = max(now, self._next) if self._next is not None else now
        self._next = due + timedelta(seconds=1 / self._policy.per_second)

    def left(self) -> int:
        """Records that may still be sent today."""
        today = self._clock.now().date()
        if today != self._day:
            self._day, self._spent = today, 0
        return max(0, self._policy.per_day - self._spent)

    def spend(self, records: int) -> None:
        """Count records as sent."""
        self.left()
        self._spent += records


def is_open(hours: HoursPolicy | None, now: datetime) -> bool:
    """Whether the target may be written to at this moment; an end before the start is the next day's."""
    if hours is None:
        return True
    local = now.astimezone(ZoneInfo(hours.timezone)).time().replace(tzinfo=None)
    if hours.start <= hours.end:
        return hours.start <= local < hours.end
    return local >= hours.start or local < hours.end

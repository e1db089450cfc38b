"""The time a table is computed for: the latest landing among what it is made of, never the clock."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import polars as pl

# Without a single landed row nothing is of any age; the epoch keeps the night a pure function.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def latest_landing(*frames: pl.DataFrame) -> datetime:
    """Latest `landed_at` of the frames, in UTC; the epoch if they have no row."""
    found = [frame["landed_at"].max() for frame in frames if frame.height]
    times = [t for t in found if isinstance(t, datetime)]
    return max(times, default=NEVER)


def end_of_week(moment: datetime) -> datetime:
    """Monday 00:00 UTC after `moment` (aware): the end of the calendar week that it falls in.

    Golden records take ages there. All ages shift by the same amount from night to night, so that no
    choice turns on it, and within a week a row of which nothing changed is the same row every night.
    """
    day = moment.astimezone(UTC).date()
    return datetime.combine(day + timedelta(days=7 - day.weekday()), time(), tzinfo=UTC)


def latest_known(records: pl.DataFrame, decisions: pl.DataFrame) -> datetime:
    """When what linkage knows was last added to, by a landing or by a judgement."""
    landed = latest_landing(records)
    decided = decisions["decided_at"].max() if decisions.height else None
    return max(landed, decided) if isinstance(decided, datetime) else landed


def latest_seen(contacts: pl.DataFrame) -> datetime:
    """Latest `last_seen_at` of golden contacts, which never lies after the landing; else the epoch."""
    latest = contacts["last_seen_at"].max() if contacts.height else None
    return latest if isinstance(latest, datetime) else NEVER

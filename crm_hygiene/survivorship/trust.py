"""Source trust: a weight per source that halves with every half-life of a record's age.

Only the weight belongs here; when it decides is a matter of the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase

import polars as pl

SECONDS_PER_DAY = 86_400


def fits(pattern: str, source: str, system: str) -> bool:
    """Whether a pattern of the rules speaks of a source, by its own name or its system's."""
    return fnmatchcase(source, pattern) or fnmatchcase(system, pattern)


def weights(
    trust: Mapping[str, float], sources: Iterable[str], systems: Mapping[str, str]
) -> dict[str, float]:
    """Weight of every source, 0 to 1: the first pattern that fits counts, 0 where none does."""
    return {
        source: next((w for p, w in trust.items() if fits(p, source, systems.get(source, source))), 0.0)
        for source in sources
    }


def age_days(moment: pl.Expr, as_of: datetime) -> pl.Expr:
    """Days from `moment` to `as_of`, never negative: a record from the future is not fresher than now.

    `as_of` is the end of a week that every landing precedes (`asof.end_of_week`).
    """
    seconds = (pl.lit(as_of).cast(pl.Datetime("us", "UTC")) - moment).dt.total_seconds()
    return seconds.clip(lower_bound=0) / SECONDS_PER_DAY


def decayed(weight: pl.Expr, moment: pl.Expr, as_of: datetime, half_life_days: float) -> pl.Expr:
    """weight * 0.5 ** (age / half-life), rounded to 4 places so that it can be compared."""
    return (weight * (pl.lit(0.5) ** (age_days(moment, as_of) / half_life_days))).round(4)

"""Decayed sums over interactions that come out the same in any order of rows and on any threads.

Floating addition is not associative, so every term is rounded to billionths and summed as an integer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from crm_hygiene.survivorship.trust import age_days

_UNIT = 1_000_000_000


def decayed_sum(weights: Mapping[str, float], as_of: datetime, half_life_days: float) -> pl.Expr:
    """Aggregate over rows with interaction_kind and occurred_at: sum of weight * 0.5 ** (age / half-life).

    Kinds without a weight and interactions without a time add nothing.
    """
    kind = pl.col("interaction_kind")
    weight = (
        kind.replace_strict(dict(weights), default=0.0, return_dtype=pl.Float64) if weights else pl.lit(0.0)
    )
    decay = pl.lit(0.5) ** (age_days(pl.col("occurred_at"), as_of) / half_life_days)
    return (weight * decay * _UNIT).round(0).cast(pl.Int64).sum() / _UNIT

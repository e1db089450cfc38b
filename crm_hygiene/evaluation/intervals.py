"""Intervals of shares whose parts come in groups: pairs of one entity are no independent observations.

A share of pairs is a ratio of sums over groups. Its variance is that of the linearised ratio (Cochran,
Sampling Techniques, 1977, 6.4) with groups as observations; the share and its variance give an
effective sample size, and that Wilson's score interval (Wilson, 1927; for clustered samples Korn and
Graubard, 1998). Where all groups agree the variance says nothing, and Kish's effective sample size
(1965), which takes each group for one observation, stands in.
"""

from __future__ import annotations

import math

import polars as pl

Interval = tuple[float, float]

# Two-sided 95 %.
Z = 1.959963984540054


def wilson(share: float, n: float, z: float = Z) -> Interval:
    """Wilson's score interval of a share seen in `n` observations, within 0 and 1; of none 0 to 1."""
    if n <= 0:
        return 0.0, 1.0
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return round(max(0.0, centre - half), 6), round(min(1.0, centre + half), 6)


def ratio_interval(parts: pl.Series, wholes: pl.Series) -> Interval:
    """95 % interval of sum(parts) / sum(wholes), one entry per independent group, 0 <= part <= whole."""
    groups = pl.DataFrame({"y": parts.cast(pl.Float64), "x": wholes.cast(pl.Float64)}).sort("x", "y")
    x, y = groups["x"], groups["y"]
    total = float(x.sum())
    if total <= 0:
        return 0.0, 1.0
    share = min(1.0, max(0.0, round(float(y.sum()) / total, 12)))
    residual = y - share * x
    n = groups.filter(pl.col("x") > 0).height
    squares = float((residual * residual).sum())
    variance = n / (n - 1) * squares / total**2 if n > 1 else 0.0
    kish = total**2 / float((x * x).sum())
    effective = share * (1 - share) / variance if variance > 0 and 0 < share < 1 else kish
    return wilson(share, min(effective, total))

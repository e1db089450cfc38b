"""Series of equal invoices: which of them each equal payment of a payer is for, as a probability.

A hidden alignment: payments take invoices in the order of their due dates, neighbours crossed or not; an
invoice may stay unpaid, or be paid otherwise; a payment may be for something else; and the days from due
date to booking scatter about the payer's own habit, which is not known beforehand. Summed over every
alignment and every habit by the forward-backward recursion (Rabiner, A Tutorial on Hidden Markov Models,
Proc. IEEE 77, 1989) this gives the probability of each pair. What does not belong here: posting
(`equal_invoices`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from crm_hygiene.cash.rules import DueOrderRules

Floats = npt.NDArray[np.float64]

#: Days between the far ends of what a stray or an untypical payment is spread over.
_YEAR = 365.0
_MOST_AT_ONCE = 200_000
"""Series times habits worked on at once; bounds the memory to some hundred megabytes."""


@dataclass(frozen=True)
class Series:
    """The equal invoices and equal payments of one payer.

    Attributes
    ----------
    invoices
        rows in the order of due date: (`i`, issue day, due day, may be paid tonight).
    payments
        rows in the order of booking: (`p`, day).
    pinned
        position of payment -> position of the invoice it is known to have paid in full.
    lags
        days from due to booking of the payer's other payments in full.
    """

    invoices: Sequence[tuple[int, int, int, bool]]
    payments: Sequence[tuple[int, int]]
    pinned: dict[int, int]
    lags: Sequence[int] = ()

    @property
    def told(self) -> tuple[Hashable, ...]:
        """All that it says, to find it by."""
        return tuple(self.invoices), tuple(self.payments), tuple(self.pinned.items()), tuple(self.lags)


def _habits(rules: DueOrderRules) -> npt.NDArray[np.int64]:
    return np.arange(-rules.earliest_habit, rules.latest_habit + 1)


def _density(lag: Floats, rules: DueOrderRules) -> Floats:
    """Of a payment `lag` days off the payer's habit: mostly a normal law, the rest anywhere in a year."""
    normal = np.exp(-0.5 * (lag / rules.spread) ** 2) / (rules.spread * math.sqrt(2 * math.pi))
    return np.asarray((1 - rules.untypical) * normal + rules.untypical / _YEAR)


def _not_yet(since_due: Floats, rules: DueOrderRules) -> Floats:
    """Probability that an invoice that will be paid is not paid so many days after its habitual day."""
    z = since_due / (rules.spread * math.sqrt(2))
    normal = 0.5 * (1 - _erf(z))
    untypical = np.clip(0.5 - since_due / _YEAR, 0, 1)
    return np.asarray((1 - rules.untypical) * normal + rules.untypical * untypical)


def _erf(z: Floats) -> Floats:
    """Error function to 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    t = 1 / (1 + 0.3275911 * np.abs(z))
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(np.sign(z) * (1 - poly * np.exp(-z * z)))


def pair_probabilities(series: Sequence[Series], today: int, rules: DueOrderRules) -> pl.DataFrame:
    """`p`, `i`, `probability` of every pair of an unpinned payment and an invoice that may be paid.

    Parameters
    ----------
    series
        each with at least one invoice and payment; days count from any one day.
    today
        the day up to which payments are known.

    Returns
    -------
    polars.DataFrame
        sorted by `p`, falling `probability`, `i`; rounded to 12 decimals. Pairs below a ten-thousandth are
        left out. The probabilities of a payment sum to less than 1: the rest is for something else.
    """
    by_shape: dict[tuple[int, int], list[Series]] = {}
    for one in series:
        by_shape.setdefault((len(one.invoices), len(one.payments)), []).append(one)
    found: list[tuple[int, int, float]] = []
    slice_size = max(1, _MOST_AT_ONCE // len(_habits(rules)))
    for shape in sorted(by_shape):
        alike = by_shape[shape]
        for start in range(0, len(alike), slice_size):
            found += _of_one_shape(alike[start : start + slice_size], today, rules)
    return in_likely_order(found)


def in_likely_order(pairs: Sequence[tuple[int, int, float]]) -> pl.DataFrame:
    """Pairs as `pair_probabilities` gives them."""
    frame = pl.DataFrame(
        pairs, schema={"p": pl.Int64, "i": pl.Int64, "probability": pl.Float64}, orient="row"
    )
    return frame.with_columns(pl.col("probability").round(12)).sort(
        "p", "probability", "i", descending=[False, True, False]
    )


def _of_one_shape(alike: Sequence[Series], today: int, rules: DueOrderRules) -> list[tuple[int, int, float]]:
    """Pairs of series that have the same number of invoices and of payments; arrays [series, habit]."""
    m, n = len(alike[0].invoices), len(alike[0].payments)
    habit = _habits(rules)
    issued, due = (
        np.array([[row[k] for row in s.invoices] for s in alike], dtype=np.float64) for k in (1, 2)
    )
    booked = np.array([[row[1] for row in s.payments] for s in alike], dtype=np.float64)
    prior = np.exp(-0.5 * (habit / rules.habit_spread) ** 2)
    weight = np.repeat((prior / prior.sum())[None, :], len(alike), axis=0)
    for g, one in enumerate(alike):
        for known in one.lags:
            # A payer may keep to other days with other contracts: they tell less than its own.
            weight[g] *= _density(known - habit.astype(np.float64), rules) ** rules.other_lags
            weight[g] /= weight[g].sum()
    unpaid = [
        rules.unpaid + (1 - rules.unpaid) * _not_yet(today - due[:, j, None] - habit[None, :], rules)
        for j in range(m)
    ]
    stray = np.full((len(alike), n), rules.stray / _YEAR)
    allowed = np.ones((len(alike), m, n), dtype=bool)
    for g, one in enumerate(alike):
        allowed[g] = [[row[3]] * n for row in one.invoices]
        for k, j in one.pinned.items():
            allowed[g, j, :], allowed[g, :, k] = False, False
            allowed[g, j, k] = True
            stray[g, k] = 0.0
    closed = np.ones((len(alike), m))
    for g, one in enumerate(alike):
        for j in one.pinned.values():
            closed[g, j] = 0.0
    # A payment before the invoice was issued is for another one.
    allowed &= booked[:, None, :] >= issued[:, :, None]
    allowed &= booked[:, None, :] - due[:, :, None] <= _YEAR
    pay: dict[tuple[int, int], Floats] = {}
    for j in range(m):
        for k in range(n):
            if allowed[:, j, k].any():
                lag = (booked[:, k] - due[:, j])[:, None] - habit[None, :]
                pay[j, k] = allowed[:, j, k, None] * (1 - rules.unpaid) * _density(lag, rules)
    left = [closed[:, j, None] * unpaid[j] for j in range(m)]
    lost = [stray[:, k, None] for k in range(n)]
    before = _prefixes(left, lost, pay, m, n)
    after = _prefixes(left[::-1], lost[::-1], {(m - 1 - j, n - 1 - k): v for (j, k), v in pay.items()}, m, n)
    total = (weight * before[m][n]).sum(axis=1)
    rows = []
    for (j, k), density in pay.items():
        around = before[j][k] * density * after[m - 1 - j][n - 1 - k]
        # The pair may be half of a crossed one, with the payment before or after.
        if (j + 1, k - 1) in pay:
            around = around + before[j][k - 1] * density * pay[j + 1, k - 1] * after[m - 2 - j][n - 1 - k]
        if (j - 1, k + 1) in pay:
            around = around + before[j - 1][k] * density * pay[j - 1, k + 1] * after[m - 1 - j][n - 2 - k]
        joint = (weight * around).sum(axis=1)
        share = np.divide(joint, total, out=np.zeros_like(joint), where=total > 0)
        rows += [
            (alike[g].payments[k][0], alike[g].invoices[j][0], float(share[g]))
            for g in np.flatnonzero(share >= 1e-4).tolist()
            if k not in alike[g].pinned
        ]
    return rows


def _prefixes(
    left: Sequence[Floats], lost: Sequence[Floats], pay: dict[tuple[int, int], Floats], m: int, n: int
) -> list[list[Floats]]:
    """Weight of all alignments of the first `j` invoices and first `k` payments.

    Two neighbouring payments may cross: single payments scatter more than some due dates lie apart. Between
    two pairs the unpaid invoices come before the stray payments: each alignment counts once.
    """
    nothing = np.zeros_like(left[0])
    settled: list[list[Floats]] = [[nothing] * (n + 1) for _ in range(m + 1)]
    astray: list[list[Floats]] = [[nothing] * (n + 1) for _ in range(m + 1)]
    settled[0][0] = np.ones_like(left[0])
    for j in range(m + 1):
        for k in range(n + 1):
            if j:
                settled[j][k] = settled[j][k] + settled[j - 1][k] * left[j - 1]
                if k and (j - 1, k - 1) in pay:
                    whole = settled[j - 1][k - 1] + astray[j - 1][k - 1]
                    settled[j][k] = settled[j][k] + whole * pay[j - 1, k - 1]
                if j > 1 and k > 1 and (j - 1, k - 2) in pay and (j - 2, k - 1) in pay:
                    whole = settled[j - 2][k - 2] + astray[j - 2][k - 2]
                    settled[j][k] = settled[j][k] + whole * pay[j - 1, k - 2] * pay[j - 2, k - 1]
            if k:
                astray[j][k] = (settled[j][k - 1] + astray[j][k - 1]) * lost[k - 1]
    return [[settled[j][k] + astray[j][k] for k in range(n + 1)] for j in range(m + 1)]

"""Series: probabilities against every alignment counted one by one, and what they must say of plain cases."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.cash.series import Series, pair_probabilities

from .books import RULES

ORDER = RULES.due_order
#: One habit only: then every alignment can be counted by hand.
FIXED = ORDER.model_copy(update={"earliest_habit": 0, "latest_habit": 0})


def density(lag: float) -> float:
    normal = math.exp(-0.5 * (lag / FIXED.spread) ** 2) / (FIXED.spread * math.sqrt(2 * math.pi))
    return (1 - FIXED.untypical) * normal + FIXED.untypical / 365


def unpaid(since: float) -> float:
    normal = 0.5 * math.erfc(since / (FIXED.spread * math.sqrt(2)))
    later = (1 - FIXED.untypical) * normal + FIXED.untypical * min(1.0, max(0.0, 0.5 - since / 365))
    return FIXED.unpaid + (1 - FIXED.unpaid) * later


def is_allowed(pairs: list[tuple[int, int]]) -> bool:
    """In order, but for neighbours that cross."""
    k = 0
    while k < len(pairs):
        if k + 1 < len(pairs) and pairs[k][1] > pairs[k + 1][1]:
            if pairs[k + 1][0] != pairs[k][0] + 1 or pairs[k][1] != pairs[k + 1][1] + 1:
                return False
            block = (pairs[k + 1][0], pairs[k][1])
            k += 2
        else:
            block = pairs[k]
            k += 1
        if k < len(pairs) and pairs[k][1] < block[1]:
            return False
    return True


def by_hand(series: Series, today: int) -> dict[tuple[int, int], float]:
    m, n = len(series.invoices), len(series.payments)
    total, share = 0.0, dict[tuple[int, int], float]()
    for size in range(min(m, n) + 1):
        for js in combinations(range(m), size):
            for ks in permutations(range(n), size):
                pairs = list(zip(js, ks, strict=True))
                if not is_allowed(pairs):
                    continue
                weight = 1.0
                for j, k in pairs:
                    _, issued, due, is_open = series.invoices[j]
                    booked = series.payments[k][1]
                    fits = is_open and booked >= issued and booked - due <= 365
                    weight *= (1 - FIXED.unpaid) * density(booked - due) if fits else 0.0
                for j in set(range(m)) - set(js):
                    weight *= unpaid(today - series.invoices[j][2])
                weight *= (FIXED.stray / 365) ** (n - size)
                total += weight
                for j, k in pairs:
                    key = (series.payments[k][0], series.invoices[j][0])
                    share[key] = share.get(key, 0.0) + weight
    return {key: w / total for key, w in share.items() if w / total >= 1e-4}


days = st.lists(st.integers(0, 80), min_size=1, max_size=3).map(sorted)


@settings(max_examples=examples(150), deadline=None)
@given(due=days, booked=days, closed=st.integers(0, 3))
def test_the_recursion_sums_over_every_alignment(due: list[int], booked: list[int], closed: int) -> None:
    series = Series(
        [(10 + j, d - 30, d, j != closed) for j, d in enumerate(due)],
        [(k, d) for k, d in enumerate(booked)],
        {},
    )
    found = pair_probabilities([series], 100, FIXED)
    expected = by_hand(series, 100)
    assert {(p, i): pytest.approx(share, rel=1e-4) for p, i, share in found.iter_rows()} == expected


def monthly(n: int, lags: list[int], issued: int = 30) -> Series:
    invoices = [(j, 30 * j - issued, 30 * j, True) for j in range(n)]
    return Series(invoices, [(k, 30 * k + lag) for k, lag in enumerate(lags)], {})


def likeliest(series: Series, today: int = 400) -> dict[int, tuple[int, float]]:
    found = pair_probabilities([series], today, ORDER)
    best: dict[int, tuple[int, float]] = {}
    for p, i, share in found.iter_rows():
        best.setdefault(p, (i, share))
    return best


def test_a_payer_who_is_always_a_few_days_late_pays_each_invoice_in_turn() -> None:
    best = likeliest(monthly(6, [4, 6, 5, 3, 5, 6]))
    assert {p: i for p, (i, _) in best.items()} == {k: k for k in range(6)}
    assert min(share for _, share in best.values()) > ORDER.certainty


def test_invoices_due_a_day_apart_are_told_apart_by_nothing() -> None:
    series = Series([(0, -30, 0, True), (1, -29, 1, True)], [(0, 1), (1, 2)], {})
    assert all(share < 0.9 for _, share in likeliest(series).values())


def test_two_weeks_off_may_be_early_or_late() -> None:
    assert all(share < ORDER.certainty for _, share in likeliest(monthly(2, [15])).values())


def test_a_month_left_out_does_not_shift_the_rest() -> None:
    series = monthly(6, [2, 3, 2, 1, 2, 3])
    skipped = Series(series.invoices, [p for k, p in enumerate(series.payments) if k != 2], {})
    best = likeliest(skipped)
    assert {p: i for p, (i, _) in best.items()} == {0: 0, 1: 1, 3: 3, 4: 4, 5: 5}


def test_what_is_known_is_not_asked_and_tells_the_habit() -> None:
    alone = likeliest(Series(monthly(3, []).invoices, [(9, 75)], {}))[9]
    series = monthly(3, [15, 15])
    known = Series(series.invoices, [*series.payments, (9, 75)], {0: 0, 1: 1})
    best = likeliest(known)
    assert set(best) == {9}
    assert best[9][0] == 2
    assert best[9][1] > max(alone[1], ORDER.certainty)


def test_an_invoice_that_may_not_be_paid_takes_no_payment() -> None:
    invoices = [(0, -30, 0, False), (1, 0, 30, True)]
    best = likeliest(Series(invoices, [(0, 31)], {}))
    assert best[0][0] == 1


def test_the_order_of_series_and_their_company_change_nothing() -> None:
    one, other = monthly(4, [1, 2, 3, 2]), Series([(7, 0, 30, True)], [(8, 33)], {})
    alone = pair_probabilities([other], 400, ORDER)
    both = pair_probabilities([one, other], 400, ORDER)
    turned = pair_probabilities([other, one], 400, ORDER)
    assert both.equals(turned)
    assert both.filter(both["p"] == 8).equals(alone)

"""Due order: which of a payer's equal invoices a payment without a reference is for, one rule per test."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from crm_hygiene.cash.recurring import habits, in_due_order

from .books import RULES

ORDER = RULES.due_order
START = date(2024, 1, 31)
KEY = {"party": "customer:erp/C1", "currency": "EUR", "amount": 1000}
SETTLED = "the equal invoice due nearest to the payment is settled already"
TOO_NEAR = "equal invoices of the payer are too near to each other"
SHARED = "another payment is as near to the same one of several equal invoices"
OLDER = "an older invoice of the same amount is unpaid"


def due(number: int, after: int, owed: int = 1000, issued: int = 100) -> dict[str, object]:
    """Invoice `number`, due so many days after the first."""
    day = START + timedelta(days=after)
    return {**KEY, "i": number, "owed": owed, "issue_date": day - timedelta(days=issued), "due_date": day}


def paid(number: int, after: int) -> dict[str, object]:
    """Payment `number`, booked so many days after the first due date."""
    return {**KEY, "p": number, "booked_date": START + timedelta(days=after)}


def judged(
    payments: list[dict[str, object]],
    invoices: list[dict[str, object]],
    habit: int | None = None,
    returned: bool = False,
) -> dict[int, tuple[int, str | None]]:
    known = [] if habit is None else [{"party": KEY["party"], "habit": habit}]
    schema = {"party": pl.String, "habit": pl.Int64}
    back = pl.DataFrame(
        [KEY] if returned else [], schema={"party": pl.String, "currency": pl.String, "amount": pl.Int64}
    )
    found = in_due_order(
        pl.DataFrame(payments), pl.DataFrame(invoices), pl.DataFrame(known, schema=schema), back, RULES
    )
    return {p: (i, why) for p, i, why in found.select("p", "i", "why").iter_rows()}


def days(*values: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"party": ["C"] * len(values), "days": values}, schema={"party": pl.String, "days": pl.Int64}
    )


def test_a_habit_is_the_median_of_who_keeps_to_it() -> None:
    kept = [5] * ORDER.min_habit
    assert habits(days(*kept), RULES).rows() == [("C", 5)]


def test_too_few_payments_are_no_habit() -> None:
    assert habits(days(*[5] * (ORDER.min_habit - 1)), RULES).is_empty()


def test_who_pays_now_and_then_has_no_habit() -> None:
    scattered = [k * (ORDER.max_spread + 1) for k in range(ORDER.min_habit + 4)]
    assert habits(days(*scattered), RULES).is_empty()


def test_the_invoice_due_nearest_is_paid() -> None:
    assert judged([paid(1, 1)], [due(1, 0), due(2, 60)]) == {1: (1, None)}


def test_each_of_two_payments_has_its_own() -> None:
    assert judged([paid(1, 1), paid(2, 61)], [due(1, 0), due(2, 60)]) == {1: (1, None), 2: (2, None)}


def test_the_habit_moves_what_is_nearest() -> None:
    late = judged([paid(1, 1), paid(2, 31)], [due(1, -30), due(2, 0)], habit=30)
    assert {p: i for p, (i, _) in late.items()} == {1: 1, 2: 2}


def test_what_is_due_close_together_is_not_told_apart() -> None:
    assert judged([paid(1, 1)], [due(1, 0), due(2, ORDER.margin - 1)]) == {1: (1, TOO_NEAR)}


def test_two_payments_for_one_invoice_are_asked_about() -> None:
    found = judged([paid(1, 0), paid(2, 1)], [due(1, 0), due(2, 90)])
    assert found == {1: (1, SHARED), 2: (1, SHARED)}


def test_a_settled_invoice_is_not_paid_again() -> None:
    assert judged([paid(1, 1)], [due(1, 0, owed=0), due(2, 60)]) == {1: (1, SETTLED)}


def test_an_older_unpaid_invoice_is_not_skipped() -> None:
    assert judged([paid(1, 61)], [due(1, 0), due(2, 60)]) == {1: (2, OLDER)}


def test_who_is_regular_and_on_time_may_skip_one() -> None:
    assert judged([paid(1, 61)], [due(1, 0), due(2, 60)], habit=1) == {1: (2, None)}


def test_nobody_skips_one_after_a_payment_came_back() -> None:
    found = judged([paid(1, 61)], [due(1, 0), due(2, 60)], habit=1, returned=True)
    assert found == {1: (2, OLDER)}


@pytest.mark.parametrize("invoices", [[due(1, 0)], [due(1, 0), {**due(2, 60), "due_date": None}]])
def test_without_a_second_equal_invoice_with_dates_there_is_no_order(
    invoices: list[dict[str, object]],
) -> None:
    assert judged([paid(1, 1)], invoices) == {}


def test_what_is_not_issued_yet_is_no_choice() -> None:
    assert judged([paid(1, 1)], [due(1, 0), due(2, 60, issued=30)]) == {}


def test_a_crowd_is_left_alone() -> None:
    crowd = [due(k, 60 * k) for k in range(RULES.limits.component_payments + 1)]
    assert judged([paid(1, 1)], crowd) == {}

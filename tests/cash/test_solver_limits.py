"""What the solver cannot decide in its time goes to a person: never a hang, never a posting."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import pytest

from crm_hygiene.cash import CashRules, Reconciliation
from crm_hygiene.cash.choice import Choice, choose
from crm_hygiene.cash.hypotheses import Hypothesis
from crm_hygiene.cash.ledger import Line

from . import books
from .books import RULES, match

NO_TIME = 1e-9
INVOICES = 8
PAYMENTS = 6


def with_limits(**limits: Any) -> CashRules:
    return RULES.model_copy(update={"limits": RULES.limits.model_copy(update=limits)})


def knot(seed: int) -> list[Hypothesis]:
    """Twenty payments with six readings each, of three invoices out of twenty: hard to choose among."""
    rng = random.Random(seed)
    return [
        Hypothesis(
            p,
            "one_to_many",
            tuple(Line(i, "payment", 10, 10) for i in sorted(rng.sample(range(20), 3))),
            rng.randrange(40, 90),
            (),
            "test",
        )
        for p in range(20)
        for _ in range(6)
    ]


OPENS = dict.fromkeys(range(20), 10)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("time", [NO_TIME, 1e-4])
def test_a_knot_that_is_not_solved_in_time_is_beyond(seed: int, time: float) -> None:
    found = choose(knot(seed), OPENS, with_limits(solver_time=time))
    assert found == Choice(chosen={}, clear=set(), beyond=set(range(20)))


def test_with_time_the_same_knot_is_solved_and_always_alike() -> None:
    found = choose(knot(1), OPENS, RULES)
    assert found.beyond == set()
    assert found.chosen
    assert choose(knot(1), OPENS, RULES) == found
    used = [line.i for h in found.chosen.values() for line in h.lines]
    assert len(used) == len(set(used)), "no invoice is settled twice"


def test_easy_knots_beside_it_are_still_chosen() -> None:
    easy = Hypothesis(99, "one_to_one", (Line(99, "payment", 10, 10),), 90, (), "test")
    found = choose([*knot(1), easy], {**OPENS, 99: 10}, with_limits(solver_time=NO_TIME))
    assert found.clear == {99}
    assert found.beyond == set(range(20))


def reconciled() -> Reconciliation:
    """Payments that cite eight equal invoices each and pay some of them, and one plain payment."""
    invoices = [
        {"record_id": f"I{k}", "invoice_number": f"INV-2024-{k:04d}", "amount": "100"}
        for k in range(INVOICES)
    ]
    cited = ", ".join(row["invoice_number"] for row in invoices)
    payments = [
        {"record_id": f"P{k}", "amount": "300", "remittance_text": cited, "booked_date": date(2024, 6, k + 1)}
        for k in range(PAYMENTS)
    ]
    plain = {
        "record_id": "I99",
        "invoice_number": "INV-2024-9999",
        "amount": "70",
        "customer_record_id": "C9",
    }
    paid = {"record_id": "P99", "amount": "70", "remittance_text": "INV-2024-9999"}
    return match([*invoices, plain], [*payments, paid])


def test_a_night_posts_nothing_that_was_not_solved_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "RULES", with_limits(solver_time=NO_TIME, enumerate=1))
    found = reconciled()
    assert found.allocations["payment_record_id"].to_list() == ["P99"]
    waiting = found.exceptions.select("payment_record_id", "exception_type", "reason").rows()
    assert {row[0] for row in waiting} == {f"P{k}" for k in range(PAYMENTS)}
    assert {row[1:] for row in waiting} == {("AMBIGUOUS", "too many payments and invoices hang together")}
    told = found.suggestions["exception_id"].unique().sort()
    assert told.equals(found.exceptions["exception_id"].sort()), "every exception has its readings"
    again = reconciled()
    assert again.allocations.equals(found.allocations)
    assert again.exceptions.equals(found.exceptions)
    assert again.suggestions.equals(found.suggestions)

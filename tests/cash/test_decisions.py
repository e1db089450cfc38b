"""What a night makes of decisions across currencies, on rests of payments and on reversals."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from crm_hygiene.cash.books import DECISIONS

from .books import Row, match
from .test_reconciliation import INVOICE, doubts, pay, posted
from .test_stages import decide, frame, kinds

DOLLARS = {**INVOICE, "currency": "USD"}
CROSSED = {"amount": Decimal(100), "currency": "USD", "used_amount": Decimal(92)}
WHO = {"invoice_source": None, "invoice_record_id": None}


def test_a_payment_in_another_currency_is_applied_with_its_loss() -> None:
    decision = decide("D1", "apply", **CROSSED, exchange_amount=Decimal("1.60"))
    rows = [pay("95.00", None)]
    first = match([DOLLARS], rows, decisions=frame(DECISIONS, decision))
    assert kinds(first) == {"payment": Decimal("98.40"), "exchange": Decimal("1.60")}
    (invoice,) = first.invoices.to_dicts()
    assert (invoice["status"], invoice["exchange_amount"]) == ("paid", Decimal("1.60"))
    assert first.payments["unapplied_amount"].to_list() == [Decimal(3)]
    again = match([DOLLARS], rows, first.allocations, decisions=frame(DECISIONS, decision))
    assert again.allocations.equals(first.allocations)


def test_a_gain_and_its_revocation() -> None:
    decision = decide("D1", "apply", **CROSSED, exchange_amount=Decimal(-2))
    first = match([DOLLARS], [pay("92.00", None)], decisions=frame(DECISIONS, decision))
    assert kinds(first) == {"payment": Decimal(102), "exchange": Decimal(-2)}
    gone = frame(DECISIONS, decision, decide("D2", "revoke", revokes_decision_id="D1"))
    second = match([DOLLARS], [pay("92.00", None)], first.allocations, decisions=gone)
    assert second.allocations["allocated_amount"].sum() == 0
    assert second.payments["unapplied_amount"].to_list() == [Decimal(92)]


def test_more_than_the_payment_has_is_said() -> None:
    decision = decide("D1", "apply", **CROSSED)
    assert doubts(match([DOLLARS], [pay("91.99", None)], decisions=frame(DECISIONS, decision))) == {
        "P1": "AMOUNT"
    }


def test_the_rest_of_a_payment_is_written_off_of_the_payment() -> None:
    first = match([INVOICE], [pay("100.02")])
    assert doubts(first) == {"P1": "AMOUNT"}
    decision = decide("D1", "write_off", amount=Decimal("0.02"), currency="EUR", **WHO)
    second = match([INVOICE], [pay("100.02")], first.allocations, decisions=frame(DECISIONS, decision))
    (payment,) = second.payments.to_dicts()
    assert doubts(second) == {}
    assert (payment["status"], payment["applied_amount"], payment["written_off_amount"]) == (
        "applied", Decimal(100), Decimal("0.02"),
    )  # fmt: skip
    assert second.invoices["written_off_amount"].to_list() == [Decimal(0)]
    gone = frame(DECISIONS, decision, decide("D2", "revoke", revokes_decision_id="D1"))
    third = match([INVOICE], [pay("100.02")], second.allocations, decisions=gone)
    assert third.payments["unapplied_amount"].to_list() == [Decimal("0.02")]


def test_no_more_than_the_rest_is_written_off() -> None:
    decision = decide("D1", "write_off", amount=Decimal(31), currency="EUR", **WHO)
    result = match([INVOICE], [pay("30.00", None)], decisions=frame(DECISIONS, decision))
    assert doubts(result) == {"P1": "AMOUNT"}
    assert result.allocations.is_empty()


BACK: Row = {"key": "P2", "payment_kind": "return", "booked_date": date(2024, 9, 1)}
TAKES = {"payment_record_id": "P2", "taken_back_source": "bank_ledger", "taken_back_record_id": "P1", **WHO}


def returned(amount: str = "-100.00", **more: Any) -> list[Row]:
    return [pay("100.00"), pay(amount, None, **BACK, **more)]


def test_a_reversal_takes_back_the_payment_that_a_clerk_names() -> None:
    first = match([INVOICE], returned())
    assert doubts(first) == {"P2": "REVERSAL"}
    decision = decide("D1", "apply", amount=Decimal(100), currency="EUR", **TAKES)
    second = match([INVOICE], returned(), first.allocations, decisions=frame(DECISIONS, decision))
    assert doubts(second) == {}
    assert second.invoices["status"].to_list() == ["open"]
    assert second.payments["status"].to_list() == ["reversed", "outgoing"]
    contra = second.allocations.filter(pl.col("reverses_allocation_id").is_not_null())
    assert contra["decision_id"].to_list() == ["D1"]
    assert "decided by ada" in contra["evidence"][0]
    again = match([INVOICE], returned(), second.allocations, decisions=frame(DECISIONS, decision))
    assert again.allocations.equals(second.allocations)


def test_a_reversal_that_is_revoked_gives_the_payment_back() -> None:
    first = match([INVOICE], returned())
    decision = decide("D1", "apply", amount=Decimal(100), currency="EUR", **TAKES)
    second = match([INVOICE], returned(), first.allocations, decisions=frame(DECISIONS, decision))
    gone = frame(DECISIONS, decision, decide("D2", "revoke", revokes_decision_id="D1"))
    third = match([INVOICE], returned(), second.allocations, decisions=gone)
    assert third.invoices["status"].to_list() == ["paid"]
    assert doubts(third) == {"P2": "REVERSAL"}


def test_a_payment_named_before_it_is_posted_is_never_posted() -> None:
    decision = decide("D1", "apply", amount=Decimal(100), currency="EUR", **TAKES)
    result = match([INVOICE], returned("-103.00"), decisions=frame(DECISIONS, decision))
    assert (posted(result), doubts(result)) == ([], {})


@pytest.mark.parametrize("amount", ["-99.00", "-100.00"])
def test_a_reversal_that_no_longer_fits_is_said(amount: str) -> None:
    other = {} if amount != "-100.00" else {"currency": "USD"}
    decision = decide("D1", "apply", amount=Decimal(100), currency="EUR", **TAKES)
    result = match([INVOICE], returned(amount, **other), decisions=frame(DECISIONS, decision))
    assert doubts(result) == {"P2": "REVERSAL"}
    assert "cannot be carried out" in result.exceptions["reason"][0]


def test_a_reversal_settled_outside_is_asked_no_more() -> None:
    decision = decide("D1", "refund", payment_record_id="P2", amount=Decimal(100), currency="EUR", **WHO)
    result = match([INVOICE], returned(), decisions=frame(DECISIONS, decision))
    assert doubts(result) == {}
    assert result.invoices["status"].to_list() == ["paid"]


def test_a_decision_wins_over_what_was_paired() -> None:
    rows = [
        pay("100.00", bank_reference="B1"),
        pay("-100.00", None, key="P2", payment_kind="return", reversed_reference="B1"),
        pay("-100.00", None, key="P3", payment_kind="return"),
    ]
    decision = decide(
        "D1", "apply", amount=Decimal(100), currency="EUR", **{**TAKES, "payment_record_id": "P3"}
    )
    result = match([INVOICE], rows, decisions=frame(DECISIONS, decision))
    assert doubts(result) == {"P2": "REVERSAL"}
    assert result.payments.filter(record_id="P1")["status"].to_list() == ["reversed"]


NAMED = {"payer_name": "Weberei Zimmermann"}


@pytest.mark.parametrize(
    ("back", "is_taken_back"),
    [
        ({**NAMED, "booked_date": date(2024, 5, 24)}, True),
        ({**NAMED, "payer_name": "WEBEREI  ZIMMERMANN", "booked_date": date(2024, 5, 24)}, True),
        ({**NAMED, "booked_date": date(2024, 6, 20)}, False),
        ({"payer_name": "Other Ltd", "booked_date": date(2024, 5, 24)}, False),
        ({"remittance_text": "RETURN INV-2024-001", "booked_date": date(2024, 5, 24)}, True),
        ({"remittance_text": "RETURN", "booked_date": date(2024, 5, 24)}, False),
    ],
)
def test_a_return_without_references_is_told_by_name_or_text(back: Row, is_taken_back: bool) -> None:
    rows = [pay("100.00", **NAMED), pay("-100.00", None, key="P2", payment_kind="return") | back]
    first = match([INVOICE], rows[:1])
    second = match([INVOICE], rows, first.allocations)
    assert (second.invoices["status"][0] == "open") is is_taken_back
    assert doubts(second) == ({} if is_taken_back else {"P2": "REVERSAL"})


def test_two_payments_of_one_name_and_amount_are_asked_about() -> None:
    other = {**INVOICE, "record_id": "I2", "invoice_number": "INV-2024-002"}
    rows = [pay("100.00", **NAMED), pay("100.00", "INV-2024-002", key="P3", **NAMED)]
    back = pay("-100.00", None, key="P2", payment_kind="return", booked_date=date(2024, 5, 24), **NAMED)
    assert doubts(match([INVOICE, other], [*rows, back])) == {"P2": "REVERSAL"}

"""Every kind of payment a clerk meets, and what becomes of it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from crm_hygiene.cash import Reconciliation
from crm_hygiene.contract import contract_of

from .books import NOW, Row, invoice_table, match, table

INVOICE: Row = {
    "record_id": "I1",
    "invoice_number": "INV-2024-001",
    "amount": "100.00",
    "iban": "DE01",
    "organisation_name_normalised": "acme",
}


def posted(result: Reconciliation) -> list[tuple[str, str, str, Decimal]]:
    columns = ["payment_record_id", "invoice_record_id", "allocation_kind", "allocated_amount"]
    return list(result.allocations.select(columns).iter_rows())


def doubts(result: Reconciliation) -> dict[str, str]:
    return dict(result.exceptions.select("payment_record_id", "exception_type").iter_rows())


def pay(amount: str, text: str | None = "INV-2024-001", key: str = "P1", **more: Any) -> Row:
    return {"record_id": key, "amount": amount, "remittance_text": text, **more}


@pytest.mark.parametrize(
    "text",
    [
        "INV-2024-001",
        "Re.: inv 2024 001, thanks",
        "inv2024001",
        "10115 Berlin/INV-2024-001/x",
        "INV-2024-0\n01",
    ],
)
def test_a_reference_is_found_however_it_is_broken_up(text: str) -> None:
    result = match([INVOICE], [pay("100.00", text)])
    assert posted(result) == [("P1", "I1", "payment", Decimal("100.0000"))]
    assert result.invoices["status"].to_list() == ["paid"]
    assert result.payments["status"].to_list() == ["applied"]
    assert result.exceptions.is_empty()


@pytest.mark.parametrize("text", ["XINV-2024-0019", "INV-2024-0011", "INV-2024", "2024", None])
def test_part_of_a_word_is_no_reference(text: str | None) -> None:
    result = match([INVOICE], [pay("100.00", text)])
    assert posted(result) == []
    assert doubts(result) == {"P1": "UNKNOWN"}


@pytest.mark.parametrize("field", ["end_to_end_id", "creditor_reference"])
def test_structured_fields_are_read(field: str) -> None:
    invoice = {**INVOICE, "payment_reference": "RF18 5390 0754 7034"}
    result = match([invoice], [pay("100.00", None, **{field: "RF18539007547034"})])
    assert len(posted(result)) == 1
    assert "payment reference" in result.allocations["evidence"][0]


def test_the_longest_reference_wins_over_its_part() -> None:
    other = {**INVOICE, "record_id": "I2", "invoice_number": "2024-001"}
    assert posted(match([INVOICE, other], [pay("100.00")]))[0][1] == "I1"


def test_partial_payments_add_up() -> None:
    result = match([INVOICE], [pay("40.00"), pay("60.00", key="P2")])
    assert [p[3] for p in posted(result)] == [Decimal(40), Decimal(60)]
    assert result.invoices["open_amount"].to_list() == [Decimal(0)]
    half = match([INVOICE], [pay("40.00")]).invoices
    assert half.select("status", "paid_amount", "open_amount").row(0) == (
        "partly_paid",
        Decimal(40),
        Decimal(60),
    )


def test_one_payment_settles_several_invoices() -> None:
    other = {**INVOICE, "record_id": "I2", "invoice_number": "INV-2024-002", "amount": "50.00"}
    result = match([INVOICE, other], [pay("150.00", "INV-2024-001 INV-2024-002")])
    assert sorted(p[1] for p in posted(result)) == ["I1", "I2"]


def test_the_only_choice_with_the_sum_is_taken_and_an_unclear_one_is_not() -> None:
    others = [
        {**INVOICE, "record_id": f"I{k}", "invoice_number": f"INV-2024-00{k}", "amount": amount}
        for k, amount in ((2, "50.00"), (3, "30.00"))
    ]
    text = "INV-2024-001 INV-2024-002 INV-2024-003"
    result = match([INVOICE, *others], [pay("80.00", text)])
    assert sorted(p[1] for p in posted(result)) == ["I2", "I3"]
    unclear = match([INVOICE, *others], [pay("70.00", text)])
    assert posted(unclear) == []
    assert doubts(unclear) == {"P1": "AMOUNT"}


def test_a_bank_charge_is_posted_as_fee_and_closes_the_invoice() -> None:
    result = match([INVOICE], [pay("97.50")])
    assert posted(result) == [("P1", "I1", "fee", Decimal("2.5")), ("P1", "I1", "payment", Decimal("97.5"))]
    assert result.invoices.select("status", "fee_amount", "open_amount").row(0) == (
        "paid",
        Decimal("2.5"),
        Decimal(0),
    )
    assert result.payments["unapplied_amount"].to_list() == [Decimal(0)]


def test_more_than_the_ceiling_short_is_a_partial_payment() -> None:
    large = {**INVOICE, "amount": "1000.00"}
    assert match([large], [pay("890.00")]).invoices["status"].to_list() == ["partly_paid"]
    # Too large a share for a charge, too small a sum for a part payment: a clerk knows.
    assert doubts(match([INVOICE], [pay("89.00")])) == {"P1": "AMOUNT"}


def test_an_overpayment_is_applied_up_to_what_is_open() -> None:
    result = match([INVOICE], [pay("130.00")])
    assert posted(result) == [("P1", "I1", "payment", Decimal(100))]
    assert doubts(result) == {"P1": "AMOUNT"}
    assert result.exceptions["amount"].to_list() == [Decimal(30)]
    assert result.payments["status"].to_list() == ["partly_applied"]


def test_a_second_payment_is_a_duplicate() -> None:
    result = match([INVOICE], [pay("100.00"), pay("100.00", key="P2", booked_date=date(2024, 5, 21))])
    assert [p[0] for p in posted(result)] == ["P1"]
    assert doubts(result) == {"P2": "DUPLICATE"}


def test_a_second_payment_without_reference_is_a_duplicate_too() -> None:
    first = match([INVOICE], [pay("100.00")])
    second = pay("100.00", None, key="P2", payer_iban="DE01")
    assert doubts(match([INVOICE], [pay("100.00"), second], first.allocations)) == {"P2": "DUPLICATE"}


def test_another_currency_is_never_matched() -> None:
    result = match([INVOICE], [pay("100.00", currency="USD")])
    assert posted(result) == []
    assert doubts(result) == {"P1": "CURRENCY"}


def test_a_reference_from_another_customers_account_waits_for_a_clerk() -> None:
    other = {
        **INVOICE,
        "record_id": "I2",
        "invoice_number": "INV-2024-002",
        "customer_record_id": "C2",
        "amount": "77.00",
    }
    other |= {"iban": "DE02", "organisation_name_normalised": "zenith"}
    result = match([INVOICE, other], [pay("100.00", payer_iban="DE02")])
    assert posted(result) == []
    assert doubts(result) == {"P1": "PAYER"}
    assert "INV-2024-001" in result.exceptions["suggestions"][0][0]
    unknown_account = match([INVOICE, other], [pay("100.00", payer_iban="DE99")])
    assert len(posted(unknown_account)) == 1


def test_another_customers_name_needs_the_exact_amount() -> None:
    other = {
        **INVOICE,
        "record_id": "I2",
        "invoice_number": "INV-2024-002",
        "customer_record_id": "C2",
        "amount": "77.00",
    }
    other |= {"iban": None, "organisation_name_normalised": "zenith"}
    by_name = {"organisation_name_normalised": "zenith"}
    assert len(posted(match([INVOICE, other], [pay("100.00", **by_name)]))) == 1
    assert doubts(match([INVOICE, other], [pay("60.00", **by_name)])) == {"P1": "PAYER"}


def test_a_payment_of_another_time_waits_for_a_clerk() -> None:
    result = match([INVOICE], [pay("100.00", booked_date=date(2019, 1, 1))])
    assert doubts(result) == {"P1": "DATE"}


def test_outgoing_payments_are_never_matched_and_unknown_reversals_are_asked_about() -> None:
    rows = [pay("-100.00", None, key="P2", is_reversal=True, end_to_end_id="E1"), pay("-7.00", key="P3")]
    result = match([INVOICE], rows)
    assert posted(result) == []
    assert doubts(result) == {"P2": "REVERSAL"}
    assert result.payments["status"].to_list() == ["outgoing", "outgoing"]


def test_credit_notes_and_void_invoices() -> None:
    credit = {**INVOICE, "record_id": "I2", "invoice_number": "CN-2024-001", "amount": "-20.00"}
    void = {**INVOICE, "record_id": "I3", "invoice_number": "INV-2024-009", "document_status": "Cancelled"}
    gone = {**INVOICE, "record_id": "I4", "invoice_number": "INV-2024-010", "is_deleted": True}
    result = match([INVOICE, credit, void, gone], [pay("100.00", "INV-2024-009")])
    assert result.invoices.select("record_id", "status").rows() == [("I1", "open"), ("I2", "credit")]
    assert posted(result) == []


def test_bare_digits_need_amount_or_payer() -> None:
    invoice = {**INVOICE, "invoice_number": "10115"}
    assert len(posted(match([invoice], [pay("100.00", "10115")]))) == 1
    assert doubts(match([invoice], [pay("55.00", "10115 Berlin")])) == {"P1": "AMOUNT"}
    assert len(posted(match([invoice], [pay("55.00", "10115 Berlin", payer_iban="DE01")]))) == 1


def test_an_order_that_several_invoices_carry_needs_the_amount() -> None:
    invoices = [
        {**INVOICE, "record_id": f"I{k}", "invoice_number": f"INV-2024-00{k}", "amount": amount}
        | {"purchase_order_number": "PO-4711"}
        for k, amount in ((1, "100.00"), (2, "50.00"))
    ]
    assert posted(match(invoices, [pay("50.00", "PO 4711")]))[0][1] == "I2"
    assert len(posted(match(invoices, [pay("150.00", "PO 4711")]))) == 2
    assert doubts(match(invoices, [pay("20.00", "PO 4711")])) == {"P1": "ORDER"}


def test_an_order_without_invoice_is_named() -> None:
    orders = [{"record_id": "O1", "purchase_order_number": "PO-9999"}]
    assert doubts(match([INVOICE], [pay("1.00", "PO-9999")], orders=orders)) == {"P1": "ORDER"}


@pytest.mark.parametrize(
    "payer",
    [{"payer_iban": "DE01"}, {"payer_tax_id": "DE123456789"}, {"organisation_name_normalised": "ACME"}],
)
def test_payer_and_exact_amount_name_the_only_invoice(payer: Row) -> None:
    invoice = {**INVOICE, "tax_id": "DE123456789"}
    result = match([invoice], [pay("100.00", "thank you", **payer)])
    assert result.allocations["stage_name"].to_list() == ["payer_and_amount"]
    assert posted(match([invoice], [pay("100.01", "thank you", **payer)])) == []


def test_payer_is_found_through_the_linked_organisation() -> None:
    organisations = table(
        "conformed.organisations",
        [
            {
                "source": "crm",
                "record_id": "A1",
                "organisation_name": "Acme",
                "iban": "DE77",
                "is_deleted": False,
            }
        ],
        {"observed_at": NOW},
    )
    members = table(
        "linked.organisation_members",
        [{"source": "crm", "record_id": "A1"}, {"source": "erp_invoices", "record_id": "C1"}],
        {"entity_id": "org-1"},
    )
    rows = [pay("100.00", "thanks", payer_iban="DE77")]
    result = match([INVOICE], rows, members=members, organisations=organisations)
    assert len(posted(result)) == 1
    assert result.payments["account_entity_id"].to_list() == ["org-1"]
    assert result.invoices["account_entity_id"].to_list() == ["org-1"]


def test_two_invoices_of_one_amount_are_ambiguous_and_so_are_two_payments() -> None:
    twin = {**INVOICE, "record_id": "I2", "invoice_number": "INV-2024-002"}
    one = pay("100.00", None, payer_iban="DE01")
    result = match([INVOICE, twin], [one])
    assert doubts(result) == {"P1": "AMBIGUOUS"}
    assert len(result.exceptions["suggestions"][0]) == 2
    two = pay("100.00", None, key="P2", payer_iban="DE01")
    assert doubts(match([INVOICE], [one, two])) == {"P1": "AMBIGUOUS", "P2": "AMBIGUOUS"}


def test_a_number_of_an_unknown_invoice_stops_the_amount_unless_it_is_mistyped() -> None:
    unknown = match([INVOICE], [pay("100.00", "INV-2031-777", payer_iban="DE01")])
    assert doubts(unknown) == {"P1": "AMBIGUOUS"}
    mistyped = match([INVOICE], [pay("100.00", "INV-2024-010", payer_iban="DE01")])
    assert len(posted(mistyped)) == 1


def test_earlier_allocations_stay_and_only_the_rest_is_matched() -> None:
    first = match([INVOICE], [pay("40.00")])
    second = match([INVOICE], [pay("40.00"), pay("80.00", key="P2")], first.allocations)
    assert posted(second) == [("P1", "I1", "payment", Decimal(40)), ("P2", "I1", "payment", Decimal(60))]
    kept = second.allocations.filter(pl.col("payment_record_id") == "P1")
    assert kept.equals(first.allocations)


def test_money_is_exact() -> None:
    invoice = {**INVOICE, "amount": "12345678901234.12"}
    assert posted(match([invoice], [pay("12345678901234.12")]))[0][3] == Decimal("12345678901234.12")
    assert posted(match([invoice], [pay("12345678901234.11")]))[0][2] == "fee"


def test_tables_are_of_their_contracts_even_without_rows() -> None:
    result = match([], [])
    for name in ("allocations", "invoices", "payments", "exceptions"):
        assert getattr(result, name).schema == contract_of(f"reconciled.{name}").schema


def test_overdue_days_are_counted_for_what_is_owed() -> None:
    paid = {**INVOICE, "record_id": "I2", "invoice_number": "INV-2024-002"}
    result = match(invoice_table([INVOICE, paid]), [pay("100.00", "INV-2024-002")])
    assert result.invoices["days_overdue"].to_list() == [214, 0]

"""Payer history: an account is learned from exact, cited payments, and from nothing less."""

from __future__ import annotations

from .books import Row, match
from .test_reconciliation import INVOICE, pay, posted

HOLDING = {"payer_iban": "DE77", "payer_name": "Northern Holding", "organisation_name_normalised": "northern"}


def invoices(*amounts: str) -> list[Row]:
    return [
        {**INVOICE, "record_id": f"I{k}", "invoice_number": f"INV-2024-{k:03}", "amount": amount}
        for k, amount in enumerate(amounts, 1)
    ]


def cited(k: int, amount: str) -> Row:
    return pay(amount, f"INV-2024-{k:03}", record_id=f"P{k}", **HOLDING)


BILLED = ("4312.35", "871.19", "12877.43")
SILENT = pay("12877.43", None, record_id="P9", **HOLDING)


def posted_of(result: object, payment: str) -> list[str]:
    return [p[1] for p in posted(result) if p[0] == payment]  # type: ignore[arg-type]


def test_two_exact_cited_payments_name_the_account_on_the_same_night() -> None:
    result = match(invoices(*BILLED), [cited(1, "4312.35"), cited(2, "871.19"), SILENT])
    assert posted_of(result, "P9") == ["I3"]
    evidence = result.allocations.filter(result.allocations["payment_record_id"] == "P9")["evidence"][0]
    assert "earlier payments" in evidence


def test_and_on_later_nights() -> None:
    first = match(invoices(*BILLED), [cited(1, "4312.35"), cited(2, "871.19")])
    second = match(invoices(*BILLED), [cited(1, "4312.35"), cited(2, "871.19"), SILENT], first.allocations)
    assert posted_of(second, "P9") == ["I3"]


def test_one_payment_is_no_habit() -> None:
    assert posted_of(match(invoices(*BILLED), [cited(1, "4312.35"), SILENT]), "P9") == []


def test_payments_of_another_amount_teach_nothing() -> None:
    result = match(invoices(*BILLED), [cited(1, "4000.00"), cited(2, "800.00"), SILENT])
    assert posted_of(result, "P9") == []


def test_a_round_amount_under_another_name_is_asked_about() -> None:
    billed = ("4312.35", "871.19", "12000.00")
    silent = {**SILENT, "amount": "12000.00"}
    result = match(invoices(*billed), [cited(1, "4312.35"), cited(2, "871.19"), silent])
    assert posted_of(result, "P9") == []

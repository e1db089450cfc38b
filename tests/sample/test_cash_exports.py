"""Invoices, payments and the truth between them: balances, check digits, conservation."""

from __future__ import annotations

import csv
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest
import stdnum.eu.vat
import stdnum.gb.vat
import stdnum.iban
import stdnum.iso11649
from lxml import etree

NAMESPACE = {"c": "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def statements(sample: Path) -> list[etree._Element]:
    document = etree.parse(sample / "landing/bank/statement.xml")
    return list(document.iterfind(".//c:Stmt", NAMESPACE))


def signed(element: etree._Element) -> Decimal:
    amount = Decimal(element.findtext("c:Amt", namespaces=NAMESPACE))
    return amount if element.findtext("c:CdtDbtInd", namespaces=NAMESPACE) == "CRDT" else -amount


def test_one_statement_per_account_with_balances_that_add_up(statements: list[etree._Element]) -> None:
    currencies = [s.findtext("c:Acct/c:Ccy", namespaces=NAMESPACE) for s in statements]
    assert currencies == ["EUR", "GBP", "JPY", "USD"]
    for statement in statements:
        opening, closing = (signed(b) for b in statement.iterfind("c:Bal", NAMESPACE))
        entries = [signed(e) for e in statement.iterfind("c:Ntry", NAMESPACE)]
        assert entries
        assert opening + sum(entries) == closing
        currency = statement.findtext("c:Acct/c:Ccy", namespaces=NAMESPACE)
        assert {a.get("Ccy") for a in statement.iterfind(".//c:Amt", NAMESPACE)} == {currency}


def test_every_account_number_is_valid(sample: Path, statements: list[etree._Element]) -> None:
    found = {e.text for s in statements for e in s.iterfind(".//c:IBAN", NAMESPACE)}
    found |= {row["customer_iban"] for row in rows(sample / "landing/erp/invoices.csv")}
    for row in rows(sample / "landing/bank/ledger.csv"):
        found |= {row["account_iban"], row["counterparty_iban"]}
    found -= {"", None}
    assert len(found) > 100
    assert [iban for iban in found if not stdnum.iban.is_valid(iban)] == []


def test_every_tax_number_and_structured_reference_is_valid(sample: Path) -> None:
    invoices = rows(sample / "landing/erp/invoices.csv")
    taxes = {row["customer_tax_id"] for row in invoices} - {""}
    assert len({t[:2] for t in taxes}) >= 6
    for tax in taxes:
        assert stdnum.gb.vat.is_valid(tax) if tax.startswith("GB") else stdnum.eu.vat.is_valid(tax)
    references = {row["payment_reference"] for row in invoices} - {""}
    assert references
    assert all(stdnum.iso11649.is_valid(reference) for reference in references)


@pytest.fixture(scope="module")
def payments(sample: Path, statements: list[etree._Element]) -> dict[tuple[str, str], tuple[Decimal, str]]:
    found: dict[tuple[str, str], tuple[Decimal, str]] = {}
    for row in rows(sample / "landing/bank/ledger.csv"):
        found["bank_ledger", row["entry_id"]] = Decimal(row["amount"]), row["currency"]
    count = len(found)
    for statement in statements:
        currency = statement.findtext("c:Acct/c:Ccy", namespaces=NAMESPACE)
        for entry in statement.iterfind("c:Ntry", NAMESPACE):
            key = entry.findtext("c:AcctSvcrRef", namespaces=NAMESPACE)
            found["bank_statements", key] = signed(entry), currency
            count += 1
    assert len(found) == count, "record ids of payments are unique"
    return found


def test_true_allocations_conserve_money(
    sample: Path, payments: dict[tuple[str, str], tuple[Decimal, str]]
) -> None:
    invoices = {row["invoice_id"]: row for row in rows(sample / "landing/erp/invoices.csv")}
    spent: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    received: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows(sample / "truth/payments.csv"):
        key = row["PAYMENT_SOURCE"], row["PAYMENT_ID"]
        assert payments[key][1] == invoices[row["INVOICE_ID"]]["currency"]
        spent[key] += Decimal(row["AMOUNT"])
        received[row["INVOICE_ID"]] += Decimal(row["AMOUNT"])
    assert all(payments[key][0] == amount for key, amount in spent.items())
    assert all(0 < amount <= Decimal(invoices[i]["total_amount"]) for i, amount in received.items())


def test_every_kind_of_payment_occurs(
    sample: Path, payments: dict[tuple[str, str], tuple[Decimal, str]]
) -> None:
    invoices = {row["invoice_id"]: row for row in rows(sample / "landing/erp/invoices.csv")}
    truth = rows(sample / "truth/payments.csv")
    by_payment: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    by_invoice: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in truth:
        by_payment[row["PAYMENT_SOURCE"], row["PAYMENT_ID"]].append(row)
        by_invoice[row["INVOICE_ID"]].append(row)
    assert {row["PAYMENT_SOURCE"] for row in truth} == {"bank_ledger", "bank_statements"}
    assert any(len(found) > 1 for found in by_payment.values()), "one payment for several invoices"
    assert any(len(found) > 1 for found in by_invoice.values()), "an invoice paid in parts"
    assert any(key not in by_payment and amount > 0 for key, (amount, _) in payments.items()), (
        "a stranger's payment"
    )
    assert any(amount < 0 for amount, _ in payments.values()), "an outgoing entry"
    short = [
        Decimal(invoices[i]["total_amount"]) - sum(Decimal(row["AMOUNT"]) for row in found)
        for i, found in by_invoice.items()
    ]
    assert any(0 < missing <= 30 for missing in short), "a bank fee deducted"
    assert 0.7 < len(by_invoice) / len(invoices) < 0.97
    assert {row["currency"] for row in invoices.values()} == {"EUR", "USD", "GBP", "JPY"}


def test_yen_have_no_decimals(sample: Path) -> None:
    totals = [r["total_amount"] for r in rows(sample / "landing/erp/invoices.csv") if r["currency"] == "JPY"]
    assert totals
    assert all(total.isdigit() for total in totals if total[0].isdigit() and "." not in total)
    assert not any(total.endswith(".00") for total in totals)


def test_purchase_orders_are_those_the_invoices_name(sample: Path) -> None:
    orders = {row["order_number"] for row in rows(sample / "landing/erp/purchase_orders.csv")}
    named = {row["purchase_order_number"] for row in rows(sample / "landing/erp/invoices.csv")} - {""}
    assert orders == named

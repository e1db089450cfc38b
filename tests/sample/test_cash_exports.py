"""The cash exports and the truth about them: balances, batches, check digits, conservation, every case."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import stdnum.be.ogm_vcs
import stdnum.ch.esr
import stdnum.eu.vat
import stdnum.gb.vat
import stdnum.iban
import stdnum.iso11649
from lxml import etree

from crm_hygiene.mapping_file import BUILT_IN_SOURCES, load_mapping
from crm_hygiene.readers import LandedFile, read_file
from crm_hygiene.sample.cash.profile import COURSES
from crm_hygiene.sample.order_lines import FINDINGS

NAMESPACE = {"c": "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True)
class Files:
    """Rows of the files of one sample, by the name of the file."""

    folder: Path

    def erp(self, name: str) -> list[dict[str, str]]:
        return rows(self.folder / f"landing/erp/{name}.csv")

    def truth(self, name: str) -> list[dict[str, str]]:
        return rows(self.folder / f"truth/{name}.csv")


@pytest.fixture(scope="module")
def files(sample: Path) -> Files:
    return Files(sample)


@pytest.fixture(scope="module")
def statements(sample: Path) -> list[etree._Element]:
    document = etree.parse(sample / "landing/bank/statement.xml")
    return list(document.iterfind(".//c:Stmt", NAMESPACE))


def entries_of(sample: Path, name: str) -> tuple[list[dict[str, str]], LandedFile]:
    """Rows of a statement as our own reader tells them, all of its proofs done."""
    mapping = load_mapping(BUILT_IN_SOURCES / "bank_statements.yaml")
    landed = read_file(sample / "landing/bank" / name, mapping)
    return pl.concat(list(landed.chunks)).to_dicts(), landed


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


def test_batches_are_the_sum_of_their_transactions(statements: list[etree._Element]) -> None:
    entries = [e for s in statements for e in s.iterfind("c:Ntry", NAMESPACE)]
    batches = [e for e in entries if e.find("c:NtryDtls/c:Btch", NAMESPACE) is not None]
    assert batches
    for entry in entries:
        parts = [signed(t) for t in entry.iterfind("c:NtryDtls/c:TxDtls", NAMESPACE)]
        assert sum(parts) == signed(entry)
        stated = entry.findtext("c:NtryDtls/c:Btch/c:NbOfTxs", namespaces=NAMESPACE)
        assert len(parts) == int(stated or 1)


@pytest.mark.parametrize("name", ["statement.xml", "statement.sta"])
def test_our_own_reader_proves_the_statements(sample: Path, name: str, files: Files) -> None:
    told, landed = entries_of(sample, name)
    assert landed.refused == []
    assert landed.warnings == []
    ids = {row["EntryId"] for row in told}
    true = {r["PAYMENT_ID"] for r in files.truth("payment_cases") if r["PAYMENT_SOURCE"] == "bank_statements"}
    assert ids
    assert ids <= true


def payments_of(sample: Path) -> dict[tuple[str, str], tuple[Decimal, str]]:
    """Amount and currency by (source, id), as the readers tell them."""
    found = {
        ("bank_ledger", row["entry_id"]): (Decimal(row["amount"]), row["currency"])
        for row in rows(sample / "landing/bank/ledger.csv")
        if not row["entry_id"].startswith("BLODD")
    }
    for name in ("statement.xml", "statement.sta"):
        for row in entries_of(sample, name)[0]:
            key = "bank_statements", row["EntryId"]
            assert key not in found, "record ids of payments are unique"
            found[key] = Decimal(row["Amount"]), row["Currency"]
    return found


@pytest.fixture(scope="module")
def payments(sample: Path) -> dict[tuple[str, str], tuple[Decimal, str]]:
    return payments_of(sample)


def test_the_truth_knows_every_payment(
    files: Files, payments: dict[tuple[str, str], tuple[Decimal, str]]
) -> None:
    cases = {(r["PAYMENT_SOURCE"], r["PAYMENT_ID"]) for r in files.truth("payment_cases")}
    assert cases == payments.keys()
    for name in ("payments", "allocations"):
        assert {(r["PAYMENT_SOURCE"], r["PAYMENT_ID"]) for r in files.truth(name)} <= cases


def test_true_allocations_conserve_money(
    files: Files, payments: dict[tuple[str, str], tuple[Decimal, str]]
) -> None:
    invoices = {row["invoice_id"]: row for row in files.erp("invoices")}
    case = {(r["PAYMENT_SOURCE"], r["PAYMENT_ID"]): r["CASE"] for r in files.truth("payment_cases")}
    spent: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    settled: dict[str, Decimal] = defaultdict(Decimal)
    for row in files.truth("allocations"):
        if row["KIND"] in ("payment", "interest", "credit_note", "reversal", "overpaid"):
            spent[row["PAYMENT_SOURCE"], row["PAYMENT_ID"]] += Decimal(row["AMOUNT"])
        if row["KIND"] not in ("interest", "overpaid"):
            settled[row["INVOICE_ID"]] += Decimal(row["AMOUNT"])
    assert all(payments[k][0] == amount for k, amount in spent.items() if case[k] != "foreign_currency")
    for invoice, amount in settled.items():
        total = Decimal(invoices[invoice]["total_amount"])
        # Same sign, and no more than the whole.
        assert amount * total >= 0
        assert abs(amount) <= abs(total)


def test_payments_that_stand_are_told_in_their_own_currency(
    files: Files, payments: dict[tuple[str, str], tuple[Decimal, str]]
) -> None:
    back = {r["PAYMENT_ID"] for r in files.truth("payment_cases") if r["CASE"] == "return"}
    paid: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in files.truth("payments"):
        assert row["PAYMENT_ID"] not in back
        assert Decimal(row["AMOUNT"]) > 0
        paid[row["PAYMENT_SOURCE"], row["PAYMENT_ID"]] += Decimal(row["AMOUNT"])
    netted = {
        r["PAYMENT_ID"]
        for r in files.truth("payment_cases")
        if r["CASE"] in ("credit_netted", "foreign_currency")
    }
    assert all(amount <= payments[k][0] for k, amount in paid.items() if k[1] not in netted)


def test_every_account_number_is_valid(files: Files, sample: Path, statements: list[etree._Element]) -> None:
    found = {e.text for s in statements for e in s.iterfind(".//c:IBAN", NAMESPACE)}
    found |= {row["customer_iban"] for row in files.erp("invoices")}
    found |= {row["payer_iban"] for row in files.erp("payer_relations")}
    for row in rows(sample / "landing/bank/ledger.csv"):
        found |= {row["account_iban"], row["counterparty_iban"]}
    found -= {"", None}
    assert len(found) > 100
    assert [iban for iban in found if not stdnum.iban.is_valid(iban)] == []


def test_every_tax_number_and_structured_reference_is_valid(files: Files) -> None:
    invoices = files.erp("invoices")
    taxes = {row["customer_tax_id"] for row in invoices} - {""}
    assert len({t[:2] for t in taxes}) >= 6
    for tax in taxes:
        assert stdnum.gb.vat.is_valid(tax) if tax.startswith("GB") else stdnum.eu.vat.is_valid(tax)
    references = {row["payment_reference"] for row in invoices} - {""}
    checks = (stdnum.iso11649.is_valid, stdnum.be.ogm_vcs.is_valid, stdnum.ch.esr.is_valid)
    assert references
    assert all(any(is_valid(reference) for is_valid in checks) for reference in references)


def test_every_case_occurs(
    files: Files, payments: dict[tuple[str, str], tuple[Decimal, str]], statements: list[etree._Element]
) -> None:
    told = files.truth("payment_cases")
    cases = {row["CASE"] for row in told}
    assert cases >= set(COURSES) - {"unpaid", "credited_whole"}
    assert cases >= {
        "duplicate",
        "return",
        "orphan_return",
        "paid_again",
        "stranger",
        "own_business",
        "outgoing",
    }
    assert {row["PAYER"] for row in told} >= {"own_account", "parent", "factoring", "virtual_account"}
    assert {row["REFERENCE"] for row in told} >= {
        "exact",
        "digits",
        "structured",
        "end_to_end",
        "typo",
        "none",
    }
    assert {row["PAYMENT_SOURCE"] for row in files.truth("payments")} == {"bank_ledger", "bank_statements"}
    by_payment: dict[str, set[str]] = defaultdict(set)
    by_invoice: dict[str, set[str]] = defaultdict(set)
    for row in files.truth("payments"):
        by_payment[row["PAYMENT_ID"]].add(row["INVOICE_ID"])
        by_invoice[row["INVOICE_ID"]].add(row["PAYMENT_ID"])
    assert any(len(found) > 1 for found in by_payment.values()), "one payment for several invoices"
    assert any(len(found) > 1 for found in by_invoice.values()), "an invoice paid in parts"
    kinds = {row["KIND"] for row in files.truth("allocations")}
    assert kinds >= {"fee", "discount", "interest", "credit_note", "write_off", "overpaid", "reversal"}
    tags = {etree.QName(e).localname for s in statements for e in s.iter() if isinstance(e.tag, str)}
    assert tags >= {"RvslInd", "RtrInf", "XchgRate", "InstdAmt", "Btch", "CdtrRefInf"}
    assert files.erp("remittance_advices")
    assert {row["relation_kind"] for row in files.erp("payer_relations")} >= {"factoring", "virtual_account"}


def test_hostile_text_is_there_and_breaks_no_file(sample: Path) -> None:
    bank = sample / "landing/bank"
    # Subfields of MT940 end after 27 characters, in the middle of a word.
    texts = [
        re.sub(rb"\n\?2\d", b"", (bank / n).read_bytes())
        for n in ("ledger.csv", "statement.xml", "statement.sta")
    ]
    signs = (b"Ignore all rules", b"DROP TABLE", b"our new IBAN", b"paid in full", b"=HYPERLINK")
    assert all(any(sign in text for sign in signs) for text in texts)
    assert all(any(sign in text for text in texts) for sign in signs)


def test_odd_documents_and_entries_are_few_and_there(files: Files, sample: Path) -> None:
    invoices = files.erp("invoices")
    by_state = {row["status"] for row in invoices}
    assert by_state == {"open", "overdue", "cancelled"}
    notes = [row for row in invoices if row["document_kind"] == "credit_note"]
    numbers = {row["invoice_number"] for row in invoices}
    assert all(row["corrects_invoice_number"] in numbers for row in notes)
    negative = [r for r in invoices if r["document_kind"] == "invoice" and r["total_amount"].startswith("-")]
    assert 0 < len(negative) <= 4
    paid = {row["INVOICE_ID"] for row in files.truth("allocations")}
    assert not paid & {
        row["invoice_id"] for row in [*negative, *(r for r in invoices if r["status"] == "cancelled")]
    }
    ledger = rows(sample / "landing/bank/ledger.csv")
    assert {row["currency"] for row in ledger} >= {"EUR", "XQZ"}
    assert {row["currency"] for row in invoices} == {"EUR", "USD", "GBP", "JPY"}


def test_yen_have_no_decimals(files: Files) -> None:
    totals = [r["total_amount"] for r in files.erp("invoices") if r["currency"] == "JPY"]
    assert totals
    assert all(total.lstrip("-").isdigit() for total in totals if total not in ("n/a", "12.34.56", "1O0.00"))


def test_lines_add_up_to_their_invoices_and_orders(files: Files) -> None:
    for lines, documents, key in (
        ("invoice_lines", "invoices", "invoice_id"),
        ("purchase_order_lines", "purchase_orders", "order_id"),
    ):
        total: dict[str, Decimal] = defaultdict(Decimal)
        for row in files.erp(lines):
            assert Decimal(row["quantity"]) * Decimal(row["unit_price"]) == Decimal(row["amount"])
            total[row[key]] += Decimal(row["amount"])
        stated = {row[key]: row["total_amount"] for row in files.erp(documents)}
        assert total
        known = {
            k: v for k, v in stated.items() if k in total and v.lstrip("-").replace(".", "", 1).isdigit()
        }
        assert all(abs(Decimal(v)) == total[k] for k, v in known.items())


def test_orders_receipts_and_invoices_differ_here_and_there(files: Files) -> None:
    billed = {
        (r["purchase_order_number"], r["purchase_order_line"], r["item_id"]): r
        for r in files.erp("invoice_lines")
    }
    ordered = {
        (r["order_number"], r["line_number"], r["item_id"]): r for r in files.erp("purchase_order_lines")
    }
    received = {(r["order_number"], r["line_number"], r["item_id"]): r for r in files.erp("receipts")}
    both = billed.keys() & ordered.keys()
    assert any(Decimal(billed[k]["unit_price"]) > Decimal(ordered[k]["unit_price"]) for k in both)
    assert any(int(billed[k]["quantity"]) > int(ordered[k]["quantity"]) for k in both)
    assert any(int(received[k]["quantity"]) < int(ordered[k]["quantity"]) for k in received.keys() & both)
    orders = files.erp("purchase_orders")
    assert any(row["status"] == "cancelled" for row in orders)
    named = {row["purchase_order_number"] for row in files.erp("invoices")} - {""}
    known = {row["order_number"] for row in orders}
    assert known < named, "some invoices name an order that we do not have"
    assert {row["order_number"] for row in files.erp("reservations")} < known
    assert sum(FINDINGS.values()) == pytest.approx(1)


def test_a_payment_bounces_on_the_account_it_came_to(files: Files, sample: Path) -> None:
    account = {r["entry_id"]: r["account_iban"] for r in rows(sample / "landing/bank/ledger.csv")}
    for name in ("statement.xml", "statement.sta"):
        account |= {r["EntryId"]: r["AccountIban"] for r in entries_of(sample, name)[0]}
    frame = pl.DataFrame(files.truth("allocations"))
    back = frame.filter(KIND="reversal").join(frame.filter(KIND="payment"), on="INVOICE_ID", suffix="_of")
    assert back.height
    pairs = set(back.select("PAYMENT_ID", "PAYMENT_ID_of").iter_rows())
    assert all(account[one] == account[other] for one, other in pairs)
    assert not any(account[one].startswith("BL") for one, _ in pairs)

"""Small ledgers for tests of cash: rows of the conformed contracts from short dictionaries."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from crm_hygiene.cash import Reconciliation, load_cash_rules, reconcile
from crm_hygiene.cash.books import Books as Inputs
from crm_hygiene.contract import contract_of

RULES = load_cash_rules()
AS_OF = date(2024, 12, 31)
NOW = datetime(2024, 12, 31, tzinfo=UTC)
Row = dict[str, Any]


def table(name: str, rows: Iterable[Row], defaults: Row) -> pl.DataFrame:
    contract = contract_of(name)
    landed = {"file": "f.csv", "row_number": 1, "observed_at": NOW, "landed_at": NOW}
    filled = [{**dict.fromkeys(contract.column_names), **defaults, **row} for row in rows]
    for row in filled:
        row.update({k: v for k, v in landed.items() if k in row and row[k] is None})
        if "amount" in row:
            row["amount"] = Decimal(str(row["amount"]))
    return pl.DataFrame(filled, schema=contract.schema) if filled else contract.empty()


def invoice_table(rows: Iterable[Row]) -> pl.DataFrame:
    defaults = {
        "source": "erp_invoices", "is_deleted": False, "currency": "EUR", "customer_record_id": "C1",
        "issue_date": date(2024, 5, 1), "due_date": date(2024, 5, 31), "document_status": "open",
    }  # fmt: skip
    return table("conformed.invoices", rows, defaults)


def payment_table(rows: Iterable[Row]) -> pl.DataFrame:
    defaults = {
        "source": "bank_ledger", "currency": "EUR", "booked_date": date(2024, 5, 20), "is_reversal": False,
    }  # fmt: skip
    return table("conformed.payments", rows, defaults)


def order_table(rows: Iterable[Row]) -> pl.DataFrame:
    defaults = {"source": "erp_purchase_orders", "is_deleted": False, "currency": "EUR", "amount": "1"}
    return table("conformed.purchase_orders", rows, defaults)


def match(
    invoices: list[Row] | pl.DataFrame,
    payments: list[Row] | pl.DataFrame,
    previous: pl.DataFrame | None = None,
    orders: list[Row] | None = None,
    members: pl.DataFrame | None = None,
    organisations: pl.DataFrame | None = None,
    **more: pl.DataFrame,
) -> Reconciliation:
    books = Inputs(
        invoices=invoices if isinstance(invoices, pl.DataFrame) else invoice_table(invoices),
        payments=payments if isinstance(payments, pl.DataFrame) else payment_table(payments),
        orders=order_table(orders or []),
        members=contract_of("linked.organisation_members").empty() if members is None else members,
        organisations=contract_of("conformed.organisations").empty()
        if organisations is None
        else organisations,
        allocations=contract_of("reconciled.allocations").empty() if previous is None else previous,
        **more,
    )
    return reconcile(books, RULES, AS_OF)


@dataclass(frozen=True)
class Books:
    """A generated ledger and what truly belongs together: payment id -> {invoice id: paid}."""

    invoices: pl.DataFrame
    payments: pl.DataFrame
    truth: dict[str, dict[str, Decimal]]


def generate(seed: int, size: int) -> Books:
    """Invoices of a few customers and payments in the ways customers pay, good and bad."""
    rng = random.Random(seed)
    customers = [
        {"customer_record_id": f"C{k}", "organisation_name_normalised": f"customer {k}",
         "iban": f"DE{k:020d}", "tax_id": f"DE{k:09d}"}
        for k in range(max(2, size // 4))
    ]  # fmt: skip
    invoices, payments = [], []
    truth: dict[str, dict[str, Decimal]] = {}

    def invoice(who: Row, amount: Decimal | None = None) -> Row:
        number = f"INV-2024-{len(invoices):06d}"
        issued = date(2024, 3, 1) + timedelta(days=rng.randrange(60))
        row = {
            **who, "record_id": f"I{len(invoices)}", "invoice_number": number, "issue_date": issued,
            "due_date": issued + timedelta(days=30), "currency": rng.choice(["EUR", "EUR", "USD"]),
            "amount": amount or Decimal(rng.randrange(5_000, 900_000)) / 100,
        }  # fmt: skip
        invoices.append(row)
        return row

    def pay(who: Row, amount: Decimal, cited: str, settles: dict[str, Decimal], **more: Any) -> None:
        key = f"P{len(payments)}"
        payments.append(
            {"record_id": key, "amount": amount, "remittance_text": cited, "payer_iban": who["iban"],
             "organisation_name_normalised": who["organisation_name_normalised"],
             "booked_date": date(2024, 5, 1) + timedelta(days=rng.randrange(50)), **more}
        )  # fmt: skip
        truth[key] = settles

    for _ in range(size):
        who = rng.choice(customers)
        way = rng.randrange(12)
        one = invoice(who)
        full, key, paid_in = one["amount"], one["record_id"], {"currency": one["currency"]}
        number = one["invoice_number"].replace("-", rng.choice(["-", "", " ", "/"]))
        if way <= 2:
            pay(who, full, f"Thank you! Re. {number}, 10115 Berlin", {key: full}, **paid_in)
        elif way == 3:
            part = (full / 2).quantize(Decimal("0.01"))
            pay(who, part, f"1st part {number}", {key: part}, **paid_in)
            pay(who, full - part, f"rest of {number}", {key: full - part}, **paid_in)
        elif way == 4:
            two = invoice(who)
            two["currency"] = one["currency"]
            settles = {key: full, two["record_id"]: two["amount"]}
            pay(who, full + two["amount"], f"{number}+{two['invoice_number']}", settles, **paid_in)
        elif way == 5:
            paid = full - Decimal("1.50")
            pay(who, paid, number, {key: paid}, **paid_in)
        elif way == 6:
            pay(who, full, "invoice, with thanks", {key: full}, **paid_in)
        elif way == 7:
            pay(who, full, number, {key: full}, **paid_in)
            pay(who, full, number, {}, booked_date=date(2024, 6, 25), **paid_in)
        elif way == 8:
            # Only an account that is known to be another customer's contradicts a reference.
            known = {row["iban"] for row in invoices} - {who["iban"]}
            others = [c for c in customers if c["iban"] in known]
            pay(rng.choice(others) if others else who, full, number, {} if others else {key: full}, **paid_in)
        elif way == 9:
            pay(who, full, number, {}, currency="GBP")
        elif way == 10:
            # Two invoices of one amount and one due date: nobody can tell which is paid.
            invoice(who, full).update({k: one[k] for k in ("currency", "issue_date", "due_date")})
            pay(who, full, "monthly fee", {}, **paid_in)
        else:
            pay(who, Decimal(rng.randrange(1, 5_000)), "donation", {}, **paid_in)
    return Books(invoice_table(invoices), payment_table(payments), truth)

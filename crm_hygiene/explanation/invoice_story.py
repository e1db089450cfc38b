"""The story of an invoice or a payment: every posting with its evidence and night, and what is open.

Reads what the nights published, and computes nothing anew. What does not belong here: entities and the
links between records (`entity_explanation`, `record_explanation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
from rapidfuzz import process
from rapidfuzz.distance import OSA

from crm_hygiene.cash.money import text, units
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.records import Record, written
from crm_hygiene.night import Night

Row = dict[str, Any]

#: What a posting of each kind did, in words.
_KINDS = {
    "payment": "paid",
    "fee": "bank charge",
    "discount": "early-payment discount",
    "interest": "late interest",
    "exchange": "exchange difference",
    "write_off": "written off",
    "credit_note": "netted with a credit note",
    "refund": "paid back",
    "reversal": "taken back",
}
_PARTS = (
    ("paid_amount", "paid"),
    ("fee_amount", "bank charges"),
    ("discount_amount", "early-payment discount"),
    ("exchange_amount", "exchange difference"),
    ("credited_amount", "credit notes"),
    ("written_off_amount", "written off"),
    ("interest_amount", "late interest on top"),
)
_MOST_EXCEPTIONS = 5


def _money(amount: Decimal | None, currency: str | None) -> str:
    return "an unknown amount" if amount is None else text(units(amount), currency or "?")


def _record(row: Row, prefix: str = "") -> Record:
    return (row[f"{prefix}source"], row[f"{prefix}record_id"])


def _plain(value: object) -> object:
    """A value as JSON has it: money as text, times in ISO 8601."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date | datetime) else value


def _as_rows(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _rows(night: Night, table: str, where: pl.Expr, *order: str) -> list[Row]:
    found = night.lake.scan(contract_of(table)).filter(where).collect()
    return found.sort(*order, nulls_last=True).to_dicts() if order else found.to_dicts()


def _is(record: Record, prefix: str = "") -> pl.Expr:
    return (pl.col(f"{prefix}source") == record[0]) & (pl.col(f"{prefix}record_id") == record[1])


def _posting(row: Row, of_invoice: bool) -> str:
    other = "payment_" if of_invoice else "invoice_"
    what = _KINDS.get(row["allocation_kind"], row["allocation_kind"])
    who = written(_record(row, other)) if row[f"{other}record_id"] else "no " + other.rstrip("_")
    posted = row.get("posted_at")
    parts = [
        f"{posted:%Y-%m-%d}" if posted else "an earlier night",
        f"{what} {_money(row['allocated_amount'], row['currency'])}",
        f"{'from' if of_invoice else 'to'} {who}",
    ]
    if row["booked_date"]:
        parts.append(f"booked {row['booked_date']}")
    used = row.get("used_amount")
    if used and row.get("used_currency") not in (None, row["currency"]):
        parts.append(f"using {_money(used, row['used_currency'])}")
    line = f"  {', '.join(parts)}"
    why = [row["evidence"] or "no evidence was kept"]
    if row.get("reverses_allocation_id"):
        why.insert(0, f"takes back posting {row['reverses_allocation_id'][:8]}")
    if row.get("decision_id"):
        why.append(f"by decision {row['decision_id']}")
    return f"{line} [{row['allocation_id'][:8]}]\n      because {'; '.join(why)}"


def _decision(row: Row) -> str:
    verb = "took back a decision" if row["revokes_decision_id"] else row["decision_kind"].replace("_", " ")
    amount = f" {_money(row['amount'], row['currency'])}" if row["amount"] is not None else ""
    until = f" until {row['until_date']}" if row["until_date"] else ""
    reason = f": {row['reason']}" if row["reason"] else ""
    return f"  {row['decided_at']:%Y-%m-%d %H:%M} {row['decided_by']}: {verb}{amount}{until}{reason}"


def _exception(row: Row) -> list[str]:
    stake = _money(row.get("amount_at_stake") or row["amount"], row["currency"])
    since = f", since {row['opened_on']}" if row.get("opened_on") else ""
    about = f" about {written(_record(row, 'payment_'))}" if row["payment_record_id"] else ""
    lines = [f"  {row['exception_type']}{about}: {row['reason']} ({stake} at stake{since})"]
    return lines + [f"      {n}. {said}" for n, said in enumerate(row["suggestions"] or [], 1)]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"{title}:", *lines] if lines else []


def _exception_lines(exceptions: Sequence[Row]) -> list[str]:
    said = [line for row in exceptions[:_MOST_EXCEPTIONS] for line in _exception(row)]
    more = len(exceptions) - _MOST_EXCEPTIONS
    return said + ([f"  and {more} more"] if more > 0 else [])


@dataclass(frozen=True)
class InvoiceStory:
    """An invoice as it stands, and every line of the books that made it so.

    `state` is its row of reconciled.invoices, None before it was reconciled (a void invoice is not).
    """

    invoice: Row
    state: Row | None
    postings: list[Row]
    decisions: list[Row]
    order_checks: list[Row]
    movements: list[Row]
    exceptions: list[Row]

    def lines(self) -> list[str]:
        """The story in words."""
        doc, state = self.invoice, self.state
        kind = (doc.get("document_kind") or "invoice").replace("_", " ")
        said = [
            f"{kind} {doc['invoice_number'] or '(no number)'} ({written(_record(doc))}) of "
            f"{_money(doc['amount'], doc['currency'])}"
            f"{' to ' + doc['customer_name'] if doc['customer_name'] else ''}"
            f"{', issued ' + str(doc['issue_date']) if doc['issue_date'] else ''}"
            f"{', due ' + str(doc['due_date']) if doc['due_date'] else ''}",
            f"  as {doc['file']} row {doc['row_number']} says, landed {doc['landed_at']:%Y-%m-%d %H:%M} UTC",
        ]
        if doc.get("corrects_invoice_number"):
            said.append(f"  corrects invoice {doc['corrects_invoice_number']}")
        if doc.get("discount_percent") and doc.get("discount_days") is not None:
            said.append(
                f"  {doc['discount_percent']:f}".rstrip("0").rstrip(".")
                + f" % discount if paid within {doc['discount_days']} days of issue"
            )
        if state is None:
            status = doc["document_status"] or ("deleted" if doc["is_deleted"] else None)
            said.append(f"  takes no part in the books{f': it is {status}' if status else ''}")
        else:
            said += self._open(state)
        said += [] if self.postings else ["", "Nothing is posted to it yet."]
        said += _section("Postings", [_posting(row, True) for row in self.postings])
        said += _section("Decided by people", [_decision(row) for row in self.decisions])
        said += _section("Against its order", [self._check(row) for row in self.order_checks])
        said += _section("Goods reserved for its order", [self._movement(row) for row in self.movements])
        return said + _section("A person has to look at", _exception_lines(self.exceptions))

    @staticmethod
    def _open(state: Row) -> list[str]:
        currency = state["currency"]
        parts = [
            f"{words} {_money(state[name], currency)}"
            for name, words in _PARTS
            if state.get(name) is not None and state[name] != 0
        ]
        late = f", {state['days_overdue']} days overdue" if state["days_overdue"] else ""
        balance = (
            f"  is {state['status'].replace('_', ' ')}: {_money(state['open_amount'], currency)} open{late}"
        )
        return [balance, *([f"  {'; '.join(parts)}"] if parts else [])]

    @staticmethod
    def _check(row: Row) -> str:
        line = f"line {row['line_number']}" if row["line_number"] else "the invoice"
        blocked = "; blocks a posting" if row["is_blocking"] else ""
        status = row["order_check_status"].replace("_", " ")
        return f"  {line}, order {row['purchase_order_number']}: {status}, {row['reason']}{blocked}"

    @staticmethod
    def _movement(row: Row) -> str:
        at = f" at {row['location']}" if row["location"] else ""
        quantity = f"{row['moved_quantity']:+f}".rstrip("0").rstrip(".")
        return (
            f"  {row['posted_at']:%Y-%m-%d} {row['movement_kind']} {quantity} of {row['item_id']}{at}: "
            f"{row['reason']}"
        )

    def as_json(self) -> dict[str, object]:
        """The same as plain data."""
        return {
            "kind": "invoice",
            "invoice": _as_rows([self.invoice])[0],
            "state": None if self.state is None else _as_rows([self.state])[0],
            "postings": _as_rows(self.postings),
            "decisions": _as_rows(self.decisions),
            "order_checks": _as_rows(self.order_checks),
            "inventory_movements": _as_rows(self.movements),
            "exceptions": _as_rows(self.exceptions),
        }


@dataclass(frozen=True)
class PaymentStory:
    """A payment as it stands, and every line of the books that made it so."""

    payment: Row
    state: Row | None
    postings: list[Row]
    decisions: list[Row]
    exceptions: list[Row]

    def lines(self) -> list[str]:
        """The story in words."""
        row, state = self.payment, self.state
        said = [
            f"payment {written(_record(row))} of {_money(row['amount'], row['currency'])}"
            f"{' from ' + row['payer_name'] if row['payer_name'] else ''}"
            f"{', booked ' + str(row['booked_date']) if row['booked_date'] else ''}",
            f"  as {row['file']} row {row['row_number']} says, landed {row['landed_at']:%Y-%m-%d %H:%M} UTC",
        ]
        for name, words in (
            ("remittance_text", "text"),
            ("end_to_end_id", "end-to-end id"),
            ("creditor_reference", "structured reference"),
            ("bank_reference", "the bank's reference"),
        ):
            if row.get(name):
                value = str(row[name])
                said.append(f"  {words}: {value[:200]}{'…' if len(value) > 200 else ''}")
        if state is None:
            said.append("  takes no part in the books")
        else:
            currency = state["currency"]
            applied, rest = (_money(state[f"{n}_amount"], currency) for n in ("applied", "unapplied"))
            said.append(f"  is {state['status'].replace('_', ' ')}: {applied} applied, {rest} not applied")
            parts = (
                ("fee_amount", "bank charges"),
                ("refunded_amount", "paid back"),
                ("written_off_amount", "written off"),
            )
            for name, words in parts:
                if state.get(name):
                    said.append(f"  {words} {_money(state[name], currency)}")
        said += [] if self.postings else ["", "Nothing of it is posted yet."]
        said += _section("Postings", [_posting(row, False) for row in self.postings])
        said += _section("Decided by people", [_decision(row) for row in self.decisions])
        return said + _section("A person has to look at", _exception_lines(self.exceptions))

    def as_json(self) -> dict[str, object]:
        """The same as plain data."""
        return {
            "kind": "payment",
            "payment": _as_rows([self.payment])[0],
            "state": None if self.state is None else _as_rows([self.state])[0],
            "postings": _as_rows(self.postings),
            "decisions": _as_rows(self.decisions),
            "exceptions": _as_rows(self.exceptions),
        }


def _decisions(night: Night, where: pl.Expr) -> list[Row]:
    """Decisions, and those that took one of them back, oldest first."""
    log = night.lake.scan(contract_of("stewardship.cash_decisions")).collect()
    of = log.filter(where)
    back = log.filter(pl.col("revokes_decision_id").is_in(of["cash_decision_id"].implode()))
    return pl.concat([of, back]).unique().sort("decided_at", "cash_decision_id").to_dicts()


def _postings(night: Night, record: Record, prefix: str) -> list[Row]:
    return _rows(
        night, "reconciled.allocations", _is(record, prefix), "posted_at", "booked_date", "allocation_id"
    )


def _exceptions(night: Night, where: pl.Expr) -> list[Row]:
    return _rows(night, "reconciled.exceptions", where, "exception_type", "exception_id")


def _invoice_story(night: Night, record: Record, invoice: Row) -> InvoiceStory:
    checks = _rows(night, "reconciled.order_checks", _is(record, "invoice_"), "line_number", "record_id")
    orders = sorted({_record(c, "purchase_order_") for c in checks if c["purchase_order_record_id"]})
    moved = [
        row
        for order in orders
        for row in _rows(
            night, "reconciled.inventory_movements", _is(order, "purchase_order_"), "posted_at", "movement_id"
        )
    ]
    suggested = _rows(night, "reconciled.suggestions", _is(record, "invoice_"))
    asked = pl.col("exception_id").is_in([row["exception_id"] for row in suggested])
    states = _rows(night, "reconciled.invoices", _is(record))
    return InvoiceStory(
        invoice,
        states[0] if states else None,
        _postings(night, record, "invoice_"),
        _decisions(night, _is(record, "invoice_")),
        checks,
        moved,
        _exceptions(night, _is(record, "invoice_") | asked),
    )


def _payment_story(night: Night, record: Record, payment: Row) -> PaymentStory:
    states = _rows(night, "reconciled.payments", _is(record))
    return PaymentStory(
        payment,
        states[0] if states else None,
        _postings(night, record, "payment_"),
        _decisions(night, _is(record, "payment_")),
        _exceptions(night, _is(record, "payment_")),
    )


def find_cash_story(night: Night, target: str) -> InvoiceStory | PaymentStory | None:
    """The story of what `target` names: an invoice by number or record, a payment by record; else None.

    Raises
    ------
    ConfigurationError
        if several invoices have the number; the message names them.
    """
    source, colon, record_id = target.partition(":")
    if colon:
        record = (source, record_id)
        invoices = _rows(night, "conformed.invoices", _is(record))
        if invoices:
            return _invoice_story(night, record, invoices[0])
        payments = _rows(night, "conformed.payments", _is(record))
        if payments:
            return _payment_story(night, record, payments[0])
    named = _rows(night, "conformed.invoices", pl.col("invoice_number") == target, "source", "record_id")
    if len(named) > 1:
        which = " or ".join(written(_record(row)) for row in named[:5])
        raise ConfigurationError(f"{len(named)} invoices have the number {target}: explain {which}")
    return _invoice_story(night, _record(named[0]), named[0]) if named else None


def nearest_invoice(night: Night, target: str) -> str | None:
    """The known invoice number most like `target`, if one is alike at all."""
    numbers = (
        night.lake.scan(contract_of("conformed.invoices"))
        .select(pl.col("invoice_number").drop_nulls().unique())
        .collect()["invoice_number"]
        .sort()
        .to_list()
    )
    found = process.extractOne(target, numbers, scorer=OSA.normalized_similarity, score_cutoff=0.6)
    return None if found is None else str(found[0])

"""X12 810 invoice: header and line rows, and the proof of its total.

Source: ASC X12 810, versions 004010 to 005010. Amounts of TDS and SAC are N2: 41192 is 411.92.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from crm_hygiene.readers.documents.elements import number, plain_number
from crm_hygiene.readers.documents.payment_terms import Discount, best_discount
from crm_hygiene.readers.documents.x12_fields import (
    Row,
    cents,
    currency_of,
    days_between,
    iso_date,
    item_of,
    loops,
    party,
    price_of_one,
)
from crm_hygiene.readers.documents.x12_interchange import Segment, TransactionSet, element

# Invoice types (X12 640) that give money back, and those that ask for more on top of an invoice.
_CREDIT = frozenset({"CN", "CR", "CM"})
_DEBIT = frozenset({"DR"})
_TAX_CODES = frozenset(
    {"H740", "H750", "H760", "H770", "H780", "H790", "H800", "H810", "H820", "H850", "H860"}
)
_SUMMARY = ("TDS",)
_CENT = Decimal("0.01")
_ZERO = Decimal(0)


@dataclass(frozen=True)
class _Adjustments:
    """Charges, allowances and taxes of one level, each positive."""

    charges: Decimal = _ZERO
    allowances: Decimal = _ZERO
    taxes: Decimal = _ZERO

    @property
    def net(self) -> Decimal:
        return self.charges - self.allowances + self.taxes

    def __add__(self, other: _Adjustments) -> _Adjustments:
        return _Adjustments(
            self.charges + other.charges, self.allowances + other.allowances, self.taxes + other.taxes
        )


def _adjustments(segments: Sequence[Segment]) -> _Adjustments:
    charges = allowances = taxes = itemised = _ZERO
    for segment in segments:
        if segment[0] == "SAC":
            value = cents(element(segment, 5)) or _ZERO
            if element(segment, 1) == "A":
                allowances += value
            elif element(segment, 1) == "C" and element(segment, 2) in _TAX_CODES:
                taxes += value
            elif element(segment, 1) == "C":
                charges += value
        elif segment[0] == "TXI":
            itemised += number(element(segment, 2)) or _ZERO
    # Where a tax is stated as a charge, TXI only says what it is made of.
    return _Adjustments(charges, allowances, taxes or itemised)


def _line_amount(line: Segment) -> Decimal | None:
    quantity, price = number(element(line, 2)), price_of_one(number(element(line, 4)), element(line, 5))
    return None if quantity is None or price is None else quantity * price


def invoice_rows(document: TransactionSet) -> tuple[list[Row], list[str]]:
    """Rows of one 810 and what does not add up in it."""
    segments = document.segments
    big = next((s for s in segments if s[0] == "BIG"), ())
    tds = next((s for s in segments if s[0] == "TDS"), ())
    lines = loops(segments, "IT1", _SUMMARY)
    faults = _count_faults(segments, len(lines))
    issued, named = iso_date(element(big, 1)), element(big, 2)
    if not named:
        return [], [*faults, "BIG02, the invoice number, is missing"]
    total = cents(element(tds, 1))
    if total is None:
        return [], [*faults, "TDS01, the total, is missing or no number"]
    due, more = _proven(segments, lines, total)
    faults += more
    kind = (
        "credit_note"
        if element(big, 7) in _CREDIT
        else "debit_note"
        if element(big, 7) in _DEBIT
        else "invoice"
    )
    sign = -1 if kind == "credit_note" and due >= 0 else 1
    buyer, buyer_name = party(segments, "BY", "BT", "SO", "ST")
    discount, due_date = _terms([s for s in segments if s[0] == "ITD"], issued)
    key = f"{document.sender}/{named}" + ("/credit_note" if kind == "credit_note" else "")
    currency = currency_of(segments)
    order = element(big, 4) or next((item_of(line[0], 6)[1] for line in lines if item_of(line[0], 6)[1]), "")
    rows: list[Row] = [
        {
            "RowKind": "invoice",
            "DocumentKey": key,
            "DocumentNumber": named,
            "DocumentKind": kind,
            "CorrectsInvoiceNumber": _corrected(segments) if kind != "invoice" else None,
            "CustomerKey": buyer or buyer_name or None,
            "CustomerName": buyer_name or None,
            "SellerName": party(segments, "SE", "SU", "VN", "RE", "RI")[1] or document.sender,
            "IssueDate": issued or None,
            "DueDate": due_date or None,
            "Currency": currency or None,
            "Amount": plain_number(sign * due),
            "OrderNumber": order or None,
            "DiscountDays": str(discount.days) if discount else None,
            "DiscountPercent": plain_number(discount.percent) if discount else None,
        }
    ]
    for ordinal, line in enumerate(lines, start=1):
        first = line[0]
        item, own_order = item_of(first, 6)
        amount, quantity = _line_amount(first), number(element(first, 2))
        rows.append(
            {
                "RowKind": "invoice_line",
                "DocumentKey": key,
                "LineKey": f"{key}:{ordinal}",
                "LineNumber": element(first, 1) or str(ordinal),
                "Currency": currency or None,
                "Amount": plain_number(
                    None if amount is None else sign * amount.quantize(_CENT, ROUND_HALF_UP)
                ),
                "OrderNumber": own_order or element(big, 4) or None,
                "ItemId": item or None,
                "ItemDescription": next((element(s, 5) for s in line if s[0] == "PID"), "") or None,
                "Quantity": plain_number(None if quantity is None else sign * quantity),
                "UnitPrice": plain_number(price_of_one(number(element(first, 4)), element(first, 5))),
            }
        )
    return rows, faults


def _count_faults(segments: Sequence[Segment], lines: int) -> list[str]:
    stated = next((element(s, 1) for s in segments if s[0] == "CTT"), "")
    return [f"CTT01 says {stated} lines, there are {lines}"] if stated and stated != str(lines) else []


def _corrected(segments: Sequence[Segment]) -> str | None:
    """The invoice a credit or debit memo speaks of: REF with qualifier IV (seller's invoice number) or OI."""
    return next((element(s, 2) for s in segments if s[0] == "REF" and element(s, 1) in ("IV", "OI")), None)


def _proven(
    segments: Sequence[Segment], lines: Sequence[Sequence[Segment]], total: Decimal
) -> tuple[Decimal, list[str]]:
    """The amount due, and what is wrong if lines, charges, allowances and taxes are not the total.

    Two habits are known. The summary may repeat what the lines charge instead of adding to it: taken so where
    both state the same, or where AMT*N states the amount that this gives. And TDS01 may be the gross amount
    before allowances, where AMT*N states the net amount, which is due.
    """
    amounts = [_line_amount(line[0]) for line in lines]
    if not lines or any(a is None for a in amounts):
        return total, ["a line has no quantity or no price, so the total cannot be proven"] if lines else []
    at = next((i for i, s in enumerate(segments) if s[0] == "IT1"), 0)
    after = next((i for i, s in enumerate(segments) if s[0] == "TDS"), len(segments))
    in_lines = sum((_adjustments(line[1:]) for line in lines), _Adjustments())
    document = _adjustments([*segments[:at], *segments[after:]])
    exact = sum((a for a in amounts if a is not None), _ZERO)
    by_line = sum((a.quantize(_CENT, ROUND_HALF_UP) for a in amounts if a is not None), _ZERO)
    net = next((number(element(s, 2)) for s in segments if s[0] == "AMT" and element(s, 1) == "N"), None)
    both = in_lines + document
    for base in (by_line, exact.quantize(_CENT, ROUND_HALF_UP)):
        for found, is_sure in ((document, document == in_lines), (both, True)):
            due = base + found.net
            is_net = net is not None and net == due
            if (total == due and (is_sure or is_net)) or (is_net and total == due + found.allowances):
                return due, []
    return total, [
        f"lines {by_line} + charges {both.charges} - allowances {both.allowances} + tax {both.taxes} is "
        f"{by_line + both.net}, but TDS01 says {total}"
    ]


def _terms(stated: Sequence[Segment], issued: str) -> tuple[Discount | None, str]:
    """The best discount of the ITD segments and the latest date due."""
    discounts, due = [], []
    for segment in stated:
        percent = number(element(segment, 3))
        until = element(segment, 5)
        days = int(until) if until.isdecimal() else days_between(issued, iso_date(element(segment, 4)))
        if percent is not None and 0 < percent <= 100 and days is not None and 0 <= days <= 366:
            discounts.append(Discount(percent, days))
        net = iso_date(element(segment, 6))
        if not net and element(segment, 7).isdecimal() and issued and len(element(segment, 7)) <= 3:
            net = (date.fromisoformat(issued) + timedelta(days=int(element(segment, 7)))).isoformat()
        if net:
            due.append(net)
    return best_discount(discounts), max(due, default="")

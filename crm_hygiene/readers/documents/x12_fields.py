"""What the X12 transaction sets share: N2 numbers, dates, parties, loops and the landing layout."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from crm_hygiene.readers.documents.elements import number
from crm_hygiene.readers.documents.x12_interchange import Segment, element

COLUMNS = (
    "RowKind",
    "DocumentKey",
    "DocumentNumber",
    "DocumentKind",
    "CorrectsInvoiceNumber",
    "CustomerKey",
    "CustomerName",
    "SellerName",
    "IssueDate",
    "DueDate",
    "Currency",
    "Amount",
    "OrderNumber",
    "DiscountDays",
    "DiscountPercent",
    "DiscountAmount",
    "LineKey",
    "LineNumber",
    "ItemId",
    "ItemDescription",
    "Quantity",
    "UnitPrice",
    "PayerName",
    "PaymentReference",
    "PaymentDate",
)

Row = dict[str, str | None]

# Basis of unit price codes (X12 639) that price more than one unit.
_UNITS_PRICED = {"HP": 100, "PN": 10, "TP": 1000, "HF": 100, "PH": 100, "TH": 1000}
# Product qualifiers (X12 235), the seller's number first.
_ITEM_QUALIFIERS = ("VP", "VN", "SK", "BP", "IN", "PI", "UP", "UK", "EN", "IB", "MG", "ST")


def cents(said: str) -> Decimal | None:
    """An N2 number: two implied decimals, unless a point is written."""
    value = number(said)
    return value if value is None or "." in said else value.scaleb(-2)


def iso_date(said: str) -> str:
    """ISO text of an X12 date, `20030910` or `030910`; empty if it is none."""
    for length, form in ((8, "%Y%m%d"), (6, "%y%m%d")):
        if len(said) == length:
            try:
                return datetime.strptime(said, form).date().isoformat()
            except ValueError:
                return ""
    return ""


def days_between(earlier: str, later: str) -> int | None:
    """Days between two ISO dates."""
    try:
        return (date.fromisoformat(later) - date.fromisoformat(earlier)).days
    except ValueError:
        return None


def price_of_one(price: Decimal | None, basis: str) -> Decimal | None:
    """Price of one unit from a price and its basis code."""
    return None if price is None else price / _UNITS_PRICED.get(basis, 1)


def item_of(segment: Segment, first: int) -> tuple[str, str]:
    """Article and order number of the qualifier and value pairs that begin at element `first`."""
    pairs: dict[str, str] = {}
    for at in range(first, len(segment) - 1, 2):
        if element(segment, at + 1):
            pairs.setdefault(element(segment, at), element(segment, at + 1))
    item = next((pairs[q] for q in _ITEM_QUALIFIERS if q in pairs), "")
    return item, pairs.get("PO", "")


def party(segments: Sequence[Segment], *roles: str) -> tuple[str, str]:
    """Identifier and name of the first of some N1 roles that is named."""
    named = {element(s, 1): s for s in reversed(segments) if s[0] == "N1"}
    for role in roles:
        if role in named:
            return element(named[role], 4), element(named[role], 2)
    return "", ""


def currency_of(segments: Sequence[Segment]) -> str:
    """The one currency that CUR segments name; empty if none or several do."""
    named = {element(s, 2) for s in segments if s[0] == "CUR" and element(s, 2)}
    return next(iter(named)) if len(named) == 1 else ""


def loops(segments: Sequence[Segment], start: str, ends: Sequence[str] = ()) -> list[list[Segment]]:
    """The loops that begin with a segment name and last until the next, or until one of `ends`."""
    found: list[list[Segment]] = []
    is_open = False
    for segment in segments:
        if segment[0] == start:
            found.append([segment])
            is_open = True
        elif segment[0] in ends:
            is_open = False
        elif is_open:
            found[-1].append(segment)
    return found

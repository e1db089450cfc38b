"""X12 850 purchase order: header and line rows, and the proof of its counts."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from crm_hygiene.readers.documents.elements import number, plain_number
from crm_hygiene.readers.documents.x12_fields import (
    Row,
    currency_of,
    iso_date,
    item_of,
    loops,
    party,
    price_of_one,
)
from crm_hygiene.readers.documents.x12_interchange import TransactionSet, element

_CENT = Decimal("0.01")


def order_rows(document: TransactionSet) -> tuple[list[Row], list[str]]:
    """Rows of one 850 and what does not add up in it: CTT01 lines, CTT02 quantities, AMT*TT the total."""
    segments = document.segments
    beg = next((s for s in segments if s[0] == "BEG"), ())
    named = element(beg, 3)
    if not named:
        return [], ["BEG03, the order number, is missing"]
    lines = loops(segments, "PO1", ("CTT",))
    ctt = next((s for s in segments if s[0] == "CTT"), ())
    faults = []
    if element(ctt, 1) and element(ctt, 1) != str(len(lines)):
        faults.append(f"CTT01 says {element(ctt, 1)} lines, there are {len(lines)}")
    quantities = [number(element(line[0], 2)) for line in lines]
    prices = [price_of_one(number(element(line[0], 4)), element(line[0], 5)) for line in lines]
    hashed = number(element(ctt, 2))
    ordered = sum((q for q in quantities if q is not None), Decimal(0))
    if hashed is not None and hashed != ordered:
        faults.append(f"CTT02 says {hashed} pieces, the lines have {ordered}")
    amounts = [
        None if q is None or p is None else (q * p).quantize(_CENT, ROUND_HALF_UP)
        for q, p in zip(quantities, prices, strict=True)
    ]
    stated = next((number(element(s, 2)) for s in segments if s[0] == "AMT" and element(s, 1) == "TT"), None)
    total = sum((a for a in amounts if a is not None), Decimal(0)) if lines and None not in amounts else None
    if stated is not None and total is not None and stated.quantize(_CENT) != total:
        faults.append(f"AMT*TT says {stated}, the lines add up to {total}")
    buyer, buyer_name = party(segments, "BY", "BT", "SO", "ST")
    key, currency = f"{document.sender}/{named}", currency_of(segments)
    rows: list[Row] = [
        {
            "RowKind": "order",
            "DocumentKey": key,
            "DocumentNumber": named,
            "CustomerKey": buyer or buyer_name or document.sender or None,
            "CustomerName": buyer_name or None,
            "SellerName": party(segments, "SE", "SU", "VN")[1] or None,
            "IssueDate": iso_date(element(beg, 5)) or None,
            "Currency": currency or None,
            # An order whose lines lack prices has no amount; none is made up.
            "Amount": plain_number(stated if stated is not None else total),
        }
    ]
    for ordinal, (line, quantity, price, amount) in enumerate(
        zip(lines, quantities, prices, amounts, strict=True), start=1
    ):
        rows.append(
            {
                "RowKind": "order_line",
                "DocumentKey": key,
                "DocumentNumber": named,
                "LineKey": f"{key}:{ordinal}",
                "LineNumber": element(line[0], 1) or str(ordinal),
                "ItemId": item_of(line[0], 6)[0] or None,
                "ItemDescription": next((element(s, 5) for s in line if s[0] == "PID"), "") or None,
                "Quantity": plain_number(quantity),
                "UnitPrice": plain_number(price),
                "Amount": plain_number(amount),
                "Currency": currency or None,
            }
        )
    return rows, faults

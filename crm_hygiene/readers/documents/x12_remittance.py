"""X12 820 payment order and remittance advice: one row per invoice told, and the proof of its total."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from crm_hygiene.readers.documents.elements import number, plain_number
from crm_hygiene.readers.documents.x12_fields import Row, currency_of, iso_date, loops, party
from crm_hygiene.readers.documents.x12_interchange import TransactionSet, element

# What RMR01 says the number is of: the seller's invoice, a bill, a credit or debit memo.
_OF_INVOICES = frozenset({"IV", "BI", "CM", "DM", "OI", "VV", "IK"})


def advice_rows(document: TransactionSet) -> tuple[list[Row], list[str]]:
    """Rows of one 820 and what does not add up: BPR02 is the sum of RMR04 and of adjustments outside them."""
    segments = document.segments
    bpr = next((s for s in segments if s[0] == "BPR"), ())
    total = number(element(bpr, 2))
    if total is None:
        return [], ["BPR02, the amount paid, is missing or no number"]
    told = loops(segments, "RMR", ("ENT", "SE"))
    begun = next((i for i, s in enumerate(segments) if s[0] == "RMR"), len(segments))
    adjusted = sum(
        (number(element(s, 1)) or Decimal(0) for s in segments[:begun] if s[0] == "ADX"), Decimal(0)
    )
    reference = next((element(s, 2) for s in segments if s[0] == "TRN"), "") or document.control
    payer, payer_name = party(segments, "PR", "BT", "BY")
    shared: Row = {
        "RowKind": "advice",
        "PayerName": payer_name or payer or None,
        "SellerName": party(segments, "PE", "RE")[1] or None,
        "PaymentReference": reference,
        "PaymentDate": iso_date(element(bpr, 16)) or None,
        "Currency": currency_of(segments) or None,
    }
    rows: list[Row] = []
    faults: list[str] = []
    seen: Counter[str] = Counter()
    paid_in_all = adjusted
    for loop in told:
        rmr = loop[0]
        named = element(rmr, 2)
        billed, discount = number(element(rmr, 5)), number(element(rmr, 6))
        paid = number(element(rmr, 4))
        if paid is None and billed is not None:
            paid = billed - (discount or Decimal(0))
        if paid is None:
            faults.append(f"RMR of {named or 'no number'} has no amount")
            continue
        paid_in_all += paid
        if element(rmr, 1) not in _OF_INVOICES:
            continue
        seen[named] += 1
        again = f"#{seen[named]}" if seen[named] > 1 else ""
        key = f"{document.sender}/{reference}/{named}{again}"
        rows.append(
            shared
            | {
                "DocumentKey": key,
                "DocumentNumber": named or None,
                "Amount": plain_number(paid),
                "DiscountAmount": plain_number(discount),
            }
        )
    if told and paid_in_all != total:
        faults.append(f"the invoices told add up to {paid_in_all}, but BPR02 says {total}")
    return rows, faults

"""Payment terms of a document: discount for early payment and interest on late payment.

Structured terms come first: those of the syntax, then the German convention inside the text
(`#SKONTO#TAGE=14#PROZENT=2.00#`, XRechnung BT-20). Free text is read for a few plain wordings only; what it
does not say in one of these stays unread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from crm_hygiene.readers.documents.elements import number

# Terms are a few lines; a longer text is not searched.
_MAX_TEXT = 4_000
_STRUCTURED = re.compile(r"#(SKONTO|VERZUG)#TAGE=(\d{1,3})#PROZENT=(\d{1,3}(?:[.,]\d{1,4})?)#", re.IGNORECASE)
_PERCENT = r"(\d{1,2}(?:[.,]\d{1,4})?)\s?%"
_DISCOUNTS = (
    re.compile(
        rf"{_PERCENT}\s{{0,3}}(?:discount|skonto|escompte|kassarabatt)\b[^0-9%#]{{0,40}}(\d{{1,3}})\s?"
        r"(?:days?|tage?n?|jours?|dagar)\b",
        re.IGNORECASE,
    ),
)
_INTEREST = re.compile(
    rf"(?:dröjsmålsränta|årsräntesats|verzugszins\w{{0,4}}|late payment interest)[^0-9%#]{{0,20}}{_PERCENT}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Discount:
    """`percent` off if paid within `days` of the date of issue."""

    percent: Decimal
    days: int


@dataclass(frozen=True)
class Terms:
    """What a document grants for early payment and asks for late payment, a year; None where silent."""

    discount: Discount | None = None
    late_interest_percent: Decimal | None = None


def _percent(said: str) -> Decimal | None:
    value = number(said.replace(",", "."))
    return value if value is not None and 0 < value <= 100 else None


def best_discount(discounts: Iterable[Discount]) -> Discount | None:
    """The highest percentage, of equal ones the one that lasts longest."""
    return max(discounts, key=lambda d: (d.percent, d.days), default=None)


def read_terms(said: str, structured: Iterable[Discount] = ()) -> Terms:
    """Terms from a document's text, below those that its syntax states."""
    said = said[:_MAX_TEXT]
    discounts = [d for d in structured if 0 < d.percent <= 100 and d.days >= 0]
    interest: Decimal | None = None
    conventional: list[Discount] = []
    for kind, days, share in _STRUCTURED.findall(said):
        percent = _percent(share)
        if percent is None:
            continue
        if kind.upper() == "SKONTO":
            conventional.append(Discount(percent, int(days)))
        else:
            interest = percent
    if not discounts:
        discounts = conventional
    if not discounts:
        for wording in _DISCOUNTS:
            for share, days in wording.findall(said):
                percent = _percent(share)
                if percent is not None:
                    discounts.append(Discount(percent, int(days)))
    if interest is None and (found := _INTEREST.search(said)):
        interest = _percent(found[1])
    return Terms(best_discount(discounts), interest)

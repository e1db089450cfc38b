"""The sums of an e-invoice, proven with the rules of EN 16931 (BR-CO-10 to 13, 15 and 16).

Source: the business rules of EN 16931-1:2017 as CEN's Schematron states them. Amounts are compared rounded
half up to cents, or to the currency's minor units where those are finer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from crm_hygiene.standardise.money import MINOR_UNITS


@dataclass(frozen=True)
class Totals:
    """Document totals in the document's currency; None where the document is silent.

    Attributes
    ----------
    lines, allowances, charges
        BT-106, BT-107, BT-108 as stated.
    net, gross
        BT-109, BT-112.
    taxes
        BT-110 in the document's currency; more than one only if the document states it more than once.
    prepaid, rounding, payable
        BT-113, BT-114, BT-115.
    line_amounts, allowance_amounts, charge_amounts
        BT-131 of each line, BT-92 and BT-99 of each document level allowance and charge.
    """

    lines: Decimal | None = None
    allowances: Decimal | None = None
    charges: Decimal | None = None
    net: Decimal | None = None
    gross: Decimal | None = None
    prepaid: Decimal | None = None
    rounding: Decimal | None = None
    payable: Decimal | None = None
    taxes: Sequence[Decimal] = field(default=())
    line_amounts: Sequence[Decimal] = field(default=())
    allowance_amounts: Sequence[Decimal] = field(default=())
    charge_amounts: Sequence[Decimal] = field(default=())


def broken_sums(totals: Totals, currency: str) -> list[str]:
    """The rules that do not hold, each with both figures; empty if the document adds up."""
    places = Decimal(1).scaleb(-max(2, MINOR_UNITS.get(currency, 2)))

    def rounded(value: Decimal) -> Decimal:
        return value.quantize(places, ROUND_HALF_UP)

    zero = Decimal(0)
    t = totals
    claims: list[tuple[str, str, Decimal, Decimal | None]] = []
    if t.line_amounts:
        claims.append(("BR-CO-10", "the lines add up to", sum(t.line_amounts, zero), t.lines))
    if t.allowance_amounts:
        claims.append(("BR-CO-11", "the allowances add up to", sum(t.allowance_amounts, zero), t.allowances))
    if t.charge_amounts:
        claims.append(("BR-CO-12", "the charges add up to", sum(t.charge_amounts, zero), t.charges))
    if t.lines is not None:
        net = t.lines - (t.allowances or zero) + (t.charges or zero)
        claims.append(("BR-CO-13", "lines - allowances + charges is", net, t.net))
    if t.net is not None:
        # Stated twice alike it is one total; stated differently, as one per kind of tax, they add up.
        tax = sum(t.taxes, zero) if len(set(t.taxes)) > 1 else next(iter(t.taxes), zero)
        claims.append(("BR-CO-15", "net plus tax is", t.net + tax, t.gross))
    if t.gross is not None:
        due = t.gross - (t.prepaid or zero) + (t.rounding or zero)
        claims.append(("BR-CO-16", "total - prepaid + rounding is", due, t.payable))
    return [
        f"{rule}: {what} {rounded(found)}, but the document says {rounded(stated)}"
        for rule, what, found, stated in claims
        if stated is not None and rounded(found) != rounded(stated)
    ]

"""Rules of orders as data: what a three-way check lets pass, and when reserved goods are let go.

What does not belong here: the checks (`order_checks`) and the movements (`inventory`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

#: The findings of a check, the gravest first.
FINDINGS = ("unknown_order", "closed_order", "currency", "price", "quantity", "not_received")
Finding = Literal["unknown_order", "closed_order", "currency", "price", "quantity", "not_received"]


class OrderRules(BaseModel):
    """Section `orders` of the rules of cash.

    Attributes
    ----------
    price_share, price_rounding
        a unit price may differ from the ordered one by this share of it, or by this much in the major
        unit, whichever is more.
    quantity_share
        share of the ordered (or received) quantity that may be billed on top.
    total_share
        share of the order's total that may be billed on top where there are no lines to compare.
    receipts_required
        whether an order without any receipt counts as not received; else its receipts are not known.
    blocking
        findings that keep an invoice from being paid off automatically.
    closed_statuses
        statuses, in lower case, of an order that nothing may be billed on any more.
    partly_paid
        what a partly paid invoice releases: nothing, the lines in their order that the money covers, or
        its share of each line in whole units.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    price_share: Decimal = Field(ge=0, le=1)
    price_rounding: Decimal = Field(ge=0)
    quantity_share: Decimal = Field(ge=0, le=1)
    total_share: Decimal = Field(ge=0, le=1)
    receipts_required: bool
    blocking: tuple[Finding, ...]
    closed_statuses: tuple[str, ...]
    partly_paid: Literal["none", "lines", "share"]

"""Doubts: why a payment or an invoice waits for a person, before it is worded as an exception."""

from __future__ import annotations

from dataclasses import dataclass, field

from crm_hygiene.cash.hypotheses import Hypothesis


@dataclass(frozen=True)
class Doubt:
    """Why a payment was not, or not wholly, posted.

    `invoices` are row numbers, best first; `alternatives` the hypotheses considered; `notes` further
    suggestions in words.
    """

    exception_type: str
    reason: str
    invoices: tuple[int, ...] = ()
    alternatives: tuple[Hypothesis, ...] = field(default=())
    notes: tuple[str, ...] = ()

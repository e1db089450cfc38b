"""Profiles of a ledger: how often each case occurs.

The shares are declared here and nowhere else. What does not belong here: how a case comes about.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

CURRENCIES = ("EUR", "GBP", "JPY", "USD")
LAST_DAY = (date(2026, 10, 31) - date(1970, 1, 1)).days
"""The last banking day of every sample, in days since 1970."""

COURSES = MappingProxyType(
    {
        "one_to_one": 0.655,
        "together": 0.09,
        "instalments": 0.03,
        "partial": 0.015,
        "overpaid": 0.012,
        "bank_fee": 0.02,
        "early_discount": 0.05,
        "late_discount": 0.004,
        "late_interest": 0.008,
        "foreign_currency": 0.02,
        "rounding": 0.01,
        "credit_netted": 0.02,
        "credited_whole": 0.006,
        "unpaid": 0.06,
    }
)
"""What becomes of an invoice; `credited_whole` and `unpaid` bring no payment."""

_REFERENCES = MappingProxyType(
    {
        "exact": 0.34,
        "digits": 0.08,
        "structured": 0.12,
        "end_to_end": 0.04,
        "order": 0.02,
        "typo": 0.02,
        "truncated": 0.02,
        "wrong": 0.005,
        "stale": 0.005,
        "none": 0.35,
    }
)
USABLE = ("exact", "digits", "structured", "end_to_end", "order")
"""Kinds of reference that name what is paid without a slip."""

RETURNS = ("return", "orphan_return")
"""Cases of money that goes back to a customer."""


@dataclass(frozen=True)
class Profile:
    """Shares of cases.

    Attributes
    ----------
    courses
        share of invoices by what becomes of them
    references
        share of payments by what they say
    duplicates, returns
        share of exact payments that are sent twice, that bounce
    strangers, own_business, lookalikes, outgoing
        entries that pay nothing of ours, as shares of the invoices: from unknown payers, from customers
        for something else, built to be mistaken, money out
    orphan_returns
        returns of payments from before the books, as a share of the invoices
    hostile
        share of texts with a command or control characters in them
    advised
        share of payments for several invoices that are told in a remittance advice
    """

    name: str
    courses: MappingProxyType[str, float] = field(default_factory=lambda: COURSES)
    references: MappingProxyType[str, float] = field(default_factory=lambda: _REFERENCES)
    duplicates: float = 0.008
    returns: float = 0.008
    strangers: float = 0.012
    own_business: float = 0.006
    lookalikes: float = 0.006
    outgoing: float = 0.04
    orphan_returns: float = 0.0
    hostile: float = 0.001
    advised: float = 0.2
    collective: float = 0.06
    """Share of customers who pay what comes within `collected_days` together."""
    collected_days: int = 31
    recurring: float = 0.3
    """Share of customers who are billed the same amount every month."""
    parents: float = 0.5
    """Share of customers of a group whose payments come from the parent company."""
    factored: float = 0.02
    virtual: float = 0.03
    told_relations: float = 0.8
    """Share of the foreign payers whom the books know."""
    known_accounts: float = 0.65
    """Share of customers whose IBAN is on file."""


REFERENCED = Profile("referenced")
BARE = Profile("bare", references=MappingProxyType({"none": 1.0}), advised=0.0)
MIXED = Profile(
    "mixed",
    references=MappingProxyType(
        {
            "exact": 0.47,
            "digits": 0.07,
            "structured": 0.16,
            "end_to_end": 0.08,
            "order": 0.02,
            "typo": 0.05,
            "truncated": 0.02,
            "wrong": 0.01,
            "stale": 0.005,
            "none": 0.115,
        }
    ),
    courses=MappingProxyType(
        {
            "one_to_one": 0.52,
            "together": 0.1,
            "instalments": 0.04,
            "partial": 0.02,
            "overpaid": 0.02,
            "bank_fee": 0.03,
            "early_discount": 0.08,
            "late_discount": 0.01,
            "late_interest": 0.03,
            "foreign_currency": 0.03,
            "rounding": 0.015,
            "credit_netted": 0.03,
            "credited_whole": 0.01,
            "unpaid": 0.065,
        }
    ),
    returns=0.012,
    duplicates=0.01,
    orphan_returns=0.004,
    hostile=0.02,
    advised=0.6,
    collective=0.2,
    collected_days=92,
)
"""Every case often enough that a sample of a few hundred people has most of them."""

PROFILES = MappingProxyType({p.name: p for p in (REFERENCED, BARE, MIXED)})

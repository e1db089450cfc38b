"""Ledgers with truth: invoices, what comes of them on the bank accounts, and which pays which."""

from crm_hygiene.sample.cash.books import CashBooks, books_of
from crm_hygiene.sample.cash.ledger import Ledger, build_ledger
from crm_hygiene.sample.cash.profile import BARE, MIXED, PROFILES, REFERENCED, Profile

__all__ = [
    "BARE",
    "MIXED",
    "PROFILES",
    "REFERENCED",
    "CashBooks",
    "Ledger",
    "Profile",
    "books_of",
    "build_ledger",
]

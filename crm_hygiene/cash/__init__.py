"""Cash: payments matched to invoices, exactly, append-only, with what is doubtful named."""

from crm_hygiene.cash.books import Books
from crm_hygiene.cash.reconciliation import Reconciliation, reconcile
from crm_hygiene.cash.rules import CashRules, load_cash_rules

__all__ = ["Books", "CashRules", "Reconciliation", "load_cash_rules", "reconcile"]

"""Cash: accuracy and cost of reconciliation on generated ledgers with truth, beside naive SQL."""

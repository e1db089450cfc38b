"""Conforming: landed text becomes typed, standardised rows of one canonical model.

A conformed table is a pure function of landing and the rules: for each record the latest landed
row that passes the table's row-level checks.
"""

from crm_hygiene.conform.build import REFUSED_COLUMNS, Refusals, conform_table, feeding
from crm_hygiene.conform.increment import conform_changes
from crm_hygiene.conform.parts import conform_parts, is_streamed

__all__ = [
    "REFUSED_COLUMNS",
    "Refusals",
    "conform_changes",
    "conform_parts",
    "conform_table",
    "feeding",
    "is_streamed",
]

"""Balances: what payments have unapplied and invoices open, less decisions that no night has posted yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from crm_hygiene.cash.money import units
from crm_hygiene.cash_desk.decision_log import Line, line_of
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.records import Record
from crm_hygiene.stewardship.records import frame_of

PAYMENTS = "reconciled.payments"
INVOICES = "reconciled.invoices"


def rows_of(lake: Lake, table: str, records: Iterable[Record]) -> dict[Record, dict[str, Any]]:
    """Rows of a table with the key (source, record_id), by record; those that are not there are left out."""
    wanted = frame_of(records)
    if wanted.is_empty():
        return {}
    rows = (
        lake.scan(contract_of(table))
        # The plain filter is one that reading the files can use.
        .filter(pl.col("record_id").is_in(wanted["record_id"].implode()))
        .join(wanted.lazy(), on=["source", "record_id"], how="semi")
        .collect()
    )
    return {(row["source"], row["record_id"]): row for row in rows.iter_rows(named=True)}


@dataclass
class Balances:
    """Rows of reconciled.payments and reconciled.invoices, and what decisions take from them.

    Attributes
    ----------
    payments, invoices, entries
        rows by record; entries are those of conformed.payments, as the bank told them.
    used, settled
        ten-thousandths that decisions without a posting take from a payment, from an invoice.
    written_off
        ten-thousandths that standing decisions, posted or not, write off of an invoice or a payment.
    """

    payments: dict[Record, dict[str, Any]]
    invoices: dict[Record, dict[str, Any]]
    used: dict[Record, int] = field(default_factory=dict)
    settled: dict[Record, int] = field(default_factory=dict)
    written_off: dict[tuple[str, Record], int] = field(default_factory=dict)
    entries: dict[Record, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        lake: Lake,
        payments: Iterable[Record],
        invoices: Iterable[Record],
        standing: pl.DataFrame,
        waiting: pl.DataFrame,
    ) -> Balances:
        """The balances of the records named; `standing` and `waiting` are rows of the log of decisions."""
        payments = list(payments)
        found = cls(
            rows_of(lake, PAYMENTS, payments),
            rows_of(lake, INVOICES, invoices),
            entries=rows_of(lake, "conformed.payments", payments),
        )
        for row in waiting.iter_rows(named=True):
            found.take(line_of(row))
        for row in standing.filter(pl.col("decision_kind") == "write_off").iter_rows(named=True):
            found.write_off(line_of(row))
        return found

    def unapplied(self, payment: Record) -> int:
        """What a payment has left, in ten-thousandths."""
        return units(self.payments[payment]["unapplied_amount"]) - self.used.get(payment, 0)

    def open(self, invoice: Record) -> int:
        """What an invoice is open for, in ten-thousandths; a credit note is below 0."""
        return units(self.invoices[invoice]["open_amount"]) - self.settled.get(invoice, 0)

    def take(self, line: Line) -> None:
        """Lower what is left by a decision; a write-off of an invoice takes nothing from the payment."""
        if line.amount is None or line.takes_back is not None:
            return
        if line.payment is not None and line.taken:
            self.used[line.payment] = self.used.get(line.payment, 0) + line.taken
        if line.invoice is not None:
            self.settled[line.invoice] = self.settled.get(line.invoice, 0) + line.amount

    def write_off(self, line: Line) -> None:
        """Count a write-off against the limit of what it is written off of."""
        for key in written_off_of(line):
            self.written_off[key] = self.written_off.get(key, 0) + (line.amount or 0)


def written_off_of(line: Line) -> list[tuple[str, Record]]:
    """Payment and invoice whose limit a write-off counts against: cut into pieces it stays one sum."""
    both = (("payment", line.payment), ("invoice", line.invoice))
    return [(what, record) for what, record in both if record is not None]

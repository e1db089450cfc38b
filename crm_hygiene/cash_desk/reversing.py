"""Reversing by hand: which earlier payment a reversal or return takes back, and which may be meant."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from crm_hygiene.cash.money import text, units
from crm_hygiene.cash.rules import CashRules
from crm_hygiene.cash_desk.balances import PAYMENTS
from crm_hygiene.cash_desk.decision_log import CashLog, Line, taken_back_of
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.records import Record, written

REVERSAL = "REVERSAL"
_CANDIDATES = 12


@dataclass(frozen=True)
class PaymentCandidate:
    """A payment that a reversal may take back: row of reconciled.payments."""

    record: Record
    row: dict[str, Any]


def payments_taken_back(lake: Lake, entry: dict[str, Any] | None) -> tuple[PaymentCandidate, ...]:
    """Payments of the opposite amount that nothing has taken back, the nearest before the entry first."""
    if entry is None or entry["amount"] is None:
        return ()
    rows = (
        lake.scan(contract_of(PAYMENTS))
        .filter(
            (pl.col("currency") == entry["currency"])
            & (pl.col("amount") == pl.lit(-entry["amount"], pl.Decimal(18, 4)))
            & (pl.col("status") != "reversed")
        )
        .collect()
    )
    if entry["booked_date"] is not None:
        rows = rows.filter((pl.col("booked_date") <= entry["booked_date"]).fill_null(value=True))
    same = (pl.col("payer_name") == pl.lit(entry["payer_name"], pl.String)).fill_null(value=False)
    ranked = rows.sort(~same, -pl.col("booked_date").to_physical(), "source", "record_id", nulls_last=True)
    return tuple(
        PaymentCandidate((row["source"], row["record_id"]), row)
        for row in ranked.head(_CANDIDATES).iter_rows(named=True)
    )


def reversal_line(
    exception: dict[str, Any],
    entry: Record,
    payment: Record,
    books: dict[Record, dict[str, Any]],
    log: CashLog,
    made: list[dict[str, Any]],
    rules: CashRules,
    reason: str | None,
) -> Line:
    """The line that has `entry` take back `payment`.

    What the entry takes more than the payment was is the bank's charge for it, and our loss: within the limit
    for writing off, with a reason.

    Parameters
    ----------
    books
        rows of reconciled.payments of both.
    made
        rows that are decided and not written yet.

    Raises
    ------
    ConfigurationError
        if the exception is about no reversal, or the two do not fit.
    """
    if exception["exception_type"] != REVERSAL:
        raise ConfigurationError("only a reversal takes a payment back; name an invoice with --invoice")
    if payment not in books:
        raise ConfigurationError(f"payment {written(payment)} is not in the books")
    back, paid = books[entry], books[payment]
    taken, given = units(back["amount"]), units(paid["amount"])
    told = f"{written(entry)} is of {text(taken, back['currency'])}, {written(payment)} of " + text(
        given, paid["currency"]
    )
    if back["currency"] != paid["currency"] or taken * given >= 0 or abs(taken) < abs(given):
        raise ConfigurationError(f"{told}: it cannot take that payment back")
    if None not in (back["booked_date"], paid["booked_date"]) and paid["booked_date"] > back["booked_date"]:
        raise ConfigurationError(f"{written(payment)} was booked after {written(entry)}")
    rows = [*log.standing.iter_rows(named=True), *made]
    before = [row for row in rows if taken_back_of(row) == payment]
    is_mine = any((row["payment_source"], row["payment_record_id"]) == entry for row in before)
    if not is_mine and (before or paid["status"] == "reversed"):
        raise ConfigurationError(f"{written(payment)} was taken back before")
    charge = abs(taken) - abs(given)
    limit = units(rules.write_off_limit.get(back["currency"], Decimal(0)))
    if charge and not (reason or "").strip():
        raise ConfigurationError(
            f"{told}: {text(charge, back['currency'])} more than the payment is a charge and needs its "
            "reason: --reason '...'"
        )
    if charge > limit:
        raise ConfigurationError(f"{told}: the charge is above the limit of {text(limit, back['currency'])}")
    return Line("apply", entry, None, abs(given), back["currency"], takes_back=payment)


def settled_outside(entry: Record, books: dict[Record, dict[str, Any]]) -> Line:
    """The line that says that the books have nothing for the reversal to take back."""
    row = books[entry]
    return Line("refund", entry, None, abs(units(row["amount"])), row["currency"])

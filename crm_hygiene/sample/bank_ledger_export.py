"""The ledger of one bank as CSV: no balances, no returns, one text per entry.

What does not belong here: statements (`camt_export`, `mt940_export`).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from crm_hygiene.sample.accounts import LEDGER, our_accounts

_ODD_AFTER = 40
"""Entries from which on the ledger holds the odd ones, too."""


def _odd(columns: list[str]) -> pl.DataFrame:
    """Rows that no bank should send: nothing paid, an unknown currency, yen with cents."""
    accounts = our_accounts(LEDGER)
    rows = [
        ("BLODD001", accounts["EUR"], "0.00", "EUR", "account check"),
        ("BLODD002", accounts["EUR"], "120.00", "XQZ", "test"),
        ("BLODD003", accounts["JPY"], "4800.50", "JPY", "payment"),
    ]
    names = ["entry_id", "account_iban", "amount", "currency", "remittance"]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    day = pl.lit("2026-10-30").str.to_date()
    frame = frame.with_columns(booked_on=day, value_on=day, counterparty_name=pl.lit("Unbekannt"))
    missing = [pl.lit(None, pl.String).alias(c) for c in columns if c not in frame.columns]
    return frame.with_columns(missing).select(columns)


def write_ledger(bookings: pl.DataFrame, path: Path) -> int:
    """`ledger.csv` of `accounts.book`; returns the number of rows."""
    booked = bookings.filter(pl.col("bank") == LEDGER)
    # Such a ledger has one column for what was said; a structured reference takes the text's place.
    # No bank hands on a NUL, and a line with one is no text.
    said = pl.coalesce("reference", pl.col("text").str.replace_all("\0", "", literal=True))
    frame = booked.select(
        entry_id="record_id",
        account_iban="account_iban",
        booked_on="booked",
        value_on="value",
        amount="amount",
        currency="currency_code",
        counterparty_name="name",
        counterparty_iban="iban",
        remittance=said.replace("", None),
        end_to_end_id="end_to_end_id",
        bank_reference="bank_reference",
    )
    if len(frame) >= _ODD_AFTER:
        frame = pl.concat([frame, _odd(frame.columns)])
    frame.write_csv(path)
    return len(frame)

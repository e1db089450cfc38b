"""Our own bank accounts, and which entry of the ledger is booked on which of them under what id.

What does not belong here: the banks' file formats (`bank_ledger_export`, `camt_export`, `mt940_export`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from crm_hygiene.sample.cash.ledger import Ledger
from crm_hygiene.sample.cash.profile import CURRENCIES, RETURNS
from crm_hygiene.sample.draws import Ints, hit, stream, weighted, where
from crm_hygiene.sample.identifiers import serials
from crm_hygiene.sample.layouts import dates, money
from crm_hygiene.sample.registers import mod97

OUR_NAME = "Hygieia Software GmbH"
LEDGER, CAMT, MT940 = range(3)
"""Banks by what they send: a ledger as CSV, camt.053, MT940."""
_SHARES = np.array([0.3, 0.5, 0.2])
_CODES = ("10070000", "37040044", "50070010")
BICS = ("DEUTDEBBXXX", "COBADEFFXXX", "DEUTDEFFXXX")
_SOURCES = ("bank_ledger", "bank_statements", "bank_statements")
_BATCHED = 0.12
"""Share of the days of an account on which the bank books what comes in as one batch."""
_LARGEST_BATCH = 12


def our_accounts(bank: int) -> dict[str, str]:
    """Our own account of each currency at one of the banks, as IBAN."""
    bodies = [f"{_CODES[bank]}{4_711_000_00 + 10 * number:010d}" for number in range(len(CURRENCIES))]
    check = 98 - mod97(pl.Series(bodies) + "DE00")
    return {c: f"DE{k:02d}{body}" for c, k, body in zip(CURRENCIES, check, bodies, strict=True)}


def _banks(seed: int, ledger: Ledger) -> Ints:
    """The bank of each entry: one per customer, so that a return comes where the payment came.

    Customers with anything that a CSV ledger cannot tell (an exchange, a virtual account) are at the camt
    bank, those with a return at one that sends statements.
    """
    rng = stream(seed, "banks")
    entries = ledger.entries
    customer = entries["customer"].to_numpy()
    of_customer = weighted(rng, _SHARES, len(ledger.customers))
    is_return = entries["case"].is_in(RETURNS).to_numpy()
    returned = customer[is_return & (customer >= 0)]
    of_customer[returned] = np.where(of_customer[returned] == LEDGER, MT940, of_customer[returned])
    telling = (entries["rate_micro"] != 0).to_numpy() | entries["virtual_account"].is_not_null().to_numpy()
    of_customer[customer[telling & (customer >= 0)]] = CAMT
    of_others = weighted(rng, _SHARES, len(entries))
    of_others = np.where(is_return & (of_others == LEDGER), CAMT, of_others)
    if not len(of_customer):
        return of_others
    return np.asarray(np.where(customer >= 0, of_customer[customer], of_others), dtype=np.int64)


def _batches(seed: int, frame: pl.DataFrame) -> pl.DataFrame:
    """Add `batch`, the same number for entries that are booked as one, and `part`, counted from 1 or 0."""
    rng = stream(seed, "batches")
    plain = (pl.col("bank") == CAMT) & (pl.col("minor") > 0) & (pl.col("instructed_currency") < 0)
    days = frame.select("currency_code", "day").unique(maintain_order=True)
    days = days.with_columns(is_batched=pl.Series(hit(rng, len(days), _BATCHED)))
    joined = frame.join(days, on=["currency_code", "day"], how="left", maintain_order="left")
    group = ["currency_code", "day", "is_part"]
    return (
        joined.with_row_index("row")
        .with_columns(is_part=plain & pl.col("is_batched"))
        .with_columns(chunk=pl.int_range(pl.len()).over(group) // _LARGEST_BATCH)
        .with_columns(size=pl.len().over(*group, "chunk"))
        .with_columns(is_part=pl.col("is_part") & (pl.col("size") > 1))
        .with_columns(
            batch=pl.when("is_part")
            .then(pl.col("row").first().over(*group, "chunk"))
            .otherwise("row")
            .cast(pl.Int64),
            part=pl.when("is_part")
            .then(1 + pl.int_range(pl.len()).over(*group, "chunk"))
            .otherwise(0)
            .cast(pl.Int64),
        )
        .drop("row", "is_batched", "is_part", "chunk", "size")
    )


def book(seed: int, ledger: Ledger) -> pl.DataFrame:
    """The ledger's entries as the banks book them, row for row.

    Added to the ledger's columns: bank, source, account_iban, currency_code, is_yen, amount (text with its
    sign), booked and value (dates), batch, part, stem (the bank's id of the booking) and record_id (that of
    the entry: the stem, and the part of a batch behind it).
    """
    bank = _banks(seed, ledger)
    code = pl.Series(CURRENCIES).gather(ledger.entries["currency"])
    is_yen = (code == "JPY").to_numpy()
    account = where(
        bank == LEDGER,
        code.replace_strict(our_accounts(LEDGER), return_dtype=pl.String),
        where(
            bank == CAMT,
            code.replace_strict(our_accounts(CAMT), return_dtype=pl.String),
            code.replace_strict(our_accounts(MT940), return_dtype=pl.String),
        ),
    )
    frame = ledger.entries.with_columns(
        bank=bank,
        source=pl.Series(_SOURCES).gather(bank),
        account_iban=account,
        currency_code=code,
        is_yen=is_yen,
        amount=money(ledger.entries["minor"].to_numpy(), is_yen),
        booked=dates(ledger.entries["day"].to_numpy()),
        value=dates(ledger.entries["valued"].to_numpy()),
    )
    frame = _batches(seed, frame)
    rank = frame.select(pl.int_range(1, pl.len() + 1).over("bank")).to_series().to_numpy()
    rank = rank[frame["batch"].to_numpy()]
    day = frame["booked"].dt.to_string("%Y%m%d")
    stem = where(bank == LEDGER, serials("BL", rank, 8), day + serials("", rank, 9))
    stem = where(bank == MT940, serials("MT", rank, 12), stem)
    behind = pl.when(pl.col("part") > 0).then(pl.format("/{}", "part")).otherwise(pl.lit(""))
    return frame.with_columns(stem=stem).with_columns(record_id=pl.col("stem") + behind)

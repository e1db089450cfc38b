"""Statements as MT940, field :86: in the German notation (DFÜ agreement annex 3).

What does not belong here: what is on the account (`accounts`).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from crm_hygiene.sample.accounts import MT940, our_accounts
from crm_hygiene.sample.camt_export import OPENING
from crm_hygiene.sample.cash.profile import LAST_DAY, RETURNS
from crm_hygiene.sample.layouts import dates, money

_WIDTH = 27
"""Characters of a subfield of :86:; ten of them hold what was said."""
_UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "AE", "Ö": "OE", "Ü": "UE"}


def _plain(column: str) -> pl.Expr:
    """In the characters of SWIFT; what it has not is a dot."""
    return (
        pl.col(column)
        .fill_null("")
        .str.replace_many(list(_UMLAUTS), list(_UMLAUTS.values()))
        .str.normalize("NFKD")
        .str.replace_all(r"\p{M}", "")
        .str.replace_all(r"[^ -~]", ".")
        .str.replace_all("?", ".", literal=True)
    )


def _amount(minor: int, currency: str) -> str:
    text = str(money(np.array([abs(minor)]), np.array([currency == "JPY"]))[0])
    return text.replace(".", ",") if "." in text else f"{text},"


def _balance(tag: str, currency: str, minor: int, day: int) -> str:
    on: date = dates(np.array([day]))[0]
    return f":{tag}:{'C' if minor >= 0 else 'D'}{on:%y%m%d}{currency}{_amount(minor, currency)}\n"


def _entries(frame: pl.DataFrame) -> pl.Series:
    """Fields :61: and :86: of one account, one text per entry."""
    has_reference = pl.col("reference").is_not_null()
    said = pl.when(has_reference).then("reference").otherwise(_plain("text"))
    told = pl.concat_str(
        pl.lit("EREF+"), _plain("end_to_end_id"), pl.lit("SVWZ+"), said.fill_null(""), separator=""
    ).str.slice(0, 10 * _WIDTH)
    amount = pl.col("amount").str.strip_prefix("-").str.replace(".", ",", literal=True)
    amount = pl.when(amount.str.contains(",", literal=True)).then(amount).otherwise(amount + ",")
    is_back = pl.col("case").is_in(RETURNS)
    mark = (
        pl.when(is_back).then(pl.lit("RC")).when(pl.col("minor") < 0).then(pl.lit("D")).otherwise(pl.lit("C"))
    )
    code = pl.when(is_back).then(pl.lit("159")).when(pl.col("minor") < 0).then(pl.lit("177")).otherwise(
        pl.lit("166")
    )  # fmt: skip
    pieces = [pl.col("told").str.slice(_WIDTH * k, _WIDTH) for k in range(10)]
    subfields = [
        pl.when(piece == "").then(pl.lit("")).otherwise(pl.lit(f"\n?2{k}") + piece)
        for k, piece in enumerate(pieces)
    ]
    name = _plain("name")
    iban = pl.col("iban")
    return (
        frame.with_columns(told=told)
        .select(
            pl.concat_str(
                pl.lit(":61:"),
                pl.col("value").dt.to_string("%y%m%d"),
                pl.col("booked").dt.to_string("%m%d"),
                mark,
                amount,
                pl.lit("NTRFNONREF//"),
                pl.col("stem"),
                pl.lit("\n:86:"),
                code,
                pl.lit("?00UEBERWEISUNG"),
                *subfields,
                pl.when(iban.is_null()).then(pl.lit("")).otherwise(pl.lit("\n?31") + iban),
                pl.when(name == "").then(pl.lit("")).otherwise(pl.lit("\n?32") + name.str.slice(0, _WIDTH)),
                pl.when(name.str.len_chars() > _WIDTH)
                .then(pl.lit("\n?33") + name.str.slice(_WIDTH, _WIDTH))
                .otherwise(pl.lit("")),
            )
        )
        .to_series()
    )


def write_mt940(bookings: pl.DataFrame, path: Path) -> int:
    """`statement.sta`: one statement per account, opening balance plus entries = closing balance.

    Returns the number of entries.
    """
    frame = bookings.filter(pl.col("bank") == MT940)
    with path.open("w", encoding="ascii", newline="\n") as file:
        for number, (currency, iban) in enumerate(our_accounts(MT940).items(), start=1):
            booked = frame.filter(pl.col("currency_code") == currency)
            opening = OPENING * number
            change = int(booked["minor"].sum())
            start = int(booked["day"].min()) if len(booked) else LAST_DAY  # type: ignore[arg-type]
            file.write(f":20:STARTUMSE\n:25:{iban}\n:28C:{number:05d}/001\n")
            file.write(_balance("60F", currency, opening, start))
            if len(booked):
                file.write("\n".join(_entries(booked)) + "\n")
            file.write(_balance("62F", currency, opening + change, LAST_DAY))
            file.write("-\n")
    return len(frame)

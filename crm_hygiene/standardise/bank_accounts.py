"""Bank accounts: IBAN with its check digits verified (ISO 13616) and the bank's BIC (schwifty's registry)."""

from __future__ import annotations

from functools import cache

import polars as pl
from schwifty import IBAN
from schwifty.exceptions import SchwiftyException

from crm_hygiene.standardise.placeholders import is_placeholder
from crm_hygiene.standardise.text import cleaned, complaint, text_column

_FORM = r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$"


@cache
def _bic_of_bank(country: str, bank_code: str, account: str) -> str | None:
    """BIC of the bank; the account only carries the bank code to schwifty and is one per bank."""
    del country, bank_code
    try:
        bic = IBAN(account).bic
    except (SchwiftyException, ValueError, KeyError):
        return None
    return str(bic) if bic else None


def _read(compact: str, account_of_bank: dict[tuple[str, str], str]) -> tuple[str | None, str | None]:
    try:
        iban = IBAN(compact)
        bank = (str(iban.country_code), str(iban.bank_code))
    except (SchwiftyException, ValueError, KeyError):
        return None, None
    # The longest prefix that decides the bank may reach into the branch for some countries.
    bank = (bank[0], bank[1] + str(iban.branch_code or ""))
    return compact, _bic_of_bank(*bank, account_of_bank.setdefault(bank, compact))


def standardise_ibans(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns [raw] -> adds iban (compact), bic (null where the registry lacks the bank) and problem."""
    frame = frame.with_columns(_text=cleaned("raw"))
    frame = frame.with_columns(
        _compact=pl.col("_text")
        .str.to_uppercase()
        .str.replace(r"^IBAN[: ]*", "")
        .str.replace_all(r"[^\p{L}\p{N}]", "")
    )
    where = frame["_compact"].str.contains(_FORM).fill_null(False).arg_true()
    first: dict[tuple[str, str], str] = {}
    read = [_read(t, first) for t in frame["_compact"].gather(where)]
    empty = text_column([None] * frame.height)
    return (
        frame.with_columns(
            empty.clone().scatter(where, text_column([r[0] for r in read])).alias("iban"),
            empty.clone().scatter(where, text_column([r[1] for r in read])).alias("bic"),
        )
        .with_columns(
            problem=pl.when(pl.col("_text").is_not_null() & pl.col("iban").is_null()).then(
                complaint(
                    "IBAN",
                    "_text",
                    pl.when(is_placeholder("_text"))
                    .then(pl.lit("is a placeholder"))
                    .otherwise(pl.lit("has the wrong form or check digits")),
                )
            )
        )
        .drop("_text", "_compact")
    )

"""Bank accounts: IBAN with its check digits verified (ISO 13616) and the bank's BIC (schwifty's registry)."""

from __future__ import annotations

from functools import cache
from string import ascii_uppercase

import polars as pl
from schwifty import IBAN, registry
from schwifty.exceptions import SchwiftyException

from crm_hygiene.standardise.placeholders import is_placeholder
from crm_hygiene.standardise.text import cleaned, complaint, text_column

_FORM = r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$"
# Letters count as two digits.
_MOST_DIGITS = 2 * 34


@cache
def _bic_of_bank(country: str, bank_code: str, account: str) -> str | None:
    """BIC of the bank; the account only carries the bank code to schwifty and is one per bank."""
    del country, bank_code
    try:
        bic = IBAN(account).bic
    except (SchwiftyException, ValueError, KeyError):
        return None
    return str(bic) if bic else None


def _valid(compact: str) -> IBAN | None:
    try:
        return IBAN(compact)
    except (SchwiftyException, ValueError, KeyError):
        return None


def _banks(ibans: pl.Series) -> pl.Series:
    """BIC of the bank of each valid IBAN."""
    first: dict[tuple[str, str], str] = {}
    found = []
    for compact in ibans:
        iban = IBAN(compact)
        # The longest prefix that decides the bank may reach into the branch for some countries.
        bank = (str(iban.country_code), str(iban.bank_code) + str(iban.branch_code or ""))
        found.append(_bic_of_bank(*bank, first.setdefault(bank, compact)))
    return text_column(found)


def is_surely_valid(compact: pl.Series) -> pl.Series:
    """True where whole columns can tell that schwifty accepts an IBAN; the others are asked for.

    Length and form by schwifty's own registry, check digits by ISO 7064 (modulo 97 is 1, 02 to 98).
    """
    text = pl.col("iban")
    fits = pl.lit(value=False)
    for country in compact.str.slice(0, 2).unique().sort():
        try:
            spec = registry.get_iban_spec(country)
        except SchwiftyException:
            continue
        form = f"^{country}[0-9]{{2}}(?:{spec.regex.pattern.strip('^$')})$"
        fits = pl.when(text.str.starts_with(country)).then(
            (text.str.len_chars() == spec.iban_length) & text.str.contains(form)
        ).otherwise(fits)  # fmt: skip
    digits = pl.concat_str(text.str.slice(4), text.str.slice(0, 4)).str.replace_many(
        list(ascii_uppercase), [str(10 + place) for place in range(26)]
    )
    rest: pl.Expr = pl.lit(0, dtype=pl.Int64)
    for start in range(0, _MOST_DIGITS, 9):
        part = pl.col("digits").str.slice(start, 9)
        number = part.cast(pl.Int64, strict=False).fill_null(0)
        rest = (rest * pl.lit(10, dtype=pl.Int64).pow(part.str.len_chars()) + number) % 97
    check = text.str.slice(2, 2).cast(pl.Int64, strict=False)
    frame = compact.to_frame("iban").with_columns(digits=digits)
    return frame.select(fits & (rest == 1) & check.is_between(2, 98)).to_series().fill_null(value=False)


def standardise_ibans(frame: pl.DataFrame, banks: bool = True) -> pl.DataFrame:
    """Columns [raw] -> adds iban (compact), bic (null where the registry lacks the bank) and problem.

    Without `banks` there is no bic, and schwifty does not have to open its register of banks.
    """
    frame = frame.with_columns(_text=cleaned("raw"))
    frame = frame.with_columns(
        _compact=pl.col("_text")
        .str.to_uppercase()
        .str.replace(r"^IBAN[: ]*", "")
        .str.replace_all(r"[^\p{L}\p{N}]", "")
    )
    compact = frame["_compact"]
    asked = compact.filter(compact.str.contains(_FORM).fill_null(value=False))
    sure = is_surely_valid(asked)
    valid = pl.concat(
        [asked.filter(sure), text_column([c for c in asked.filter(~sure) if _valid(c) is not None])]
    )
    frame = frame.with_columns(iban=compact.set(~compact.is_in(valid.implode()), None))
    if banks:
        where = frame["iban"].is_not_null().arg_true()
        empty = text_column([None] * frame.height)
        frame = frame.with_columns(bic=empty.scatter(where, _banks(frame["iban"].gather(where))))
    return frame.with_columns(
        problem=pl.when(pl.col("_text").is_not_null() & pl.col("iban").is_null()).then(
            complaint(
                "IBAN",
                "_text",
                pl.when(is_placeholder("_text"))
                .then(pl.lit("is a placeholder"))
                .otherwise(pl.lit("has the wrong form or check digits")),
            )
        )
    ).drop("_text", "_compact")

"""Amounts and currencies as sources write them, exact to the last digit: text to Decimal, never float.

Minor units follow ISO 4217 (maintenance agency SIX, list one), not CLDR, whose digits are those in
daily use and differ for a dozen currencies. Amounts in prose ("75k") are refused, not guessed.
"""

from __future__ import annotations

from functools import cache

import polars as pl
from babel.numbers import list_currencies

from crm_hygiene.standardise.placeholders import is_placeholder
from crm_hygiene.standardise.text import any_of, cleaned, complaint

AMOUNT_TYPE = pl.Decimal(18, 4)
WHOLE_DIGITS = 14
# ISO 4217 minor units where they are not 2.
MINOR_UNITS: dict[str, int] = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
# $, ¥ and kr are shared by several currencies and say nothing.
SYMBOLS = {"€": "EUR", "£": "GBP"}


@cache
def _known_currencies() -> tuple[str, ...]:
    return tuple(sorted(list_currencies()))


def _patterns(decimal: str) -> tuple[tuple[str, bool], ...]:
    """Notations of an unsigned amount, tried in order, each with two groups: whole part and fraction.

    The flag says that the notation is ambiguous ('1.234') and was read by the `decimal` option.
    """
    d, t = (r"\.", ",") if decimal == "." else (",", r"\.")
    return (
        (r"^([0-9]+)[.,]?()$", False),
        (rf"^([1-9][0-9]{{0,2}}){d}([0-9]{{3}})$", True),
        (rf"^([1-9][0-9]{{0,2}}(?:{t}[0-9]{{3}})+)(?:{d}([0-9]+))?$", False),
        (rf"^([0-9]*){d}([0-9]+)$", False),
        (rf"^([1-9][0-9]{{0,2}}(?:{d}[0-9]{{3}})+){t}([0-9]+)$", False),
        (rf"^([1-9][0-9]{{0,2}}(?:{d}[0-9]{{3}}){{2,}})()$", False),
        (r"^([1-9][0-9]{0,2}(?:[ '’][0-9]{3})+)(?:[.,]([0-9]+))?$", False),
        (rf"^([0-9]*){t}([0-9]+)$", False),
        (r"^([1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3})(?:\.([0-9]+))?$", False),  # lakh and crore
    )


def _split_sign_and_currency(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds `_body` (unsigned digits and separators), `_negative`, `_named` (currency in the text)."""
    text, body = pl.col("_text"), pl.col("_body")
    code = r"^[(+\-−– ]*([A-Za-z]{3})[ +\-−–(0-9.,]|[0-9.,)\-−– ]([A-Za-z]{3})[)\-−– ]*$"
    named = pl.coalesce(text.str.extract(code, 1), text.str.extract(code, 2)).str.to_uppercase()
    symbols = [pl.when(text.str.contains(s, literal=True)).then(pl.lit(c)) for s, c in SYMBOLS.items()]
    return (
        frame.with_columns(
            _named=pl.coalesce(pl.when(named.is_in(any_of(_known_currencies()))).then(named), *symbols)
        )
        .with_columns(
            _body=pl.when(named.is_in(any_of(_known_currencies())))
            .then(
                text.str.replace(r"^([(+\-−– ]*)[A-Za-z]{3}", "$1").str.replace(
                    r"[A-Za-z]{3}([)\-−– ]*)$", "$1"
                )
            )
            .otherwise(text)
            .str.replace(r"\p{Sc}", "")
            .str.replace_all("[−–]", "-")
            .str.strip_chars(" ")
        )
        .with_columns(
            _body=pl.coalesce(body.str.extract(r"^\((.*)\)$").str.strip_chars(" "), body),
            _in_brackets=body.str.contains(r"^\(.*\)$"),
        )
        .with_columns(
            _negative=pl.col("_in_brackets") | body.str.contains("^-|-$"),
            # Two signs on one amount are no sign at all: leave them so that no notation fits.
            _body=pl.when(pl.col("_in_brackets") | body.str.contains("^[-+].*-$"))
            .then(body)
            .otherwise(body.str.replace("^[-+] ?", "").str.replace(" ?-$", "")),
        )
        .drop("_in_brackets")
    )


def standardise_money(frame: pl.DataFrame, decimal: str = ".") -> pl.DataFrame:
    """Columns [raw, currency] -> adds amount (Decimal(18,4)) and problem; currency becomes ISO 4217 or null.

    A missing currency is taken from the text where that names one: an ISO code, `€`, `£`. `decimal` is
    how an ambiguous lone separator reads: with '.', '1,234' is 1234 and '1.234' is 1.234. More decimals
    than the currency has, more than 14 whole digits, and two currencies that disagree are problems, and
    the amount is null. An unknown currency code becomes null with a problem; the amount stays.
    """
    if decimal not in (".", ","):
        raise ValueError(f"decimal must be '.' or ',', not {decimal!r}")
    body = pl.col("_body")
    patterns = _patterns(decimal)
    matched = [body.str.contains(p) for p, _ in patterns]
    whole = pl.coalesce(*(body.str.extract(p, 1) for p, _ in patterns)).str.replace_all("[^0-9]", "")
    # The groups of one notation belong together, so the fraction comes from the first that fits.
    fraction = pl.coalesce(
        *(
            pl.when(m).then(body.str.extract(p, 2).fill_null(""))
            for m, (p, _) in zip(matched, patterns, strict=True)
        )
    )
    ambiguous = pl.any_horizontal(*(m for m, (_, flag) in zip(matched, patterns, strict=True) if flag))
    # '12.5000' is exact in cents; '1.500' may have meant 1500 and keeps its zeros.
    kept = (
        pl.when(ambiguous).then(pl.col("_fraction")).otherwise(pl.col("_fraction").str.strip_chars_end("0"))
    )
    given = cleaned("currency").str.to_uppercase()
    units = pl.col("_currency").replace_strict(MINOR_UNITS, default=2, return_dtype=pl.Int64)
    limit = pl.when(pl.col("_currency").is_null()).then(4).otherwise(units)
    has_text = pl.col("_text").is_not_null()
    sign = (
        pl.when(pl.col("_negative") & pl.col("_whole").is_not_null()).then(pl.lit("-")).otherwise(pl.lit(""))
    )
    amount = pl.concat_str(
        sign,
        pl.when(pl.col("_whole") == "").then(pl.lit("0")).otherwise(pl.col("_whole")),
        pl.when(pl.col("_kept") == "").then(pl.lit("")).otherwise(pl.lit(".") + pl.col("_kept")),
    )
    why = (
        pl.when(is_placeholder("_text"))
        .then(pl.lit("is a placeholder"))
        .when(pl.col("_whole").is_null())
        .then(pl.lit("is not an amount of money"))
        .when(
            pl.col("_given").is_not_null()
            & pl.col("_named").is_not_null()
            & (pl.col("_given") != pl.col("_named"))
        )
        .then(pl.format("names another currency than {}", "_given"))
        .when(pl.col("_whole").str.len_chars() > WHOLE_DIGITS)
        .then(pl.lit("is too large"))
        .when(pl.col("_kept").str.len_chars() > limit)
        .then(pl.format("has more decimals than {} allows", pl.col("_currency").fill_null("the ledger")))
    )
    return (
        _split_sign_and_currency(frame.with_columns(_text=cleaned("raw"), _given=given))
        .with_columns(
            _whole=whole.str.strip_chars_start("0"),
            _fraction=fraction,
            _currency=pl.coalesce(
                pl.when(pl.col("_given").is_in(any_of(_known_currencies()))).then(pl.col("_given")),
                pl.when(pl.col("_given").is_null()).then(pl.col("_named")),
            ),
        )
        .with_columns(_kept=kept)
        .with_columns(_why=pl.when(has_text).then(why))
        .with_columns(
            amount=pl.when(has_text & pl.col("_why").is_null()).then(amount).cast(AMOUNT_TYPE, strict=False),
            currency=pl.col("_currency"),
            problem=pl.coalesce(
                complaint("amount", "_text", pl.col("_why")),
                pl.when(pl.col("_given").is_not_null() & pl.col("_currency").is_null()).then(
                    complaint("currency", "_given", "is not in ISO 4217")
                ),
            ),
        )
        .drop(
            "_text",
            "_given",
            "_named",
            "_negative",
            "_body",
            "_whole",
            "_fraction",
            "_kept",
            "_currency",
            "_why",
        )
    )

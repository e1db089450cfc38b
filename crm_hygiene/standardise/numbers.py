"""Numbers as sources write them: '1,200', '1 200', '1200.0'; quantities and percentages to four decimals."""

from __future__ import annotations

import polars as pl

from crm_hygiene.standardise.placeholders import without_placeholders
from crm_hygiene.standardise.text import cleaned, complaint

_PLAIN = r"^([+-]?[0-9]+)(?:[.,]0{1,2}|[.,]0{4,})?$"
# A lone point before three digits ('1.200') may be a decimal point and is refused; a lone comma may
# not be, because counts with three decimals written with a comma do not occur.
_COMMA = r"^([+-]?[0-9]{1,3}(?:,[0-9]{3})+)(?:\.0+)?$"
_OTHER = r"^([+-]?[0-9]{1,3}(?:(?:\.[0-9]{3}){2,}|(?:[ '’][0-9]{3})+))(?:[.,]0{1,2})?$"

# A number of a document (UBL, CII, X12) or of a spreadsheet, with or without groups and a percent sign.
_DECIMAL = {
    ".": r"^([+-]?(?:[0-9]+|[0-9]{1,3}(?:[, '’][0-9]{3})+|))(?:\.([0-9]*))?\s?%?$",
    ",": r"^([+-]?(?:[0-9]+|[0-9]{1,3}(?:[. '’][0-9]{3})+|))(?:,([0-9]*))?\s?%?$",
}
_PLACES = 4
_WHOLE_DIGITS = 14


def standardise_integers(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns [raw] -> adds value (Int64) and problem.

    A fraction other than zero, a range ('51-200') and a number beyond 64 bits are problems.
    """
    text = pl.col("_text")
    digits = pl.coalesce(
        text.str.extract(_PLAIN), text.str.extract(_COMMA), text.str.extract(_OTHER)
    ).str.replace_all(r"[^0-9-]", "")
    return (
        frame.with_columns(_text=cleaned("raw"))
        .with_columns(value=digits.cast(pl.Int64, strict=False))
        .with_columns(
            problem=pl.when(text.is_not_null() & pl.col("value").is_null()).then(
                complaint(
                    "number",
                    "_text",
                    pl.when(without_placeholders("_text").is_null())
                    .then(pl.lit("is a placeholder"))
                    .otherwise(pl.lit("is not a whole number")),
                )
            )
        )
        .drop("_text")
    )


def standardise_decimals(frame: pl.DataFrame, decimal: str = ".") -> pl.DataFrame:
    """Columns [raw] -> adds value (Decimal(18,4)) and problem.

    Decimals beyond the fourth are rounded half up; a percent sign is dropped. `decimal` is the decimal
    separator, and the other one separates groups of three.
    """
    text = pl.col("_text")
    whole = text.str.extract(_DECIMAL[decimal], 1)
    fraction = text.str.extract(_DECIMAL[decimal], 2).fill_null("")
    digits = pl.concat_str(
        whole.str.replace_all("[^0-9]", ""), fraction.str.head(_PLACES).str.pad_end(_PLACES, "0")
    )
    is_up = fraction.str.slice(_PLACES, 1).is_in(list("56789"))
    scaled = digits.cast(pl.Int64, strict=False) + is_up.cast(pl.Int64)
    signed = pl.when(text.str.starts_with("-")).then(-scaled).otherwise(scaled)
    is_number = text.str.contains(_DECIMAL[decimal]) & text.str.contains("[0-9]")
    fits = whole.str.replace_all("[^0-9]", "").str.len_chars() <= _WHOLE_DIGITS
    return (
        frame.with_columns(_text=cleaned("raw"))
        .with_columns(_is_number=is_number.fill_null(False), _fits=fits.fill_null(True))
        .with_columns(
            value=(
                pl.when(pl.col("_is_number") & pl.col("_fits")).then(signed).cast(pl.Decimal(38, 4)) / 10_000
            ).cast(pl.Decimal(18, 4)),
            problem=pl.when(text.is_not_null() & ~(pl.col("_is_number") & pl.col("_fits"))).then(
                complaint(
                    "number",
                    "_text",
                    pl.when(without_placeholders("_text").is_null())
                    .then(pl.lit("is a placeholder"))
                    .when(~pl.col("_is_number"))
                    .then(pl.lit("is not a number"))
                    .otherwise(pl.lit("is too large")),
                )
            ),
        )
        .drop("_text", "_is_number", "_fits")
    )

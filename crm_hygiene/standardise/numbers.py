"""Whole numbers as sources write them: '1,200', '1 200', '1200.0'."""

from __future__ import annotations

import polars as pl

from crm_hygiene.standardise.placeholders import without_placeholders
from crm_hygiene.standardise.text import cleaned, complaint

_PLAIN = r"^([+-]?[0-9]+)(?:[.,]0{1,2}|[.,]0{4,})?$"
# A lone point before three digits ('1.200') may be a decimal point and is refused; a lone comma may
# not be, because counts with three decimals written with a comma do not occur.
_COMMA = r"^([+-]?[0-9]{1,3}(?:,[0-9]{3})+)(?:\.0+)?$"
_OTHER = r"^([+-]?[0-9]{1,3}(?:(?:\.[0-9]{3}){2,}|(?:[ '’][0-9]{3})+))(?:[.,]0{1,2})?$"


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

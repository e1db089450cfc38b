"""Yes and no as sources write them."""

from __future__ import annotations

import polars as pl

from crm_hygiene.standardise.text import any_of, cleaned, complaint

TRUE_WORDS = ("true", "t", "yes", "y", "1", "1.0")
FALSE_WORDS = ("false", "f", "no", "n", "0", "0.0")


def standardise_booleans(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns [raw] -> adds value (Boolean) and problem."""
    word = cleaned("raw").str.to_lowercase()
    return (
        frame.with_columns(_word=word)
        .with_columns(
            value=pl.when(pl.col("_word").is_in(any_of(TRUE_WORDS)))
            .then(pl.lit(True))
            .when(pl.col("_word").is_in(any_of(FALSE_WORDS)))
            .then(pl.lit(False))
        )
        .with_columns(
            problem=pl.when(pl.col("_word").is_not_null() & pl.col("value").is_null()).then(
                complaint("boolean", "_word", "is neither true nor false")
            )
        )
        .drop("_word")
    )

"""Countries as people write them to ISO 3166-1 alpha-2.

Names come from CLDR through babel: English, German, French, Spanish, Italian, Portuguese, Dutch, Polish
and each country's own official languages; alpha-3 and numeric codes too; common aliases are listed
in `country_names`. Where a name is claimed twice, codes win over aliases, aliases over names, and names
in the order of the languages above.
"""

from __future__ import annotations

from functools import cache

import polars as pl

from crm_hygiene.standardise.country_names import country_names
from crm_hygiene.standardise.placeholders import is_placeholder
from crm_hygiene.standardise.text import cleaned, complaint, folded


@cache
def _lookup() -> pl.DataFrame:
    names = country_names()
    return pl.DataFrame({"_key": list(names), "country_code": list(names.values())})


def standardise_countries(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns [raw] -> adds country_code (ISO 3166-1 alpha-2) and problem."""
    key = (
        folded("_text").str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars(" ").str.replace("^the ", "")
    )
    return (
        frame.with_columns(_text=cleaned("raw"))
        .with_columns(_key=key)
        .join(_lookup(), on="_key", how="left", maintain_order="left")
        .with_columns(
            problem=pl.when(pl.col("_text").is_not_null() & pl.col("country_code").is_null()).then(
                complaint(
                    "country",
                    "_text",
                    pl.when(is_placeholder("_text"))
                    .then(pl.lit("is a placeholder"))
                    .otherwise(pl.lit("is not the name or code of a country")),
                )
            )
        )
        .drop("_text", "_key")
    )

"""Identifiers that can contradict: what two records of one entity cannot both have.

Tax numbers of one scheme and birth dates. What does not belong here: what a contradiction does to
clusters (`clustering`).
"""

from __future__ import annotations

import polars as pl
from rapidfuzz.distance import Levenshtein

from crm_hygiene.linkage.settings import EntityKind

BIRTH = "birth date"

# Columns that `identifiers_of` reads, where they are.
IDENTIFYING_COLUMNS = ("tax_id", "tax_is_verified", "country", "birth_date")

IDENTIFIERS_SCHEMA = pl.Schema(
    {"node": pl.Int64, "scheme": pl.String, "value": pl.String, "strict": pl.Boolean}
)

# Two numbers are typing errors of each other up to this many edits; each of them is long.
_TYPOS = 2
# A date this many times as frequent as the average one, and on more records than this, is a placeholder.
_FREQUENT = 20


def identifiers_of(kind: EntityKind, frame: pl.DataFrame) -> pl.DataFrame:
    """Identifiers of the records, with the scheme within which two values contradict each other.

    A tax number with its country's letters whose check digits are right is strict, as is every
    verified tax number of an organisation: no link by name and address outweighs it. Other numbers
    and birth dates are mistyped often enough for a model to have its say.

    Parameters
    ----------
    frame
        comparable columns: `unique_id`, `tax_id`, `tax_is_verified`, `country`; of people `birth_date`
        (YYYYMMDD).

    Returns
    -------
    polars.DataFrame
        `node`, `scheme`, `value`, `strict`.
    """
    tax = pl.col("tax_id")
    prefixed = tax.str.contains(r"^[A-Z]{2}[0-9]")
    scheme = pl.when(prefixed).then(tax.str.slice(0, 2)).otherwise(pl.col("country").fill_null(""))
    parts = [
        frame.filter(tax.is_not_null()).select(
            node="unique_id",
            scheme=pl.concat_str([pl.lit("tax "), scheme, tax.str.len_chars().cast(pl.String)]),
            value=tax,
            strict=pl.col("tax_is_verified") & (prefixed | pl.lit(kind == "organisation")),
        )
    ]
    if kind == "person" and "birth_date" in frame.columns:
        dated = frame.filter(pl.col("birth_date").str.len_chars() == 8)
        usual = dated.height / max(1, dated["birth_date"].n_unique())
        parts.append(
            dated.filter(pl.len().over("birth_date") <= max(_FREQUENT, _FREQUENT * usual)).select(
                node="unique_id", scheme=pl.lit(BIRTH), value="birth_date", strict=pl.lit(False)
            )
        )
    return pl.concat([part.cast(IDENTIFIERS_SCHEMA) for part in parts]).sort("node", "scheme")


def near(scheme: str, a: str, b: str) -> bool:
    """Whether two values of one scheme can be one value, mistyped.

    Dates: up to two digits, day and month swapped, or only the year known (1 January).
    """
    if Levenshtein.distance(a, b, score_cutoff=_TYPOS) <= _TYPOS:
        return True
    if scheme != BIRTH or a[:4] != b[:4]:
        return False
    return a[4:6] + a[6:] == b[6:] + b[4:6] or "0101" in (a[4:], b[4:])

"""Why a row failed, in words: the texts of quarantine and gate results.

Values of columns that the contract marks as PII are masked here, and nowhere later is there a
chance to. What does not belong here: deciding which rows fail (`expectations.gate`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.contract import Check, Contract
from expectations.engine import Finding
from expectations.suite import columns_of

_LONGEST_VALUE = 80
_LONGEST_ERROR = 300
MASK = "***"
NOT_EVALUATED = "could not be evaluated"


def mask(value: pl.Expr) -> pl.Expr:
    """A text with all but its first character hidden; of fewer than four characters, all of it.

    The length is hidden too. Null stays null.
    """
    return (
        pl.when(value.str.len_chars() >= 4)
        .then(value.str.slice(0, 1) + MASK)
        .when(value.is_not_null())
        .then(pl.lit(MASK))
    )


def because(name: str, check: Check) -> str:
    """The sentence the contract gives for the check, or else the check's name."""
    return check.because or f"{name} does not hold."


def shown(contract: Contract, frame: pl.DataFrame, column: str) -> pl.Expr:
    """The column's value as text, masked where the contract says PII; null reads `null`."""
    text = pl.col(column).cast(pl.String) if not frame.schema[column].is_nested() else _joined(column)
    if column in contract.pii_columns:
        return mask(text).fill_null("null")
    cut = pl.when(text.str.len_chars() > _LONGEST_VALUE).then(text.str.slice(0, _LONGEST_VALUE) + "…")
    return cut.otherwise(text).fill_null("null")


def reasons_of(contract: Contract, frame: pl.DataFrame, name: str, check: Check) -> pl.Series:
    """For every row of `frame`, all of which fail the check, the reason as one text.

    `because`, then the values the check read in brackets; a missing value that had to be there
    leaves nothing to show.
    """
    text = because(name, check)
    if check.expectation == "expect_column_values_to_not_be_null":
        return pl.repeat(text, frame.height, dtype=pl.String, eager=True).alias("reason")
    values = [
        pl.concat_str(pl.lit(f"{column}: "), shown(contract, frame, column))
        for column in columns_of(contract, check)
    ]
    told = pl.concat_str(pl.lit(f"{text} ["), pl.concat_str(values, separator=", "), pl.lit("]"))
    return frame.select(told.alias("reason")).to_series()


def examples_of(contract: Contract, frame: pl.DataFrame, check: Check, limit: int = 10) -> list[str]:
    """Up to `limit` of the rows in `frame`, as `source=…, record_id=… (email: j***)`, sorted, each once.

    The key, then what the check read where that is something else and not missing; masked like reasons.
    """
    key = [name for name in contract.key if name in frame.columns]
    if not key or frame.is_empty():
        return []
    told = pl.concat_str(
        [pl.concat_str(pl.lit(f"{name}="), shown(contract, frame, name)) for name in key], separator=", "
    )
    values = [
        pl.concat_str(pl.lit(f"{name}: "), shown(contract, frame, name))
        for name in columns_of(contract, check)
        if name not in key and name in frame.columns
    ]
    if values and check.expectation != "expect_column_values_to_not_be_null":
        told = pl.concat_str(told, pl.lit(" ("), pl.concat_str(values, separator=", "), pl.lit(")"))
    return frame.select(told.alias("example").unique().bottom_k(limit).sort()).to_series().to_list()


def observed_text(contract: Contract, check: Check, finding: Finding, row_count: int) -> str:
    """What the check observed, in words: `12 of 1,000 rows`, a table's figure, or the exception.

    An exception's message can quote a cell, so it is withheld where the check reads a PII column.
    """
    is_pii = not contract.pii_columns.isdisjoint(columns_of(contract, check))
    if finding.error is not None:
        if is_pii:
            return f"{NOT_EVALUATED}: {finding.error_kind} (message withheld, the column is PII)"
        return f"{NOT_EVALUATED}: {finding.error_kind}: {finding.error[:_LONGEST_ERROR]}"
    if finding.rows is not None:
        return rows_text(len(finding.rows), row_count)
    if finding.observed is None:
        return "nothing observed"
    text = str(finding.observed)
    return f"observed {MASK}" if is_pii else f"observed {text[:_LONGEST_ERROR]}"


def rows_text(failed_count: int, row_count: int) -> str:
    """What a check that judges rows observed."""
    return f"{failed_count:,} of {row_count:,} rows"


def _joined(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.List(pl.String)).list.join(", ", ignore_nulls=True)

"""Money as whole ten-thousandths of the currency's major unit.

The contracts' Decimal(18,4) fits into 64-bit integers in this unit, so every sum and comparison of
matching is exact; floats never hold money. What does not belong here: what an amount means.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from functools import cache

import polars as pl
from babel.numbers import get_currency_precision

UNITS = 10_000


def to_units(column: str) -> pl.Expr:
    """A Decimal column as Int64 ten-thousandths under the same name."""
    return pl.col(column).cast(pl.Decimal(18, 4)).to_physical().cast(pl.Int64).alias(column)


def from_units(column: str) -> pl.Expr:
    """An Int64 column of ten-thousandths as Decimal(18,4) under the same name."""
    exact = pl.col(column).cast(pl.Decimal(38, 0)) * pl.lit(Decimal("0.0001"))
    return exact.cast(pl.Decimal(18, 4)).alias(column)


def units(amount: Decimal) -> int:
    """A Decimal as ten-thousandths; digits beyond the fourth place are cut."""
    return int(amount * UNITS)


@cache
def coin(currency: str) -> int:
    """The smallest amount of a currency in ten-thousandths by ISO 4217: 100 for EUR, 10000 for JPY."""
    return int(UNITS // 10 ** min(get_currency_precision(currency), 4))


def in_coins(amount: Decimal, currency: str) -> int:
    """Ten-thousandths rounded to whole coins of the currency, half up."""
    one = coin(currency)
    return int((amount / one).quantize(Decimal(1), ROUND_HALF_UP)) * one


def text(amount: int, currency: str) -> str:
    """`1234.50 EUR` for 12345000: at least two decimals, more where they are not zero."""
    sign = "-" if amount < 0 else ""
    whole, part = divmod(abs(amount), UNITS)
    digits = f"{part:04d}"
    return f"{sign}{whole}.{digits[:2]}{digits[2:].rstrip('0')} {currency}"


def grouped(amount: Decimal, currency: str | None) -> str:
    """`1,234.50`: an amount of the major unit with the decimals its currency has, two where none is known."""
    return f"{amount:,.{get_currency_precision(currency) if currency else 2}f}"

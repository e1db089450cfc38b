"""Amounts as a clerk types them: exact, in the currency's own decimals, never guessed at."""

from __future__ import annotations

import re
from decimal import Decimal

from crm_hygiene.cash.money import units
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.standardise.money import MINOR_UNITS

# A comma is taken for a decimal point only where it cannot be a separator of thousands.
_PLAIN = re.compile(r"([0-9]{1,13})(?:\.([0-9]{1,4})|,([0-9]{1,2}))?")


def read_amount(text: str, currency: str | None) -> int:
    """An amount above 0 in ten-thousandths; without a currency it may have four decimals.

    Raises
    ------
    ConfigurationError
        if it is no plain number (`1234.50`), is 0, or has more decimals than the currency.
    """
    word = text.strip()
    found = _PLAIN.fullmatch(word)
    if not found:
        raise ConfigurationError(
            f"'{word[:40]}' is not an amount above 0; write it plainly, as 1234.50, without sign or currency"
        )
    fraction = (found[2] or found[3] or "").rstrip("0")
    decimals = 4 if currency is None else MINOR_UNITS.get(currency, 2)
    if len(fraction) > decimals:
        raise ConfigurationError(f"'{word}' has more decimals than {currency}, which has {decimals}")
    amount = units(Decimal(f"{found[1]}.{fraction or '0'}"))
    if amount == 0:
        raise ConfigurationError("an amount of 0 decides nothing; it must be above 0")
    return amount


def plain(amount: int) -> str:
    """`1234.50` for 12345000, as `read_amount` reads it back."""
    whole, part = divmod(abs(amount), 10_000)
    digits = f"{part:04d}"
    return f"{'-' if amount < 0 else ''}{whole}.{digits[:2]}{digits[2:].rstrip('0')}"

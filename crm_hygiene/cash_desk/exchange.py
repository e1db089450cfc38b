"""Exchange: a payment applied by hand to an invoice in another currency, with the gain or loss.

The rate is the bank's, or the one the clerk gives; whether it counts units of the payment's currency or of
the invoice's, the amounts tell. Without a rate the clerk says both amounts, and there is no gain or loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from crm_hygiene.cash.money import UNITS, text
from crm_hygiene.cash.rules import CashRules
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.standardise.money import MINOR_UNITS


@dataclass(frozen=True)
class Exchanged:
    """What of the payment settles what of the invoice; ten-thousandths, each in its own currency."""

    used: int
    amount: int
    gap: int


def bank_rate(entry: dict[str, Any]) -> Decimal | None:
    """The rate that the bank tells of an entry, if it tells one."""
    rate = entry.get("exchange_rate")
    return Decimal(str(rate)) if rate is not None and rate > 0 else None


def worth_of(used: int, rate: Decimal, currency: str, near: int) -> int:
    """What `used` is worth in `currency` at the rate, whichever way round it is told: nearest to `near`."""
    coin: int = UNITS // 10 ** min(MINOR_UNITS.get(currency, 2), 4)
    both = [
        int((value / coin).quantize(Decimal(1), ROUND_HALF_UP)) * coin
        for value in (Decimal(used) * rate, Decimal(used) / rate)
    ]
    _, worth = min((abs(worth - near), worth) for worth in both)
    return worth


def exchanged(
    paid_in: str,
    billed_in: str,
    left: int,
    is_open: int,
    used: int | None,
    amount: int | None,
    rate: Decimal | None,
    rules: CashRules,
) -> Exchanged:
    """Fill in what the clerk left out: all that is left, all that is open, the gain or loss.

    Parameters
    ----------
    paid_in, billed_in
        the currencies of payment and invoice.
    left, is_open
        what payment and invoice have, in ten-thousandths.
    used, amount
        what the clerk said, of the payment and of the invoice.

    Raises
    ------
    ConfigurationError
        if the amounts cannot be told, or the rate does not explain them within `exchange.max_share`.
    """
    uses = left if used is None else used
    if uses <= 0:
        raise ConfigurationError(f"the payment has nothing left in {paid_in}")
    if rate is None:
        if amount is None:
            raise ConfigurationError(
                f"the payment is in {paid_in}, the invoice in {billed_in}, and the bank tells no rate: say "
                f"what it settles with --amount (in {billed_in}), or the rate with --rate"
            )
        return Exchanged(uses, amount, 0)
    share = rules.exchange.max_share
    worth = worth_of(uses, rate, billed_in, is_open if amount is None else amount)
    if amount is None:
        amount = is_open if Decimal(abs(is_open - worth)) <= share * is_open else min(worth, is_open)
    gap = amount - worth
    if Decimal(abs(gap)) > share * amount:
        named = "loss" if gap > 0 else "gain"
        raise ConfigurationError(
            f"{text(uses, paid_in)} are worth {text(worth, billed_in)} at {rate.normalize():f}: to settle "
            f"{text(amount, billed_in)} is an exchange {named} of {text(abs(gap), billed_in)}, more than "
            f"{(share * 100).normalize():f} %; say what is used with --paid (in {paid_in}), another --amount "
            "or --rate"
        )
    return Exchanged(uses, amount, gap)


def read_rate(word: str) -> Decimal:
    """A rate as a clerk types it: `1.0850`.

    Raises
    ------
    ConfigurationError
        if it is no plain number above 0 and below a million.
    """
    body = word.strip().replace(",", ".", 1)
    whole, _, part = body.partition(".")
    plain = body.isascii() and whole.isdigit() and (part.isdigit() or not part) and len(body) <= 18
    rate = Decimal(body) if plain else Decimal(0)
    if not 0 < rate < 1_000_000:
        raise ConfigurationError(f"'{word.strip()[:40]}' is not a rate; write it plainly, as 1.0850")
    return rate

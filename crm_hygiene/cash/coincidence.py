"""Coincidence: how likely an amount hits one of the values tried by chance alone.

Where a payment cites nothing, an equal sum is evidence only as far as it could not have come about by
itself. What does not belong here: which values are tried (`sums`).
"""

from __future__ import annotations

from math import gcd

import numpy as np
import numpy.typing as npt

#: Half the width, as a share of the amount, of the neighbourhood in which values are counted.
_NEAR = 0.05


def chance(amount: int, values: npt.NDArray[np.int64], parts: list[int], coin: int, ways: int = 1) -> float:
    """Expected number of values that equal `amount` by chance.

    The values tried near the amount (within 5 %), and one more by the rule of succession, are taken as
    strewn evenly over that neighbourhood in steps of the resolution: the largest power of ten that divides
    the amount and every part. Round amounts therefore prove little, and many open invoices prove less.

    Parameters
    ----------
    amount
        ten-thousandths, positive.
    values
        every value tried, in ten-thousandths.
    parts
        the amounts that make up the hit: they state the resolution.
    coin
        smallest amount of the currency.
    ways
        amounts tried per value (fees, rounding differences), 1 for the value itself.
    """
    half = max(coin, int(amount * _NEAR))
    near = int(((values >= amount - half) & (values <= amount + half)).sum())
    resolution = max(coin, gcd(_roundness(amount), *parts))
    return (near + 1) * ways * resolution / (2 * half)


def _roundness(amount: int) -> int:
    """The largest power of ten that divides the amount: 10.00 of 1490.00, 0.01 of 1490.13."""
    power = 1
    while amount and amount % (power * 10) == 0:
        power *= 10
    return power


def is_round(amount: int, coin: int, most: float) -> bool:
    """Whether an amount is so round that another one may well be equal."""
    return chance(amount, np.zeros(0, dtype=np.int64), [amount], coin) > most

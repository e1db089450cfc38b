"""Structured payment references of Switzerland and Belgium.

What does not belong here: ISO 11649 references (`registers`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Ints
from crm_hygiene.sample.identifiers import serials

_CARRY = np.array([0, 9, 4, 6, 8, 2, 7, 1, 3, 5])
_SWISS_DIGITS = 26


def swiss_references(serial: Ints) -> pl.Series:
    """QR references: 26 digits and a check digit, modulo 10 recursive (Swiss payment standards)."""
    body = serials("", serial, _SWISS_DIGITS)
    carry = np.zeros(len(serial), dtype=np.int64)
    rest = serial.astype(np.int64)
    digits = []
    for _ in range(_SWISS_DIGITS):
        digits.append(rest % 10)
        rest = rest // 10
    for digit in reversed(digits):
        carry = _CARRY[(carry + digit) % 10]
    return body + pl.Series((10 - carry) % 10).cast(pl.String)


def belgian_messages(serial: Ints) -> pl.Series:
    """OGM/VCS messages `+++123/4567/89012+++`: ten digits and their remainder modulo 97, 97 for 0."""
    body = 1_000_000_000 + serial.astype(np.int64)
    check = body % 97
    digits = pl.Series(body).cast(pl.String) + pl.Series(np.where(check == 0, 97, check)).cast(
        pl.String
    ).str.zfill(2)
    return "+++" + digits.str.slice(0, 3) + "/" + digits.str.slice(3, 4) + "/" + digits.str.slice(7) + "+++"

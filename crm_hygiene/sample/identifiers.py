"""Identifiers in the vendors' own forms: Salesforce keys, GUIDs, HubSpot numbers.

What does not belong here: tax numbers and bank accounts (`registers`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Bytes, Ints, Rng, text_of

_BASE62 = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", dtype=np.uint8)
_SUFFIX = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", dtype=np.uint8)
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def _salesforce_matrix(rng: Rng, prefix: str, n: int) -> Bytes:
    number = np.cumsum(rng.integers(1, 60, n)).astype(np.int64) + 3_900_000_000
    matrix = np.empty((n, 15), dtype=np.uint8)
    matrix[:, :7] = np.frombuffer(f"{prefix}5g00".encode(), dtype=np.uint8)
    for column in range(14, 6, -1):
        matrix[:, column] = _BASE62[number % 62]
        number //= 62
    return matrix


def _with_suffix(matrix: Bytes) -> pl.Series:
    """Keys in their 18-character form.

    For each five characters a letter is added whose bits tell which of them are capitals (Salesforce's
    published algorithm).
    """
    capital = ((matrix >= ord("A")) & (matrix <= ord("Z"))).reshape(len(matrix), 3, 5)
    suffix = _SUFFIX[(capital * np.array([1, 2, 4, 8, 16])).sum(axis=2)]
    return text_of(np.concatenate([matrix, suffix], axis=1))


def long_forms(keys: pl.Series) -> pl.Series:
    """The case-insensitive 18-character forms of 15-character Salesforce keys."""
    matrix = np.frombuffer("".join(keys.to_list()).encode("ascii"), dtype=np.uint8)
    return _with_suffix(matrix.reshape(len(keys), 15))


def salesforce_ids(rng: Rng, prefix: str, n: int) -> tuple[pl.Series, pl.Series]:
    """`n` distinct keys of one object in ascending order.

    Returns
    -------
    tuple
        the 15-character and the 18-character forms of the same keys
    """
    matrix = _salesforce_matrix(rng, prefix, n)
    return text_of(matrix), _with_suffix(matrix)


def guids(rng: Rng, n: int) -> pl.Series:
    """`n` random (version 4) GUIDs in lower case."""
    digits = rng.integers(0, 16, (n, 32), dtype=np.uint8)
    digits[:, 12] = 4
    digits[:, 16] = 8 + digits[:, 16] % 4
    dash = np.full((n, 1), ord("-"), dtype=np.uint8)
    text = _HEX[digits]
    blocks = [text[:, :8]]
    for start, end in ((8, 12), (12, 16), (16, 20), (20, 32)):
        blocks += [dash, text[:, start:end]]
    return text_of(np.concatenate(blocks, axis=1))


def hubspot_ids(rng: Rng, first: int, n: int) -> pl.Series:
    """`n` distinct record numbers as text, ascending with gaps."""
    return pl.Series(first + np.cumsum(rng.integers(1, 40, n)).astype(np.int64)).cast(pl.String)


def serials(prefix: str, numbers: Ints, digits: int = 7) -> pl.Series:
    """Running numbers with a prefix, zero-filled to `digits`."""
    return prefix + pl.Series(numbers).cast(pl.String).str.zfill(digits)

"""Numbers with check digits: IBAN, VAT identification numbers, creditor references.

Each check digit follows the register's published rule; tests hold them against python-stdnum. What
does not belong here: who has such a number (`organisations`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Bytes, Ints, Rng, fill, text_of
from crm_hygiene.sample.vocabulary import Vocabulary

_ODD_CIN = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21]  # the value of a digit in an odd place


def _bytes(values: pl.Series) -> Bytes:
    """The characters of texts of one length, one row each."""
    width = len(values[0])
    return np.frombuffer("".join(values.to_list()).encode("ascii"), dtype=np.uint8).reshape(
        len(values), width
    )


def _digits(values: pl.Series) -> Ints:
    return _bytes(values).astype(np.int64) - 48


def mod97(values: pl.Series) -> Ints:
    """Remainder modulo 97 of texts of one length, letters read as 10 to 35 (ISO 7064)."""
    remainder = np.zeros(len(values), dtype=np.int64)
    for column in _bytes(values).T.astype(np.int64):
        letter = column >= 65
        remainder = (remainder * np.where(letter, 100, 10) + np.where(letter, column - 55, column - 48)) % 97
    return remainder


def _two(numbers: Ints) -> pl.Series:
    return pl.Series(numbers).cast(pl.String).str.zfill(2)


def _weigh(digits: Ints, weights: Sequence[int]) -> Ints:
    return np.asarray((digits * np.array(weights)).sum(axis=1), dtype=np.int64)


def _luhn(digits: Ints) -> Ints:
    """Luhn check digit for the digits before it."""
    doubled = digits[:, ::-1].copy()
    doubled[:, ::2] *= 2
    total = (doubled // 10 + doubled % 10).sum(axis=1)
    return np.asarray((10 - total % 10) % 10, dtype=np.int64)


def _national(country: str, bban: pl.Series) -> pl.Series:
    """The account number with its national check digits, where the country has them."""
    if country == "BE":
        rest = bban.cast(pl.Int64).to_numpy() % 97
        return bban + _two(np.where(rest == 0, 97, rest))
    if country == "FR":
        bank, branch, account = (bban.str.slice(*part).cast(pl.Int64) for part in ((0, 5), (5, 5), (10,)))
        return bban + _two((97 - (bank * 89 + branch * 15 + account * 3) % 97).to_numpy())
    if country == "ES":
        weights = [1, 2, 4, 8, 5, 10, 9, 7, 3, 6]
        digits = _digits(bban)
        zeros = np.zeros((len(digits), 2), dtype=np.int64)
        halves = (np.concatenate([zeros, digits[:, :8]], axis=1), digits[:, 8:])
        checks = [_weigh(half, weights) for half in halves]
        a, b = (
            pl.Series(np.array([0, 1, 9, 8, 7, 6, 5, 4, 3, 2, 1])[c % 11]).cast(pl.String) for c in checks
        )
        return bban.str.slice(0, 8) + a + b + bban.str.slice(8)
    if country == "IT":
        digits = _digits(bban)
        odd = np.array(_ODD_CIN)[digits[:, ::2]]
        letter = 65 + (odd.sum(axis=1) + digits[:, 1::2].sum(axis=1)) % 26
        return text_of(letter.astype(np.uint8).reshape(-1, 1)) + bban
    return bban


def ibans(rng: Rng, vocabulary: Vocabulary, country: Ints) -> pl.Series:
    """One IBAN per row of country numbers, ISO 13616; null where the country has none."""
    found = pl.Series([None], dtype=pl.String).new_from_index(0, len(country))
    for number, (code, facts) in enumerate(zip(vocabulary.codes, vocabulary.countries, strict=True)):
        at = np.flatnonzero(country == number)
        if not facts.iban or not len(at):
            continue
        bban = _national(code, fill(rng, facts.iban, rng.integers(0, len(facts.iban), len(at))))
        check = 98 - mod97(bban + f"{code}00")
        found = found.scatter(at, code + _two(check) + bban)
    return found


def creditor_references(bodies: pl.Series) -> pl.Series:
    """ISO 11649 references (RF, two check digits) for bodies of one length."""
    return "RF" + _two(98 - mod97(bodies + "RF00")) + bodies if len(bodies) else bodies


def _vat_de(rng: Rng, n: int) -> pl.Series:
    base = fill(rng, ["%#######"], np.zeros(n, dtype=np.int64))
    product = np.full(n, 10, dtype=np.int64)
    for digit in _digits(base).T:
        total = (digit + product) % 10
        product = 2 * np.where(total == 0, 10, total) % 11
    return "DE" + base + pl.Series((11 - product) % 10).cast(pl.String)


def _vat_at(rng: Rng, n: int) -> pl.Series:
    base = fill(rng, ["%######"], np.zeros(n, dtype=np.int64))
    return "ATU" + base + pl.Series((6 - _luhn_sum(_digits(base))) % 10).cast(pl.String)


def _luhn_sum(digits: Ints) -> Ints:
    """Sum of the digits, every second one doubled and its digits added (ATU numbers)."""
    doubled = digits.copy()
    doubled[:, 1::2] *= 2
    return np.asarray((doubled // 10 + doubled % 10).sum(axis=1), dtype=np.int64)


def _vat_fr(rng: Rng, n: int) -> pl.Series:
    base = fill(rng, ["%#######"], np.zeros(n, dtype=np.int64))
    siren = base + pl.Series(_luhn(_digits(base))).cast(pl.String)
    return "FR" + _two((12 + 3 * (siren.cast(pl.Int64).to_numpy() % 97)) % 97) + siren


def _vat_be(rng: Rng, n: int) -> pl.Series:
    base = fill(rng, ["0%######"], np.zeros(n, dtype=np.int64))
    return "BE" + base + _two(97 - base.cast(pl.Int64).to_numpy() % 97)


def _vat_nl(rng: Rng, n: int) -> pl.Series:
    # The form in use since 2020: any nine digits, check digits modulo 97 over NL + number + B.
    base = fill(rng, ["00%######"], np.zeros(n, dtype=np.int64))
    check = 98 - mod97("NL" + base + "B00")
    return "NL" + base + "B" + _two(check)


def _vat_gb(rng: Rng, n: int) -> pl.Series:
    base = fill(rng, ["%######"], np.zeros(n, dtype=np.int64))
    rest = _weigh(_digits(base), [8, 7, 6, 5, 4, 3, 2]) % 97
    return "GB" + base + _two(97 - rest)


def _vat_it(rng: Rng, n: int) -> pl.Series:
    base = fill(rng, ["0%#####0%#"], np.zeros(n, dtype=np.int64))
    return "IT" + base + pl.Series(_luhn(_digits(base))).cast(pl.String)


def _vat_se(rng: Rng, n: int) -> pl.Series:
    base = fill(rng, ["556%#####"], np.zeros(n, dtype=np.int64))
    return "SE" + base + pl.Series(_luhn(_digits(base))).cast(pl.String) + "01"


_VAT: dict[str, Callable[[Rng, int], pl.Series]] = {
    "DE": _vat_de,
    "AT": _vat_at,
    "FR": _vat_fr,
    "BE": _vat_be,
    "NL": _vat_nl,
    "GB": _vat_gb,
    "IT": _vat_it,
    "SE": _vat_se,
}


def vat_numbers(rng: Rng, vocabulary: Vocabulary, country: Ints) -> pl.Series:
    """One VAT number per row of country numbers; null in countries whose scheme is not sampled."""
    found = pl.Series([None], dtype=pl.String).new_from_index(0, len(country))
    for number, code in enumerate(vocabulary.codes):
        at = np.flatnonzero(country == number)
        if code in _VAT and len(at):
            found = found.scatter(at, _VAT[code](rng, len(at)))
    return found

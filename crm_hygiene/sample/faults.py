"""Faults of real exports, each a function from clean values to spoiled ones.

Every function takes the generator and a rate, spoils about that share of the rows and returns new
series. What does not belong here: which export has which fault (`observation`, the export modules).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Ints, Rng, hit, pick, put, where


def _chosen(rng: Rng, values: pl.Series, rate: float) -> Ints:
    return np.flatnonzero(hit(rng, len(values), rate) & values.is_not_null().to_numpy()).astype(np.int64)


def spoil(rng: Rng, values: pl.Series, rate: float, change: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Apply `change` to about `rate` of the values that are not null."""
    at = _chosen(rng, values, rate)
    return put(values, at, change(values.gather(at))) if len(at) else values


def typo(rng: Rng, values: pl.Series) -> pl.Series:
    """One slip of the keyboard in every value longer than three characters.

    A letter is left out, doubled, swapped with the next one or hit beside.
    """
    n = len(values)
    length = values.str.len_chars().to_numpy().astype(np.int64)
    at = 1 + (rng.random(n) * np.maximum(length - 2, 1)).astype(np.int64)
    frame = pl.DataFrame({"v": values, "at": at, "kind": rng.integers(0, 4, n)}).with_columns(
        beside=pick(rng, list("aeioustnrlmdg"), n)
    )
    v, i = pl.col("v"), pl.col("at")
    head, letter, following = v.str.slice(0, i), v.str.slice(i, 1), v.str.slice(i + 1, 1)
    rest, tail = v.str.slice(i + 1), v.str.slice(i + 2)
    slipped = (
        pl.when(pl.col("kind") == 0)
        .then(head + rest)
        .when(pl.col("kind") == 1)
        .then(head + letter + letter + rest)
        .when(pl.col("kind") == 2)
        .then(head + following + letter + tail)
        .otherwise(head + pl.col("beside") + rest)
    )
    return frame.select(pl.when(v.str.len_chars() > 3).then(slipped).otherwise(v)).to_series()


def with_typos(rng: Rng, values: pl.Series, rate: float) -> pl.Series:
    """About `rate` of the values with one slip of the keyboard."""
    return spoil(rng, values, rate, lambda chosen: typo(rng, chosen))


def with_placeholders(rng: Rng, values: pl.Series, rate: float, placeholders: Sequence[str]) -> pl.Series:
    """About `rate` of the values replaced by what people type to get past a form."""
    return spoil(rng, values, rate, lambda chosen: pick(rng, placeholders, len(chosen)))


def with_capitals(rng: Rng, values: pl.Series, rate: float) -> pl.Series:
    """About `rate` of the values in capitals."""
    return spoil(rng, values, rate, lambda chosen: chosen.str.to_uppercase())


def with_blanks_around(rng: Rng, values: pl.Series, rate: float) -> pl.Series:
    """About `rate` of the values with a blank in front or behind."""
    return spoil(rng, values, rate, lambda c: where(hit(rng, len(c), 0.7), c + " ", " " + c))


def with_gaps(rng: Rng, values: pl.Series, rate: float) -> pl.Series:
    """About `rate` of the values missing."""
    return spoil(rng, values, rate, lambda c: pl.Series([None], dtype=values.dtype).new_from_index(0, len(c)))


def _twice_encoded(text: str) -> str:
    return text.encode().decode("cp1252", errors="ignore")


def with_mojibake(rng: Rng, values: pl.Series, rate: float) -> pl.Series:
    """About `rate` of the values read as cp1252 although they were UTF-8: MÃ¼ller."""
    return spoil(rng, values, rate, lambda c: pl.Series([_twice_encoded(v) for v in c], dtype=pl.String))


def with_swapped_day_and_month(rng: Rng, dates: pl.Series, rate: float) -> pl.Series:
    """About `rate` of the dates with day and month exchanged, where that gives a date."""

    def swap(chosen: pl.Series) -> pl.Series:
        day, month = chosen.dt.day(), chosen.dt.month()
        can = (day <= 12).to_numpy()
        parts = {"y": chosen.dt.year(), "m": where(can, day, month), "d": where(can, month, day)}
        return pl.DataFrame(parts).select(pl.date("y", "m", "d")).to_series()

    return spoil(rng, dates, rate, swap)


def swapped(rng: Rng, left: pl.Series, right: pl.Series, rate: float) -> tuple[pl.Series, pl.Series]:
    """Two columns with their values exchanged in about `rate` of the rows."""
    mask = hit(rng, len(left), rate)
    return where(mask, right, left), where(mask, left, right)


def in_mixed_encoding(rng: Rng, text: bytes, rate: float) -> bytes:
    """A UTF-8 CSV with about `rate` of its non-ASCII lines in cp1252, at least one where there is one.

    Lines that cp1252 cannot express stay as they are; the first line is the header and stays too.
    """
    lines = text.split(b"\n")
    foreign = [i for i, line in enumerate(lines) if i and not line.isascii()]
    draws = rng.random(len(foreign))
    for rank, (i, draw) in enumerate(zip(foreign, draws, strict=True)):
        if draw < rate or rank == 0:
            try:
                lines[i] = lines[i].decode().encode("cp1252")
            except UnicodeEncodeError:
                continue
    return b"\n".join(lines)

"""Letter marks: 64 bits per text that bound how alike two texts can be, without looking at them.

One bit per letter and digit that a text has, one more per digit that it has twice. Of two texts, the bits
that one has and the other has not are letters that must be put in or replaced: so many edits lie between
them at least, and so many letters of the one have no partner in the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

# What a record has per compared text beside it: `marks_given`, `size_given`, `start_given`.
MARKS, SIZE, START = "marks", "size", "start"

# What numbers of 24 bits may be short of.
ROUNDING = 1e-6

_LETTERS = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS = b"0123456789"

# What the conditions of a bound may call. Texts of one edit differ by at most one bit in each direction.
MACROS = (
    "missing_letters(marks, other) AS bit_count(marks & ~other)",
    "may_be_near(marks, other, edits) AS missing_letters(marks, other) <= edits "
    "AND missing_letters(other, marks) <= edits",
    # Jaro's measure is the mean of three shares, each at most 1: of the letters of either text that have a
    # partner in the other, and of partners in order. Winkler adds a tenth of the rest per common first
    # letter, up to four.
    "jaro_bound(n, other_n, paired) AS (paired / n + paired / other_n + 1) / 3",
    "jaro_winkler_bound(n, marks, other_n, other, is_one_start) AS CASE WHEN is_one_start "
    "THEN 0.4 + 0.6 * jaro_bound(n, other_n, least(n - missing_letters(marks, other), "
    "other_n - missing_letters(other, marks))) "
    "ELSE jaro_bound(n, other_n, least(n - missing_letters(marks, other), "
    "other_n - missing_letters(other, marks))) END",
)


def missing_letters(marks: Any, other: Any) -> Any:
    """The macro of that name, over arrays."""
    return np.bitwise_count(marks & ~other)


def jaro_winkler_bound(
    size: Any, missing: Any, other_size: Any, other_missing: Any, is_one_start: Any
) -> Any:
    """The macro of that name, over arrays: `missing` letters of the one text have no partner in the other."""
    paired = np.minimum(size - missing, other_size - other_missing)
    jaro = (paired / size + paired / other_size + 1) / 3
    return np.where(is_one_start, 0.4 + 0.6 * jaro, jaro) + ROUNDING


def _bits() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    bits = np.zeros(256, dtype=np.int64)
    for place, letter in enumerate(_LETTERS + _DIGITS):
        bits[letter] = 1 << place
    for letter in _LETTERS:
        bits[letter - 32] = bits[letter]
    return bits


_BIT_OF = _bits()
_ANY_DIGIT = int(sum(_BIT_OF[digit] for digit in _DIGITS))

# Digits are counted in six bits each, ten of them in one number.
_FIELD_BITS = 6
_MOST_IN_FIELD = (1 << _FIELD_BITS) - 1


def _fields() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    fields = np.zeros(256, dtype=np.int64)
    for place, digit in enumerate(_DIGITS):
        fields[digit] = 1 << (_FIELD_BITS * place)
    return fields


_FIELD_OF = _fields()


def _bytes_of(texts: pl.Series) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The bytes of all texts one after another, and where each text begins; none of them is empty or null."""
    arrow = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = arrow.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[arrow.offset : arrow.offset + len(arrow) + 1]
    return np.frombuffer(data, dtype=np.uint8)[ends[0] : ends[-1]], ends[:-1] - ends[0]


def _digits_twice(letters: np.ndarray[Any, Any], starts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The bits of the digits that each text has twice or more often.

    All digits of a text are counted in one number, in a field of its own each. Texts that could have more of
    a digit than a field can hold are counted by themselves.
    """
    counted = np.add.reduceat(_FIELD_OF[letters], starts)
    lengths = np.diff(np.append(starts, len(letters)))
    for row in np.flatnonzero(lengths > _MOST_IN_FIELD):
        text = letters[starts[row] : starts[row] + lengths[row]]
        times = [min(int((text == digit).sum()), _MOST_IN_FIELD) for digit in _DIGITS]
        counted[row] = sum(n << (_FIELD_BITS * place) for place, n in enumerate(times))
    found = np.zeros(len(starts), dtype=np.int64)
    for place in range(len(_DIGITS)):
        is_twice = (counted >> (_FIELD_BITS * place)) & _MOST_IN_FIELD > 1
        found |= is_twice.astype(np.int64) << (len(_LETTERS) + len(_DIGITS) + place)
    return found


def letter_marks(texts: pl.Series) -> pl.DataFrame:
    """Marks of each text, null where it is null.

    Returns
    -------
    polars.DataFrame
        `marks` (Int64), `size` (bytes, Int32) and `start` (first byte, Int16). DuckDB's measures count bytes,
        not letters; bytes without a bit of their own only leave more texts alike.
    """
    sizes = texts.str.len_bytes().cast(pl.Int64)
    filled = (sizes > 0).fill_null(False)
    marks = np.zeros(len(texts), dtype=np.int64)
    start = np.zeros(len(texts), dtype=np.int16)
    present = texts.filter(filled)
    if len(present):
        letters, starts = _bytes_of(present)
        found = np.bitwise_or.reduceat(_BIT_OF[letters], starts)
        if (found & _ANY_DIGIT).any():
            found |= _digits_twice(letters, starts)
        marks[filled.to_numpy()] = found
        start[filled.to_numpy()] = letters[starts]
    is_missing = texts.is_null()
    return pl.DataFrame(
        {
            "marks": pl.Series(marks).set(is_missing, None),
            "size": sizes.cast(pl.Int32),
            "start": pl.Series(start).set(is_missing, None),
        }
    )


def with_marks(frame: pl.DataFrame, conditions: str) -> pl.DataFrame:
    """`frame` with the columns of marks that the SQL `conditions` read, `marks_given` for example."""
    added: list[pl.Series] = []
    for column, dtype in frame.schema.items():
        if f'"{MARKS}_{column}_' not in conditions:
            continue
        if isinstance(dtype, pl.List):
            added.append(list_marks(frame[column]).alias(f"{MARKS}_{column}"))
        else:
            marks = letter_marks(frame[column])
            added += [marks[name].alias(f"{name}_{column}") for name in (MARKS, SIZE, START)]
    return frame.with_columns(added)


def list_marks(lists: pl.Series) -> pl.Series:
    """Marks of each list as Int64: lists with a common element share a bit; null where it is empty."""
    rows = pl.DataFrame({"row": pl.int_range(len(lists), eager=True), "element": lists})
    bits = (
        rows.explode("element")
        .drop_nulls()
        .select("row", bit=(pl.col("element").hash(seed=5) % 62).cast(pl.Int64))
        .with_columns(bit=pl.col("bit").replace_strict(list(range(62)), [1 << n for n in range(62)]))
        .group_by("row")
        .agg(pl.col("bit").bitwise_or())
    )
    return rows.select("row").join(bits, on="row", how="left", maintain_order="left")["bit"].cast(pl.Int64)

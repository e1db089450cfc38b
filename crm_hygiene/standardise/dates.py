"""Dates and times as sources write them, read without ever leaving Polars.

Understood: ISO 8601 with or without time, fraction, offset; `YYYYMMDD`; day and month with `/`
(order by option) or `.` (day first), with an optional time; Unix time in seconds (10 digits) and
milliseconds (13 digits). A year such as 9999 is read: refusing it is a gate's work. Not here: two-digit
years and names of months, which would have to be guessed.
"""

from __future__ import annotations

from functools import cache

import polars as pl

from crm_hygiene.standardise.placeholders import is_placeholder
from crm_hygiene.standardise.text import cleaned, complaint

_TAIL = r"(?:[Tt ,]+(.*))?$"
_YEAR_FIRST = r"^([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})" + _TAIL
_COMPACT = r"^((?:1[89]|2[0-9])[0-9]{2})([0-9]{2})([0-9]{2})(?:[Tt]([0-9].*))?$"
_SLASHED = r"^([0-9]{1,2})[/-]([0-9]{1,2})[/-]([0-9]{4})" + _TAIL
_DOTTED = r"^([0-9]{1,2})\. ?([0-9]{1,2})\. ?([0-9]{4})" + _TAIL
_CLOCK = (
    r"^([0-9]{1,2}):?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]{1,9}))?)? ?([AaPp]\.?[Mm]\.?)?"
    r" ?(?:([Zz]|UTC|GMT)|([+-])([0-9]{2}):?([0-9]{2})?)?$"
)
_MICROSECONDS = 1_000_000
# What most systems write: every part at its place, a clock that exists, no zone or UTC.
_ISO = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{3})?)?Z?)?$"
)


@cache
def _parts(day_first: bool) -> list[pl.Expr]:
    """Expressions for `_date` (text year-month-day) and `_clock` (text after the date) of `_text`."""
    text = pl.col("_text")

    def joined(pattern: str, year: int, month: int, day: int) -> pl.Expr:
        return pl.concat_str(
            text.str.extract(pattern, year),
            text.str.extract(pattern, month).str.zfill(2),
            text.str.extract(pattern, day).str.zfill(2),
            separator="-",
        )

    month, day = (2, 1) if day_first else (1, 2)
    return [
        pl.coalesce(
            joined(_YEAR_FIRST, 1, 2, 3),
            joined(_COMPACT, 1, 2, 3),
            joined(_SLASHED, 3, month, day),
            joined(_DOTTED, 3, 2, 1),
        ).alias("_date"),
        pl.coalesce(*(text.str.extract(p, 4) for p in (_YEAR_FIRST, _COMPACT, _SLASHED, _DOTTED))).alias(
            "_clock"
        ),
    ]


@cache
def _clock_microseconds() -> tuple[pl.Expr, pl.Expr]:
    """Of `_clock`: microseconds since midnight, null if impossible, and those of its offset from UTC."""
    clock = pl.col("_clock")

    def number(group: int) -> pl.Expr:
        return clock.str.extract(_CLOCK, group).cast(pl.Int64, strict=False)

    hour, minute, second = number(1), number(2), number(3).fill_null(0)
    half = clock.str.extract(_CLOCK, 5).str.slice(0, 1).str.to_lowercase()
    hour24 = (
        pl.when(half.is_null())
        .then(hour)
        .when(hour.is_between(1, 12))
        .then(hour % 12 + pl.when(half == "p").then(12).otherwise(0))
    )
    fraction = (
        clock.str.extract(_CLOCK, 4)
        .str.pad_end(6, "0")
        .str.slice(0, 6)
        .cast(pl.Int64, strict=False)
        .fill_null(0)
    )
    away = number(8).fill_null(0) * 60 + number(9).fill_null(0)
    sign = pl.when(clock.str.extract(_CLOCK, 7) == "-").then(-1).otherwise(1)
    possible = (hour24 < 24) & (minute < 60) & (second < 60) & (away <= 18 * 60)
    since = pl.when(possible).then(((hour24 * 60 + minute) * 60 + second) * _MICROSECONDS + fraction)
    return since, sign * away * 60 * _MICROSECONDS


def _read(frame: pl.DataFrame, day_first: bool) -> pl.DataFrame:
    """`frame` with `_text`, `_day` (Date as written) and `_at` (Datetime in UTC), null where unreadable.

    Plain ISO 8601 is cut at fixed places; only the rest pays for notations.
    """
    frame = frame.with_columns(_text=pl.col("raw").cast(pl.String))
    others = (~frame["_text"].str.contains(_ISO).fill_null(value=False)).arg_true()
    if others.len() == frame.height:
        return _by_notation(frame, day_first)
    frame = _cut(frame)
    if others.len() == 0:
        return frame
    read = _by_notation(frame[others].select("raw", "_text"), day_first)
    return frame.with_columns(frame[c].scatter(others, read[c]) for c in ("_text", "_day", "_at"))


def _cut(frame: pl.DataFrame) -> pl.DataFrame:
    """`_read` of texts that fit `_ISO`; anything may come of others."""
    text = pl.col("_text")

    def number(start: int, length: int) -> pl.Expr:
        return text.str.slice(start, length).cast(pl.Int64, strict=False).fill_null(0)

    clock = pl.duration(
        hours=number(11, 2), minutes=number(14, 2), seconds=number(17, 2), milliseconds=number(20, 3)
    )
    frame = frame.with_columns(_day=text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False))
    midnight = pl.col("_day").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return _of_this_calendar(frame.with_columns(_at=midnight + clock))


def _of_this_calendar(frame: pl.DataFrame) -> pl.DataFrame:
    """Years outside 1 to 9999 exist in Polars and nowhere else."""
    is_within = pl.col("_at").dt.year().is_between(1, 9999)
    return frame.with_columns(pl.when(is_within).then(pl.col(c)).alias(c) for c in ("_day", "_at"))


def _by_notation(frame: pl.DataFrame, day_first: bool) -> pl.DataFrame:
    """`_read` of any texts."""
    text = pl.col("_text")
    since, offset = _clock_microseconds()
    epoch = (
        pl.when(text.str.contains(r"^[0-9]{13}$"))
        .then(text.cast(pl.Int64, strict=False) * 1000)
        .when(text.str.contains(r"^[0-9]{10}$"))
        .then(text.cast(pl.Int64, strict=False) * _MICROSECONDS)
        .cast(pl.Datetime("us", "UTC"))
    )
    midnight = pl.col("_day").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    at = midnight + pl.duration(microseconds=pl.col("_since") - pl.col("_offset"))
    return (
        frame.with_columns(_text=cleaned("raw"))
        .with_columns(*_parts(day_first), _epoch=epoch)
        .with_columns(
            _day=pl.col("_date").str.to_date("%Y-%m-%d", strict=False),
            _since=pl.when(pl.col("_clock").is_null() | (pl.col("_clock") == ""))
            .then(pl.lit(0, dtype=pl.Int64))
            .otherwise(since),
            _offset=offset,
        )
        .with_columns(_at=pl.coalesce(at, "_epoch"))
        .with_columns(_day=pl.coalesce("_day", pl.col("_at").dt.date()))
        .pipe(_of_this_calendar)
        .drop("_date", "_clock", "_epoch", "_since", "_offset")
    )


def _with_problems(frame: pl.DataFrame, subject: str) -> pl.DataFrame:
    """Adds `problem`, which few rows have."""
    unread = (frame["_text"].is_not_null() & frame["_at"].is_null()).arg_true()
    problem = pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)
    if unread.len():
        problem = problem.scatter(unread, frame[unread].select(_problem(subject)).to_series())
    return frame.with_columns(problem.alias("problem"))


def _problem(subject: str) -> pl.Expr:
    why = (
        pl.when(is_placeholder("_text"))
        .then(pl.lit("is a placeholder"))
        .when(
            pl.any_horizontal(
                pl.col("_text").str.contains(p) for p in (_YEAR_FIRST, _COMPACT, _SLASHED, _DOTTED)
            )
        )
        .then(pl.lit("does not exist in the calendar or on the clock"))
        .otherwise(pl.lit("is in no known notation of dates"))
    )
    return complaint(subject, "_text", why)


def standardise_timestamps(frame: pl.DataFrame, day_first: bool = False) -> pl.DataFrame:
    """Columns [raw] -> adds timestamp (Datetime us, UTC) and problem.

    `day_first` reads 03/04/2024 as 3 April; without it as 4 March. A time without a zone is UTC; a date
    alone is midnight. Fractions beyond microseconds are cut.
    """
    return (
        _with_problems(_read(frame, day_first), "timestamp")
        .with_columns(timestamp=pl.col("_at"))
        .drop("_text", "_day", "_at")
    )


def standardise_dates(frame: pl.DataFrame, day_first: bool = False) -> pl.DataFrame:
    """Columns [raw] -> adds date (Date) and problem.

    Where the text has a time and an offset, the date is the one written, not the one in UTC.
    """
    return (
        _with_problems(_read(frame, day_first), "date")
        .with_columns(date=pl.col("_day"))
        .drop("_text", "_day", "_at")
    )

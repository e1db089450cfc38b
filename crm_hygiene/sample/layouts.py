"""Writing exports: times and amounts as the vendors print them, files, and rows that are broken.

What does not belong here: which columns a vendor has (the export modules).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from crm_hygiene.sample.draws import Ints, Mask, Rng, blank, hit, where

FAR_FUTURE = 9999


def salesforce_time(values: pl.Series) -> pl.Series:
    """`2024-05-01T10:20:30.000Z`."""
    return values.dt.to_string("%Y-%m-%dT%H:%M:%S.000Z")


def minute_time(values: pl.Series) -> pl.Series:
    """`2024-05-01 10:20`, as HubSpot's exports print it."""
    return values.dt.to_string("%Y-%m-%d %H:%M")


def iso_time(values: pl.Series) -> pl.Series:
    """`2024-05-01T10:20:30Z`."""
    return values.dt.to_string("%Y-%m-%dT%H:%M:%SZ")


def dates(days: Ints) -> pl.Series:
    """Days since 1970 as dates."""
    return pl.Series(days.astype(np.int32)).cast(pl.Date)


def money(minor: Ints, is_yen: Mask) -> pl.Series:
    """Minor units as text: two decimals, none for yen."""
    whole, sign = np.abs(minor), np.where(minor < 0, "-", "")
    head = pl.Series(np.where(is_yen, whole, whole // 100)).cast(pl.String)
    cents = "." + pl.Series(whole % 100).cast(pl.String).str.zfill(2)
    tail = where(is_yen, constant("", len(minor)), cents)
    return pl.Series(sign, dtype=pl.String) + head + tail


def bad_rows(rng: Rng, n: int, rate: float = 0.0003) -> Mask:
    """Rows to break: about `rate` of them, at least one where there are a hundred."""
    mask = hit(rng, n, rate)
    if n >= 100 and not mask.any():
        mask[int(rng.integers(0, n))] = True
    return mask


def without_id(rng: Rng, ids: pl.Series) -> pl.Series:
    """The record ids with a few missing."""
    return blank(bad_rows(rng, len(ids)), ids)


def in_far_future(rng: Rng, times: pl.Series) -> pl.Series:
    """Printed times with a few in the year 9999, as migrations leave them."""
    return where(bad_rows(rng, len(times)), f"{FAR_FUTURE}" + times.str.slice(4), times)


def yes_no(values: pl.Series) -> pl.Series:
    """`true` or `false`."""
    return where(values.to_numpy(), constant("true", len(values)), constant("false", len(values)))


def constant(value: str | None, n: int) -> pl.Series:
    """`n` times the same text."""
    return pl.Series([value], dtype=pl.String).new_from_index(0, n)


def stale_owners(rng: Rng, users: pl.Series, n: int) -> pl.Series:
    """Owners of `n` records; the first users have long left and still own an eighth of them."""
    left = max(1, len(users) // 5)
    gone = rng.integers(0, left, n)
    here = np.minimum(left + (rng.random(n) * (len(users) - left)).astype(np.int64), len(users) - 1)
    return users.gather(np.where(hit(rng, n, 0.125), gone, here))


def write_salesforce(frame: pl.DataFrame, path: Path, separator: str = ",") -> int:
    """Bulk API CSV: everything quoted, null as `#N/A`; returns the number of rows."""
    frame.write_csv(path, separator=separator, quote_style="always", null_value="#N/A")
    return len(frame)


def write_objects(frame: pl.DataFrame, path: Path, head: str, tail: str) -> int:
    """A JSON file with the rows as an array between `head` and `tail`; returns the number of rows."""
    lines = frame.write_ndjson().rstrip("\n").replace("\n", ",\n")
    path.write_text(f"{head}{lines}{tail}\n", encoding="utf-8", newline="\n")
    return len(frame)

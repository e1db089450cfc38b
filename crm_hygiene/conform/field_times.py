"""Change times of single fields, from the columns in which a source tells them.

A time stands beside a value that was last changed then, or beside an empty field that was emptied then.
Which times are believed is for survivorship to say.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.mapping import Mapping
from crm_hygiene.standardise import standardise_timestamps

PREFIX = "_changed_at_"


def raw_columns(frame: pl.DataFrame) -> list[str]:
    """Conformed columns of `frame` beside which it has a raw change time."""
    return sorted(c.removeprefix(PREFIX) for c in frame.columns if c.startswith(PREFIX))


def with_field_times(frame: pl.DataFrame, raw: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Add `field_times` to a standardised frame, and a line in `problems` for a time nobody can read.

    Parameters
    ----------
    frame
        standardised rows, with `problems`.
    raw
        the same rows before standardising: text columns, the change times as `_changed_at_<column>`.

    A time is left out where the text beside it was no value (a placeholder, an unreadable phone): that cell
    was not emptied on purpose.
    """
    columns = raw_columns(raw)
    if not columns:
        return frame
    times, problems = [], []
    for column in columns:
        stated = raw.select(raw=pl.col(f"{PREFIX}{column}"))
        read = standardise_timestamps(stated.unique(maintain_order=True), day_first=mapping.day_first)
        read = stated.join(
            read.select("raw", "timestamp"), on="raw", how="left", nulls_equal=True, maintain_order="left"
        )
        is_unread = read["timestamp"].is_null() & read["raw"].is_not_null()
        is_lost = frame[column].is_null() & raw[column].is_not_null()
        moment = read["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
        times.append(
            pl.DataFrame({"text": moment, "lost": is_lost})
            .select(pl.when(~pl.col("lost")).then(pl.format(f"{column}={{}}", "text")).alias(column))
            .to_series()
        )
        said = f"{column} changed_at: not a time"
        problems.append(
            is_unread.replace_strict({True: said}, default=None, return_dtype=pl.String).alias(column)
        )
    return frame.with_columns(
        field_times=pl.DataFrame(times).select(pl.concat_list(pl.all()).list.drop_nulls()).to_series(),
        problems=pl.concat_list(
            "problems",
            pl.lit(pl.DataFrame(problems).select(pl.concat_list(pl.all()).list.drop_nulls()).to_series()),
        ),
    )

"""Namesakes: how often a value is met on the records of others.

Agreement on a value is as telling as the value is rare on records of other entities (Fellegi and Sunter,
1969; Winkler, 1988). Counting records does not tell that: a value on ten records may be one entity's, ten
times. So the records of a value are compared by what nearly every entity has of its own, two by two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl


def _compared(frame: pl.DataFrame, column: str, told_apart_by: str) -> pl.DataFrame:
    """`column`, `pairs`, `apart`: pairs of records of a value, and how many differ in `told_apart_by`."""
    pairs = pl.col("n") * (pl.col("n") - 1) / 2
    return (
        frame.select(column, told_apart_by)
        .drop_nulls()
        .group_by(column, told_apart_by)
        .agg(pl.len().cast(pl.Float64).alias("n"))
        .group_by(column)
        .agg(alike=pairs.sum(), n=pl.col("n").sum())
        .select(column, pairs=pairs, apart=pairs - pl.col("alike"))
    )


def namesakes(
    frame: pl.DataFrame, column: str, told_apart_by: Sequence[str], most_values: int
) -> dict[str, Any]:
    """Share of the filled records that hold a value and are another entity's, for the commonest values.

    A value's pairs count on each column that both records have. One pair that agrees is taken to have been
    seen besides, so that a single pair proves little.

    Returns
    -------
    dict
        {"floor": 0.0, "values": {value: share}}; values that nobody shares, as far as known, are left out.
    """
    counted = frame.select(pl.col(column).drop_nulls()).group_by(column).agg(pl.len().alias("records"))
    total = int(counted["records"].sum() or 0)
    seen = pl.concat([_compared(frame, column, by) for by in told_apart_by])
    shared = (
        seen.group_by(column)
        .agg(apart=pl.col("apart").sum() / (pl.col("pairs").sum() + 1))
        .join(counted, on=column)
        .select(column, share=(pl.col("records") - 1) * pl.col("apart") / max(total, 1))
        .filter(pl.col("share") > 0)
        .sort(["share", column], descending=[True, False])
        .head(most_values)
    )
    return {
        "floor": 0.0,
        "values": {value: float(f"{share:.6g}") for value, share in sorted(shared.iter_rows())},
    }

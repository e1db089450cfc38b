"""The one shape in which every reader hands rows on: vendor columns, row number, everything else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from crm_hygiene.contract import nearest
from crm_hygiene.errors import FileRefused
from crm_hygiene.mapping import HeaderMatch, Mapping


def accept_header(path: Path, header: list[str], mapping: Mapping, warnings: list[str]) -> HeaderMatch:
    """Match a header and say in `warnings` what is odd about it.

    Raises
    ------
    FileRefused
        if a required column is missing, or a column is neither mapped nor ignored and the mapping
        refuses those.
    """
    match = mapping.match_header(header, str(path))
    if match.missing_required:
        missing = ", ".join(match.missing_required)
        hint = nearest(match.missing_required[0], header)
        raise FileRefused(
            f"{path}: required column missing: {missing}{hint}; the header is: {_some(header)}; "
            f"export it with that column, or change the mapping of {mapping.source}"
        )
    if match.unknown and mapping.unknown_columns == "refuse":
        raise FileRefused(
            f"{path}: columns that the mapping of {mapping.source} neither uses nor ignores: "
            f"{_some(match.unknown)}{nearest(match.unknown[0], mapping.vendor_columns)}; "
            "map them, list them under `ignore`, or set `unknown_columns: warn`"
        )
    if match.unknown:
        warnings.append(f"columns neither mapped nor ignored, kept in `extra`: {_some(match.unknown)}")
    return match


def warn_of_absent(match: HeaderMatch, mapping: Mapping, warnings: list[str]) -> None:
    """Note what no column of the file feeds: it stays empty, which may not be meant."""
    have = set(match.columns)
    silent = []
    for block in mapping.blocks:
        if not all(c.column in have for c in block.when if c.in_ or c.filled):
            silent.append(f"{block.table} where {' and '.join(c.column for c in block.when)}")
            continue
        silent += [
            f"{block.table}.{name}"
            for name, expression in block.columns.items()
            if expression.columns and not have & set(expression.columns)
        ]
    if silent:
        warnings.append(f"the file has no columns for {_some(silent)}")


def _some(names: Iterable[str], limit: int = 40) -> str:
    listed = list(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more


def shape_batch(
    raw: pl.DataFrame, match: HeaderMatch, mapping: Mapping, first_row: int | pl.Series
) -> pl.DataFrame:
    """Raw String columns under the file's headers become vendor columns, `row_number` and `extra`.

    `first_row` is the ordinal of the first row, or the ordinals of all rows as Int64. Empty cells and
    the mapping's `nulls` become null in the vendor columns; `extra` leaves empty cells out and keeps
    the rest as it came.
    """
    no_value = ["", *mapping.nulls]
    used = [
        (
            pl.when(~pl.col(match.columns[c]).is_in(no_value)).then(pl.col(match.columns[c]))
            if c in match.columns
            else pl.lit(None, dtype=pl.String)
        ).alias(c)
        for c in mapping.vendor_columns
    ]
    taken = set(match.columns.values())
    others = [c for c in raw.columns if c not in taken]
    if others:  # skipping columns without a value is what keeps layouts of hundreds of columns cheap
        filled = raw.select(((pl.col(c) != "").any()).alias(c) for c in others).row(0)
        others = [c for c, has_value in zip(others, filled, strict=True) if has_value]
    numbers = (
        pl.int_range(first_row, first_row + raw.height, dtype=pl.Int64, eager=True)
        if isinstance(first_row, int)
        else first_row
    )
    shaped = raw.with_columns(used).select(mapping.vendor_columns)
    return shaped.with_columns(row_number=numbers, extra=_extra(raw, others))


def _extra(raw: pl.DataFrame, columns: list[str]) -> pl.Series:
    if not columns:
        return pl.Series([None], dtype=pl.String).new_from_index(0, raw.height)
    cells = []
    for name in columns:
        pair = pl.struct(pl.col(name).alias(name)).struct.json_encode()
        # `{"name":"value"}` without its braces; null where the cell is empty.
        cells.append(pl.when(pl.col(name) != "").then(pair.str.head(-1).str.tail(-1)))
    joined = pl.concat_str(cells, separator=",", ignore_nulls=True)
    return raw.select(
        pl.when(joined != "").then(pl.concat_str([pl.lit("{"), joined, pl.lit("}")])).alias("extra")
    ).to_series()

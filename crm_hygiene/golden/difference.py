"""Which golden cells differ between two builds, by table and column.

What does not belong here: why they differ (`golden.provenance` tells where a cell came from).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from crm_hygiene.contract import Contract

EXAMPLES = 3


@dataclass(frozen=True)
class TableDifference:
    """One table's difference.

    Attributes
    ----------
    cell_count
        filled cells of the first build, its key left out.
    changed_cells
        cells of rows in both builds that differ, and the filled cells of rows that go.
    gone_rows, new_rows
        rows only the first, only the second build has.
    columns
        column -> cells that differ in rows of both builds, the most first.
    examples
        `column`, `key`, `before`, `after`: a few cells of each column that differs.
    """

    table: str
    row_count: int
    cell_count: int
    changed_cells: int
    gone_rows: int
    new_rows: int
    columns: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)


def table_difference(contract: Contract, before: pl.DataFrame, after: pl.DataFrame) -> TableDifference:
    """Compare two builds of one golden table, row by row through its key.

    Cells are equal when their values are, an empty cell only to an empty one.
    """
    key = list(contract.key)
    compared = [name for name in contract.column_names if name not in key]
    before, after = contract.shape(before), contract.shape(after)
    filled = pl.sum_horizontal(pl.col(c).is_not_null() for c in compared)
    gone = before.join(after.select(key), on=key, how="anti", nulls_equal=True)
    # Most rows are equal; only those whose hashes differ are laid side by side.
    told = pl.struct(compared).hash()
    shared = before.select(*key, told.alias("\x1fold")).join(
        after.select(*key, told.alias("\x1fnew")), on=key, how="inner", nulls_equal=True
    )
    unequal = shared.filter(pl.col("\x1fold") != pl.col("\x1fnew")).select(key)
    both = before.join(unequal, on=key, how="semi", nulls_equal=True).join(
        after, on=key, how="inner", nulls_equal=True, suffix="\x1fafter"
    )
    differs = {c: pl.col(c).ne_missing(pl.col(f"{c}\x1fafter")) for c in compared}
    counted = both.select(d.sum().alias(c) for c, d in differs.items())
    counts = {c: int(n or 0) for c, n in counted.row(0, named=True).items()} if both.height else {}
    columns = dict(sorted(((c, n) for c, n in counts.items() if n), key=lambda item: (-item[1], item[0])))
    examples = []
    for column in columns:
        rows = both.filter(differs[column]).sort(key).head(EXAMPLES)
        for row in rows.select(*key, column, f"{column}\x1fafter").iter_rows():
            examples.append(
                {
                    "column": column,
                    "key": " ".join("" if part is None else str(part) for part in row[: len(key)]),
                    "before": row[-2],
                    "after": row[-1],
                }
            )
    return TableDifference(
        table=contract.table,
        row_count=before.height,
        cell_count=int(before.select(filled.sum()).item() or 0),
        changed_cells=sum(columns.values()) + int(gone.select(filled.sum()).item() or 0),
        gone_rows=gone.height,
        new_rows=after.height - shared.height,
        columns=columns,
        examples=examples,
    )

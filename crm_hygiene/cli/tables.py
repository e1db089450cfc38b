"""Frames and figures as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def table(title: str | None, columns: Iterable[tuple[str, str]], rows: Iterable[Iterable[object]]) -> Table:
    """A plain table; `columns` are (heading, 'left' or 'right')."""
    drawn = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, side in columns:
        drawn.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(_text(cell) for cell in row))
    return drawn


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, list):
        return ", ".join(str(c) for c in cell)
    return str(cell)


def _widths(columns: list[str], rows: list[list[str]]) -> int:
    """Characters a table of these cells needs, with two blanks between columns."""
    return sum(max(len(name), *(len(row[i]) for row in rows)) + 2 for i, name in enumerate(columns))


def show_frame(frame: pl.DataFrame, console: Console, limit: int) -> None:
    """Print up to `limit` rows, and how many there are; rows too wide for the terminal one cell a line."""
    if frame.width == 0:
        console.print("done")
        return
    columns = frame.columns
    rows = [[_text(cell) for cell in row] for row in frame.head(limit).iter_rows()]
    if rows and _widths(columns, rows) > console.width:
        label = max(len(name) for name in columns)
        for number, row in enumerate(rows, start=1):
            console.print(f"[dim]-- {number} --[/dim]")
            for name, cell in zip(columns, row, strict=True):
                console.print(f"{name:>{label}}  {escape(cell)}", highlight=False, soft_wrap=True)
    else:
        sides = ["right" if dtype.is_numeric() else "left" for dtype in frame.dtypes]
        # Brackets in data are data: rich must not read them as styles.
        escaped = ([escape(cell) for cell in row] for row in rows)
        console.print(table(None, zip(columns, sides, strict=True), escaped))
    more = frame.height - limit
    console.print(f"{frame.height:,} rows" + (f", {more:,} more not shown (--limit)" if more > 0 else ""))

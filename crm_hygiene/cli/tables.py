"""Frames and figures as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
from rich import box
from rich.console import Console
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


def show_frame(frame: pl.DataFrame, console: Console, limit: int) -> None:
    """Print up to `limit` rows, and how many there are."""
    if frame.width == 0:
        console.print("done")
        return
    numeric = [dtype.is_numeric() for dtype in frame.dtypes]
    # Markup in data is data: rich must not read brackets as styles.
    rows = (
        [_text(c).replace("[", r"\[") if not isinstance(c, int) else c for c in row]
        for row in frame.head(limit).iter_rows()
    )
    console.print(
        table(
            None, [(c, "right" if n else "left") for c, n in zip(frame.columns, numeric, strict=True)], rows
        )
    )
    more = frame.height - limit
    console.print(f"{frame.height:,} rows" + (f", {more:,} more not shown (--limit)" if more > 0 else ""))

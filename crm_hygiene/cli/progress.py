"""Progress of a night on the terminal: a line per step, to standard error."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape

STEP_NAMES = {
    "link": "linking people and organisations",
    "charts__linkage": "drawing charts of the linkage",
    "golden": "choosing golden values",
    "reconcile": "reconciling the bank with invoices",
    "signal": "scoring leads and relationships",
    "plan_writeback": "planning write-back",
    "catalog__duckdb": "replacing the catalog",
    "quality__metrics": "measuring quality",
}


class Progress:
    """Prints when a step starts, with the seconds since the night began."""

    def __init__(self, console: Console, is_quiet: bool) -> None:
        self.console = console
        self.is_quiet = is_quiet
        self.is_landing = False
        self.started = time.monotonic()

    def __enter__(self) -> Progress:
        if not self.is_quiet:
            self.console.print("[dim]starting the night …[/dim]")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def step(self, step: str, text: str) -> None:
        """`text` is empty as a step starts; what it tells is in Dagster's log, warnings in the summary."""
        name = STEP_NAMES.get(step)
        if step.startswith("landing__"):
            name = None if self.is_landing else "landing files"
            self.is_landing = True
        elif step.startswith("conform_"):
            name = step.replace("conform_", "conforming ").replace("_", " ")
        if self.is_quiet or text or name is None:
            return
        self.console.print(
            f"[dim]{time.monotonic() - self.started:6.1f} s[/dim]  {escape(name)}", highlight=False
        )

"""Progress of a night on the terminal: a line per step, to standard error.

On a terminal the step that runs stands below with what it is doing; elsewhere (a file, a pipe) what long
steps tell becomes lines of its own.
"""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.status import Status

# A file or a pipe gets no line sooner after the last one, so that a short night stays short to read.
_LINE_SECONDS = 2.0

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


def _name_of(step: str) -> str | None:
    if step.startswith("landing__"):
        return "landing files"
    if step.startswith("conform_"):
        return step.replace("conform_", "conforming ").replace("_", " ")
    return STEP_NAMES.get(step)


class Progress:
    """Prints each step with the seconds since the night began, and what a long step tells of itself."""

    def __init__(self, console: Console, is_quiet: bool) -> None:
        self.console = console
        self.is_quiet = is_quiet
        self.said: set[str] = set()
        self.started = time.monotonic()
        self.last_line = 0.0
        self.status: Status | None = None

    def __enter__(self) -> Progress:
        if not self.is_quiet:
            self.console.print("[dim]starting the night …[/dim]")
            if self.console.is_terminal:
                self.status = self.console.status("", spinner="dots", refresh_per_second=4)
                self.status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.status is not None:
            self.status.stop()
        if not self.is_quiet and kind is None:
            self._line("the night is over")

    def _line(self, text: str) -> None:
        self.last_line = time.monotonic()
        self.console.print(
            f"[dim]{time.monotonic() - self.started:6.1f} s[/dim]  {escape(text)}", highlight=False
        )

    def step(self, step: str, text: str) -> None:
        """A step starts (`text` is empty), or tells what it is doing.

        What a step did is in Dagster's log, its warnings are in the summary.
        """
        if self.is_quiet:
            return
        if not text:
            name = _name_of(step)
            if name is not None and name not in self.said:
                self.said.add(name)
                self._line(name)
            if self.status is not None:
                self.status.update("")
        elif self.status is not None:
            self.status.update(f"[dim]{escape(text)}[/dim]")
        elif time.monotonic() - self.last_line >= _LINE_SECONDS:
            self._line(f"  {text}")

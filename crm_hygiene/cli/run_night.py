"""Running a night on the terminal: its progress, what came of it, the exit code."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.progress import Progress
from crm_hygiene.cli.summary import show_summary
from crm_hygiene.config import Config
from crm_hygiene.errors import ConfigurationError, NightInterrupted
from crm_hygiene.garbage import few_collections
from crm_hygiene.night import Night
from crm_hygiene.summary import summarise


def _orchestrator() -> Callable[..., Any]:
    """The function that runs a night; the domain finds it by entry point and never imports it."""
    found = list(entry_points(group="crm_hygiene.orchestrators"))
    if not found:
        raise ConfigurationError(
            "no orchestrator is installed; `pip install -e .` in the project installs Dagster's"
        )
    loaded: Callable[..., Any] = found[0].load()
    return loaded


def run_night(settings: Config, config_path: Path | None, *, as_json: bool, is_quiet: bool) -> None:
    """Run the night, tell of it, and leave with its exit code."""
    opened = Night.open(settings)  # a wrong mapping stops here, before anything is written
    console = Console(stderr=True)
    started_at = datetime.now(UTC)
    try:
        with Progress(console, is_quiet=is_quiet or as_json) as progress, few_collections():
            outcome = _orchestrator()(config_path, progress.step)
    except KeyboardInterrupt as error:
        said = "crm-hygiene: interrupted; published tables stay as they are, the next run goes on from them"
        typer.echo(said, err=True)
        # As a shell tells it: 130 after Ctrl-C, 143 after SIGTERM.
        number = error.signal if isinstance(error, NightInterrupted) else signal.SIGINT
        raise typer.Exit(128 + number) from None
    night = replace(opened, run_id=outcome.run_id, started_at=started_at)
    summary = summarise(night, outcome.is_success, outcome.failures, outcome.notes)
    if as_json:
        print_json(summary.as_json())
    else:
        show_summary(summary, Console())
    raise typer.Exit(0 if outcome.is_success else 1)

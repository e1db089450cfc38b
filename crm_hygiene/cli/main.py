"""`crm-hygiene`: the front door.

Exit code 0 done, 1 a gate or guard stopped it, 2 bad usage or configuration, 130 or 143 told to end.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console

import crm_hygiene.cli.writeback_delivery  # noqa: F401 - adds its commands to `writeback`
from crm_hygiene.catalog_query import query as query_catalog
from crm_hygiene.cli.doctor import examine
from crm_hygiene.cli.evaluate import evaluate_command
from crm_hygiene.cli.explain import explain
from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.model import app as model_app
from crm_hygiene.cli.options import ConfigOption, JsonOption
from crm_hygiene.cli.pin import app as pin_app
from crm_hygiene.cli.progress import Progress
from crm_hygiene.cli.review import app as review_app
from crm_hygiene.cli.status import show_status, status_of
from crm_hygiene.cli.summary import show_summary
from crm_hygiene.cli.tables import show_frame
from crm_hygiene.cli.upkeep import upkeep
from crm_hygiene.cli.writeback import app as writeback_app
from crm_hygiene.config import load_config
from crm_hygiene.errors import ConfigurationError, HygieneError, NightInterrupted
from crm_hygiene.garbage import few_collections
from crm_hygiene.lake_copies import fetch_catalog
from crm_hygiene.lake_options import lake_of
from crm_hygiene.night import Night
from crm_hygiene.summary import summarise

app = typer.Typer(
    name="crm-hygiene",
    help="The nightly cure for dirty revenue data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(explain)
app.add_typer(model_app)
app.command()(upkeep)
app.command("evaluate")(evaluate_command)
app.add_typer(review_app)
app.add_typer(pin_app)
app.add_typer(writeback_app)


def _orchestrator() -> Callable[..., Any]:
    """The function that runs a night; the domain finds it by entry point and never imports it."""
    found = list(entry_points(group="crm_hygiene.orchestrators"))
    if not found:
        raise ConfigurationError(
            "no orchestrator is installed; `pip install -e .` in the project installs Dagster's"
        )
    loaded: Callable[..., Any] = found[0].load()
    return loaded


@app.command()
def sample(
    out: Annotated[Path, typer.Option("--out", help="Folder to write landing/ and truth/ to.")] = Path(),
    people: Annotated[int, typer.Option("--people", min=1, help="True persons behind the records.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same bytes.")] = 7,
    as_json: JsonOption = False,
) -> None:
    """Write seeded exports in true vendor layouts, with truth files beside them."""
    from crm_hygiene.sample import generate

    counts = generate(out, people, seed)
    rows = counts.rows
    if as_json:
        print_json(rows)
        return
    typer.echo(
        f"{sum(rows.values()):,} rows in {len(rows)} files below {out}, seed {seed}; truth in {out / 'truth'}"
    )


@app.command()
def run(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, for cron.")] = False,
) -> None:
    """Run the night and tell what changed and why."""
    settings = load_config(config)
    opened = Night.open(settings)  # a wrong mapping stops here, before anything is written
    console = Console(stderr=True)
    started_at = datetime.now(UTC)
    try:
        with Progress(console, is_quiet=quiet or as_json) as progress, few_collections():
            outcome = _orchestrator()(config, progress.step)
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


@app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Last runs, gates that failed, freshness, queues."""
    found = status_of(Night.open(load_config(config)))
    if as_json:
        print_json(found)
    else:
        show_status(found, Console())


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help='SQL on the catalog, e.g. "select * from golden.contacts".')],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows to print.")] = 40,
) -> None:
    """Run SQL on the catalog, read-only."""
    settings = load_config(config)
    fetch_catalog(settings, lake_of(settings))
    frame = query_catalog(settings.catalog_path, sql)
    if as_json:
        print_json(frame.to_dicts())
    else:
        show_frame(frame, Console(), limit)


@app.command()
def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check configuration, sources, dependencies, landing folder and lake."""
    findings = examine(config)
    if as_json:
        print_json([f.__dict__ for f in findings])
    else:
        for finding in findings:
            mark = {"ok": "ok  ", "warning": "note", "error": "FAIL"}[finding.state]
            typer.echo(f"{mark}  {finding.subject}: {finding.text}")
    raise typer.Exit(2 if any(f.state == "error" for f in findings) else 0)


def main() -> None:
    """Entry point: errors a user can act on are one message and an exit code, never a traceback."""
    pl.Config.set_tbl_hide_dataframe_shape(True)
    try:
        app(standalone_mode=True)
    except ConfigurationError as error:
        typer.echo(f"crm-hygiene: {error}", err=True)
        sys.exit(2)
    except HygieneError as error:
        typer.echo(f"crm-hygiene: {error}", err=True)
        sys.exit(1)

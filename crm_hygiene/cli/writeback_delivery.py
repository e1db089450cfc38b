"""`crm-hygiene writeback apply, status, undo, retry, unpark`: sending to the targets, and what came of it.

What does not belong here: the plan (`writeback`), and sending itself (`crm_hygiene.writeback.delivery`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from crm_hygiene.cli.acting import acting
from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.options import ByOption, ConfigOption, JsonOption
from crm_hygiene.cli.writeback import app
from crm_hygiene.cli.writeback_delivery_text import show_reports, show_standings, show_undo
from crm_hygiene.config import load_config
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.night import Night
from crm_hygiene.writeback.delivery.apply import Delivery
from crm_hygiene.writeback.delivery.approval import Approval
from crm_hygiene.writeback.delivery.dispatch import Watcher, say_nothing
from crm_hygiene.writeback.delivery.repair import retry, unpark
from crm_hygiene.writeback.delivery.report import Report
from crm_hygiene.writeback.delivery.session import (
    locked_log,
    new_apply_id,
    open_delivery,
    policy_of,
    population_of,
    preview,
    read_changes,
    read_log,
    sendable_targets,
)
from crm_hygiene.writeback.delivery.standing import standing_of
from crm_hygiene.writeback.delivery.undo import last_apply

TargetOption = Annotated[str | None, typer.Option("--target", help="Only this target; default: all.")]


def _targets(night: Night, target: str | None) -> list[str]:
    if target is not None:
        policy_of(night, target)
        return [target]
    found = sendable_targets(night)
    if not found:
        raise ConfigurationError("no target of hygiene.yaml has a connector: all of them only plan")
    return found


def _only_target(config: Path | None, target: str | None) -> tuple[Night, str]:
    """The project's night, and the target that was named or the only one there is a log of."""
    night = Night.open(load_config(config))
    found = _targets(night, target)
    logged = [name for name in found if read_log(night, policy_of(night, name)).entries]
    if len(found) == 1 or len(logged) == 1:
        return night, (logged or found)[0]
    raise ConfigurationError(f"say which with --target: {', '.join(logged or found)}")


@contextmanager
def _progress(target: str, is_quiet: bool) -> Iterator[Watcher]:
    """A bar on the terminal, on standard error; nothing where that is none."""
    console = Console(stderr=True)
    if is_quiet or not console.is_terminal:
        yield say_nothing
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(target, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _watched(night: Night, target: str, prefix: str, is_quiet: bool) -> Iterator[Delivery]:
    """A target for one apply or undo, with a bar."""
    with (
        _progress(target, is_quiet) as watch,
        open_delivery(night, target, new_apply_id(prefix), watch) as delivery,
    ):
        yield delivery


@app.command("apply")
def apply_command(
    target: TargetOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Most operations to send.")] = None,
    is_approved: Annotated[
        bool, typer.Option("--approve", help="Let this plan go though it is larger than the policy allows.")
    ] = False,
    why: Annotated[str | None, typer.Option("--why", "--reason", help="Why it may go.")] = None,
    by: ByOption = None,
    is_dry: Annotated[bool, typer.Option("--dry-run", help="Tell what would be sent; send nothing.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send what is planned. What was sent before is not sent again, whatever ended the last apply."""
    night = Night.open(load_config(config))
    approval = None
    if is_approved:
        reason = (why or "").strip()
        if not reason:
            raise ConfigurationError("--approve needs --why: the reason is kept with the approval")
        approval = Approval(acting(by), reason)
    reports: list[Report] = []
    for name in _targets(night, target):
        if is_dry:
            reports.append(preview(night, name))
            continue
        changes, population = read_changes(night, name), population_of(night, name)
        with _watched(night, name, "A", as_json) as delivery:
            reports.append(delivery.apply(changes, population, limit, approval))
    if as_json:
        print_json([asdict(report) for report in reports])
    else:
        show_reports(reports, Console(), is_dry)
    raise typer.Exit(1 if any(report.is_stopped for report in reports) else 0)


@app.command("status")
def status_command(
    target: TargetOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Per target: planned, delivered, confirmed, dead letters, breaker, what is left of today's budget."""
    night = Night.open(load_config(config))
    now = datetime.now(UTC)
    standings = []
    for name in _targets(night, target):
        policy = policy_of(night, name)
        log = read_log(night, policy)
        standings.append(standing_of(night.lake, policy, log, read_changes(night, name).height, now))
    if as_json:
        print_json([asdict(standing) for standing in standings])
    else:
        show_standings(standings, Console())


@app.command("collect")
def collect_command(
    target: TargetOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Read the result files of targets that are written to as files; apply does it too."""
    night = Night.open(load_config(config))
    found = {}
    for name in _targets(night, target):
        with open_delivery(night, name, new_apply_id()) as delivery:
            found[name] = delivery.collect()
    if as_json:
        print_json(found)
    else:
        for name, count in found.items():
            typer.echo(f"{name}: {count:,} new answers")


@app.command("undo")
def undo_command(
    apply_id: Annotated[str | None, typer.Option("--apply", help="Which apply; default: the last.")] = None,
    target: TargetOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take an apply back where the target still holds what we wrote; the rest is listed with reasons."""
    night, name = _only_target(config, target)
    with _watched(night, name, "U", as_json) as delivery:
        chosen = apply_id or last_apply(delivery.log)
        report = delivery.undo(chosen)
    if as_json:
        print_json({"undoes": chosen, **asdict(report)})
    else:
        show_undo(report, chosen, Console())
    raise typer.Exit(1 if report.is_stopped else 0)


@app.command("retry")
def retry_command(
    operation_id: Annotated[
        str | None, typer.Option("--id", help="Only this operation, or its first characters.")
    ] = None,
    target: TargetOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let dead letters go with the next apply, once what stopped them is mended."""
    night, name = _only_target(config, target)
    with locked_log(night, name) as log:
        count = retry(log, new_apply_id("R"), datetime.now(UTC), operation_id)
    if as_json:
        print_json({"target": name, "retried": count})
    else:
        typer.echo(f"{name}: {count:,} dead letters go with the next apply")


@app.command("unpark")
def unpark_command(
    object_name: Annotated[str | None, typer.Option("--object", help="Only fields of this object.")] = None,
    record_id: Annotated[str | None, typer.Option("--record", help="Only fields of this record.")] = None,
    column: Annotated[str | None, typer.Option("--field", help="Only this field.")] = None,
    target: TargetOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let parked and undone fields go: the next night may plan them again."""
    night, name = _only_target(config, target)
    with locked_log(night, name) as log:
        count = unpark(log, new_apply_id("R"), datetime.now(UTC), object_name, record_id, column)
    if as_json:
        print_json({"target": name, "unparked": count})
    else:
        typer.echo(f"{name}: {count:,} fields let go; the next night plans them")

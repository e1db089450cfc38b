"""`crm-hygiene upkeep`: compact, vacuum and shorten logs, or say what that would do."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.options import ConfigOption, JsonOption
from crm_hygiene.cli.tables import table
from crm_hygiene.config import load_config
from crm_hygiene.lake_options import lake_of
from crm_hygiene.night_lock import night_lock
from crm_hygiene.upkeep import Holding, TableUpkeep, keep_up


def upkeep(
    config: ConfigOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Tidy the lake: few files, short logs, nothing that no night needs any more."""
    settings = load_config(config)
    lake = lake_of(settings)
    now = datetime.now(UTC)
    if dry_run:
        done = keep_up(lake, settings.upkeep, now, is_dry_run=True)
    else:
        with night_lock(lake.uri, lake.storage_options):
            done = keep_up(lake, settings.upkeep, now)
    if as_json:
        print_json([asdict(found) for found in done])
    else:
        _show(done, dry_run, Console())


def _size(holding: Holding) -> str:
    return f"{holding.all_files:,} / {holding.all_bytes / 1024**2:,.1f} MB"


def _work(found: TableUpkeep) -> str:
    parts = ["compacted"] if found.is_compacted else []
    parts += [f"{found.vacuumed_files:,} old files"] if found.vacuumed_files else []
    parts += [f"{found.removed_log_files:,} log files"] if found.removed_log_files else []
    return ", ".join(parts)


def _show(done: list[TableUpkeep], is_dry_run: bool, console: Console) -> None:
    touched = [found for found in done if not found.is_tidy]
    if touched:
        console.print(
            table(
                "What upkeep would do" if is_dry_run else "What upkeep did",
                [("table", "left"), ("before", "right"), ("after", "right"), ("work", "left")],
                (
                    (
                        found.table,
                        _size(found.before),
                        _size(found.after) if found.after else "",
                        _work(found),
                    )
                    for found in touched
                ),
            )
        )
    console.print(f"{len(done) - len(touched)} of {len(done)} tables need nothing. Files / bytes on disk.")

"""`crm-hygiene run`: the night."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Annotated

import typer

from crm_hygiene.cli.options import ConfigOption, JsonOption
from crm_hygiene.config import load_config


def run(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, for cron.")] = False,
) -> None:
    """Run the night and tell what changed and why."""
    settings = load_config(config)
    for beginning in entry_points(group="crm_hygiene.orchestrator_beginnings"):
        beginning.load()(settings)
    # Only now: it takes seconds, in which what was begun imports on another core.
    from crm_hygiene.cli.run_night import run_night

    run_night(settings, config, as_json=as_json, is_quiet=quiet)

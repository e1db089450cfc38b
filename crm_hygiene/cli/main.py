"""`crm-hygiene`: the front door.

Exit code 0 done, 1 a gate or guard stopped it, 2 bad usage or configuration, 130 or 143 told to end.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from crm_hygiene.errors import ConfigurationError, HygieneError

# Command -> the function or the group of commands, by module, in the order in which help lists them.
_COMMANDS = {
    "explain": "crm_hygiene.cli.explain:explain",
    "upkeep": "crm_hygiene.cli.upkeep:upkeep",
    "evaluate": "crm_hygiene.cli.evaluate:evaluate_command",
    "sample": "crm_hygiene.cli.sample:sample",
    "run": "crm_hygiene.cli.run:run",
    "status": "crm_hygiene.cli.status:status",
    "query": "crm_hygiene.cli.query:query",
    "doctor": "crm_hygiene.cli.doctor:doctor",
    "columns": "crm_hygiene.cli.columns:columns",
    "model": "crm_hygiene.cli.model:app",
    "review": "crm_hygiene.cli.review:app",
    "pin": "crm_hygiene.cli.pin:app",
    "writeback": "crm_hygiene.cli.writeback_delivery:app",
}


class _CommandsOnDemand(TyperGroup):
    """A group that imports a command when it is asked for: all of them take seconds."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, in the order of the help."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command by its name; None if there is none."""
        # For a word that is none, Typer looks for the nearest among all that are there.
        wanted = [cmd_name] if cmd_name in _COMMANDS else _COMMANDS
        for name in wanted:
            if name not in self.commands:
                module, attribute = _COMMANDS[name].split(":")
                self.commands[name] = _command(name, getattr(import_module(module), attribute))
        return self.commands.get(cmd_name)


def _command(name: str, found: Any) -> Any:
    if isinstance(found, typer.Typer):
        return get_group(found)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name)(found)
    return get_command(alone)


app = typer.Typer(
    name="crm-hygiene",
    cls=_CommandsOnDemand,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def crm_hygiene() -> None:
    """The nightly cure for dirty revenue data."""


def main() -> None:
    """Entry point: errors a user can act on are one message and an exit code, never a traceback."""
    try:
        app(standalone_mode=True)
    except ConfigurationError as error:
        typer.echo(f"crm-hygiene: {error}", err=True)
        sys.exit(2)
    except HygieneError as error:
        typer.echo(f"crm-hygiene: {error}", err=True)
        sys.exit(1)

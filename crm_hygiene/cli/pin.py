"""`crm-hygiene pin`: a steward's word on one golden cell, and taking it back."""

from __future__ import annotations

from typing import Annotated

import polars as pl
import typer
from rich.console import Console
from rich.markup import escape

from crm_hygiene.cli.acting import acting
from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.options import ByOption, ConfigOption, JsonOption
from crm_hygiene.config import load_config
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.night import Night
from crm_hygiene.night_lock import night_lock
from crm_hygiene.survivorship.pinning import list_pins, revoke_pin, set_pin

app = typer.Typer(
    name="pin",
    help="Pin a golden field to a value, whatever the sources say; list pins; take one back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command("set")
def set_command(
    entity: Annotated[str, typer.Argument(help="An entity (P-..., O-...) or a record, source:record_id.")],
    field: Annotated[str, typer.Argument(help="The golden field: email, job_title, family_name...")],
    value: Annotated[str | None, typer.Argument(help="What it shall say; leave it out with --empty.")] = None,
    why: Annotated[str, typer.Option("--why", help="The reason; it is shown wherever the value is.")] = "",
    is_empty: Annotated[bool, typer.Option("--empty", help="The field shall say nothing.")] = False,
    by: ByOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pin a field of a person or organisation to a value, from the next night on.

    A column of a group (a name, an address) pins the group: its other columns stay as they are now.
    """
    text = (value or "").strip() or None
    if (text is None) != is_empty:
        raise ConfigurationError("give a value, or --empty to pin that there is none")
    if not why.strip():
        raise ConfigurationError("say --why: whoever meets the value later wants to know")
    night = Night.open(load_config(config))
    with night_lock(night.config.lake_uri, night.lake.storage_options):
        done = set_pin(night, entity, field, text, why.strip(), acting(by))
    if as_json:
        print_json(
            {
                "entity_id": done.entity.entity_id,
                "field": done.field,
                "before": done.before,
                "value": done.value,
                "overridden": list(done.overridden),
                "added": done.rows.to_dicts(),
            }
        )
        return
    if done.rows.is_empty():
        typer.echo(f"{done.entity.entity_id} {field}: pinned to that already, nothing to do")
        return
    typer.echo(
        f"{done.entity.entity_id} {field}: "
        f"{_said(done.before)} becomes {_said(done.value)} with the next night"
    )
    others = [c for c in done.rows["column_name"] if c != field]
    if others:
        typer.echo(f"pinned with it, as it is now: {', '.join(others)}")
    for pin_id in done.overridden:
        typer.echo(f"it takes the place of pin {pin_id}")
    typer.echo(f"to take it back: crm-hygiene pin revoke {done.rows['pin_id'][0]}")


def _said(value: str | None) -> str:
    return "nothing" if value is None else f"'{value}'"


@app.command("list")
def list_command(
    entity: Annotated[
        str | None, typer.Argument(help="Only this entity (P-..., O-...) or record (source:record_id).")
    ] = None,
    is_all: Annotated[
        bool, typer.Option("--all", help="Also what was revoked or overridden, and the revocations.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The pins that hold, the newest first: what, who, when and why."""
    night = Night.open(load_config(config))
    every = list_pins(night, entity)
    shown = every if is_all else every.filter(pl.col("state").is_in(["binds", "asleep"]))
    if as_json:
        print_json(shown.to_dicts())
        return
    if shown.is_empty():
        typer.echo("no pins" if every.is_empty() else f"no pin holds; {every.height} rows with --all")
        return
    console = Console()
    for (pin_id,), rows in shown.group_by("pin_id", maintain_order=True):
        first = rows.row(0, named=True)
        entity_id, state = first["now"] or first["entity_id"], first["state"]
        about = f"revokes {first['revokes']}" if first["revokes"] else f"{state}, {entity_id}"
        when = f"{first['decided_at']:%Y-%m-%d %H:%M} by {first['decided_by']}"
        console.print(
            escape(f"{pin_id}  {about}, {when}: {first['reason'] or 'no reason given'}"), soft_wrap=True
        )
        if not first["revokes"]:
            for column, value in rows.select("column_name", "value").iter_rows():
                console.print(escape(f"    {column}: {_said(value)}"), highlight=False, soft_wrap=True)


@app.command("revoke")
def revoke_command(
    pin: Annotated[str, typer.Argument(help="A pin (N-...), or its first characters.")],
    why: Annotated[str | None, typer.Option("--why", help="The reason, kept with the revocation.")] = None,
    by: ByOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a pin back; from the next night on the field is chosen by the rules, or by an older pin."""
    night = Night.open(load_config(config))
    with night_lock(night.config.lake_uri, night.lake.storage_options):
        rows, is_new = revoke_pin(night, pin, (why or "").strip() or None, acting(by))
    if as_json:
        print_json({"pin": rows.to_dicts(), "is_new": is_new})
        return
    fields = ", ".join(rows["column_name"])
    typer.echo(
        f"{rows['pin_id'][0]} ({rows['entity_id'][0]} {fields}) "
        + ("is taken back, from the next night on" if is_new else "had been taken back before")
    )

"""`crm-hygiene columns`: what a source mapping may fill."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.options import JsonOption
from crm_hygiene.cli.tables import table as drawn
from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.mapping_file import mapped_columns, mapped_tables, needed_columns


def columns(
    table: Annotated[str | None, typer.Argument(help="A conformed table, e.g. people.")] = None,
    as_json: JsonOption = False,
) -> None:
    """What a source mapping may fill: the tables, or the columns of one of them with type and meaning."""
    if table is None:
        tables = [(name, contract_of(f"conformed.{name}")) for name in mapped_tables()]
        if as_json:
            print_json([{"table": name, "grain": c.grain, "meaning": c.meaning} for name, c in tables])
        else:
            rows = [(name, escape(c.meaning), escape(c.grain)) for name, c in tables]
            Console().print(drawn(None, [("table", "left"), ("meaning", "left"), ("grain", "left")], rows))
            typer.echo("`crm-hygiene columns people` tells the columns of a table.")
        return
    name = table.removeprefix("conformed.")
    if name not in mapped_tables():
        raise ConfigurationError(f"no conformed table '{name}'{nearest(name, mapped_tables())}")
    needed = needed_columns(name)
    if as_json:
        told = [
            {
                "column": c.name,
                "type": c.type,
                "values": c.values,
                "is_needed": c.name in needed,
                "meaning": c.meaning,
            }
            for c in mapped_columns(name)
        ]
        print_json(told)
        return
    rows = [
        (f"{c.name} *" if c.name in needed else c.name, c.type, escape(_meaning(c.meaning, c.values)))
        for c in mapped_columns(name)
    ]
    Console().print(drawn(None, [("column", "left"), ("type", "left"), ("meaning", "left")], rows))
    typer.echo("* has to be mapped. How values are made of the vendor's columns: docs/sources.md")


def _meaning(meaning: str, values: tuple[str, ...] | None) -> str:
    return f"{meaning} One of: {', '.join(values)}." if values else meaning

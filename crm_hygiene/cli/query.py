"""`crm-hygiene query`: SQL on the catalog."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from crm_hygiene.catalog_query import query as query_catalog
from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.options import ConfigOption, JsonOption
from crm_hygiene.cli.tables import show_frame
from crm_hygiene.config import load_config
from crm_hygiene.lake_copies import fetch_catalog
from crm_hygiene.lake_options import lake_of


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

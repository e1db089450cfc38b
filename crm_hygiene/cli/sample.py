"""`crm-hygiene sample`: exports to try everything on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.options import JsonOption
from crm_hygiene.sample import generate


def sample(
    out: Annotated[Path, typer.Option("--out", help="Folder to write landing/ and truth/ to.")] = Path(),
    people: Annotated[int, typer.Option("--people", min=1, help="True persons behind the records.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same bytes.")] = 7,
    as_json: JsonOption = False,
) -> None:
    """Write seeded exports in true vendor layouts, with truth files beside them."""
    counts = generate(out, people, seed)
    rows = counts.rows
    if as_json:
        print_json(rows)
        return
    typer.echo(
        f"{sum(rows.values()):,} rows in {len(rows)} files below {out}, seed {seed}; truth in {out / 'truth'}"
    )

"""Options that several commands take, each said once; imported by every command, so it imports little."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[Path | None, typer.Option("--config", help="A hygiene.yaml; default: the one here.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Who acts; default: the user logged in.")]

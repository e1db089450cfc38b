"""Options that several commands take, each said once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.records import KINDS
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.models.promotion import acting_person

ConfigOption = Annotated[Path | None, typer.Option("--config", help="A hygiene.yaml; default: the one here.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Who acts; default: the user logged in.")]


class Kind(StrEnum):
    """People or organisations, as typed after `--kind`."""

    person = "person"
    organisation = "organisation"


def kind_of(kind: Kind | None) -> EntityKind | None:
    """The kind that was typed, if one was."""
    return next((k for k in KINDS if kind is not None and k == kind.value), None)


def acting(by: str | None) -> str:
    """Who acts: as said with `--by`, else the user logged in.

    Raises
    ------
    ConfigurationError
        if neither is known.
    """
    name = (by or "").strip() or acting_person()
    if not name:
        raise ConfigurationError("who decides is not known here; say it with --by")
    return name

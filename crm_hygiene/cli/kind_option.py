"""The option of commands that are about people or organisations."""

from __future__ import annotations

from enum import StrEnum

from crm_hygiene.linkage.records import KINDS
from crm_hygiene.linkage.settings import EntityKind


class Kind(StrEnum):
    """People or organisations, as typed after `--kind`."""

    person = "person"
    organisation = "organisation"


def kind_of(kind: Kind | None) -> EntityKind | None:
    """The kind that was typed, if one was."""
    return next((k for k in KINDS if kind is not None and k == kind.value), None)

"""An entity as it was on one night: its golden row cell by cell, and how its records hung together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crm_hygiene.contract import contract_of
from crm_hygiene.explanation.entity_explanation import EntityExplanation, explain_entity
from crm_hygiene.lineage.cell_story import TABLES, golden_row, provenance_of
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night


@dataclass(frozen=True)
class EntityThen:
    """An entity on a night that `said` names: its filled cells with their origins, and its linkage."""

    said: str
    entity: EntityExplanation
    row: dict[str, Any]
    origins: dict[str, dict[str, Any]]

    def lines(self) -> list[str]:
        """The entity in words."""
        found = [f"As of {self.said}", "", *self.entity.lines()]
        filled = {name: value for name, value in self.row.items() if value not in (None, [])}
        if filled:
            found += ["", "Its cells"]
        for name, value in filled.items():
            if name == "entity_id":
                continue
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            origin = self.origins.get(name)
            came = f"  {origin['source']}:{origin['record_id']}, {origin['rule']}" if origin else ""
            found.append(f"  {name}: {text}{came}")
        return found

    def as_json(self) -> dict[str, object]:
        """The entity as plain data."""
        return {
            **self.entity.as_json(),
            "night": self.said,
            "golden": self.row,
            "provenance": self.origins,
            "in_words": self.lines(),
        }


def entity_then(night: Night, kind: EntityKind, entity_id: str, said: str) -> EntityThen:
    """An entity on an earlier night.

    Raises
    ------
    UnknownEntity
        if the id was not published by then.
    """
    entity = explain_entity(night, kind, entity_id)
    table = TABLES[kind]
    row = golden_row(night, table, entity.entity_id) or {}
    known = contract_of(table).column_names
    return EntityThen(
        said,
        entity,
        {name: row[name] for name in known if name in row},
        provenance_of(night, table, entity.entity_id),
    )

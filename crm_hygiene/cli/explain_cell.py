"""`crm-hygiene explain` for a golden cell, for an entity on an earlier night, and for what changed since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crm_hygiene.contract import contract_of, load_contracts, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lineage.cell_story import TABLES, CellStory, explain_cell
from crm_hygiene.lineage.changes import EntityChanges, entity_changes
from crm_hygiene.lineage.entity_then import EntityThen, entity_then
from crm_hygiene.lineage.past_night import PastNight, live_rules, past_night
from crm_hygiene.linkage.entity_ids import PREFIX
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night

_KIND_OF: dict[str, EntityKind] = {table: kind for kind, table in TABLES.items()}


@dataclass(frozen=True)
class CellTarget:
    """An entity, and one of its golden columns or none."""

    kind: EntityKind
    entity_id: str
    column: str | None


def _kind_of_id(text: str) -> EntityKind | None:
    return next((k for k, prefix in PREFIX.items() if text.startswith(prefix) and ":" not in text), None)


def cell_target(texts: Sequence[str]) -> CellTarget | None:
    """What `[golden.contacts] P-… [column]` names; None if these words are not about a cell.

    Raises
    ------
    ConfigurationError
        if the table is no golden table of entities, or not the entity's.
    """
    words = list(texts)
    table = None
    if (
        len(words) > 1
        and _kind_of_id(words[0]) is None
        and _kind_of_id(words[1]) is not None
        and ":" not in words[0]
    ):
        table = words.pop(0)
        table = table if "." in table else f"golden.{table}"
        if table not in _KIND_OF:
            raise ConfigurationError(
                f"cells are explained of {' and '.join(_KIND_OF)}, not of {table}"
                f"{nearest(table, list(_KIND_OF))}"
            )
    kind = _kind_of_id(words[0]) if words else None
    if kind is None or len(words) > 2:
        return None
    if table is not None and _KIND_OF[table] != kind:
        raise ConfigurationError(f"{words[0]} is in {TABLES[kind]}, not in {table}")
    if len(words) == 1:
        return CellTarget(kind, words[0], None)
    # A second entity or a record asks for the two to be compared.
    if ":" in words[1] or _kind_of_id(words[1]) is not None:
        return None
    column = words[1]
    names = contract_of(TABLES[kind]).column_names
    if column not in names:
        elsewhere = [t for t, c in load_contracts().items() if t in _KIND_OF and column in c.column_names]
        hint = f"; {elsewhere[0]} has" if elsewhere else nearest(column, names)
        raise ConfigurationError(f"{TABLES[kind]} has no column '{column}'{hint}")
    return CellTarget(kind, words[0], column)


def _said(past: PastNight) -> str:
    return f"the night {past.run_id[:8]} that ended {past.ended_at:%Y-%m-%d %H:%M} UTC"


def explain_target(
    night: Night, target: CellTarget, on: str | None, since: str | None
) -> CellStory | EntityThen | EntityChanges | None:
    """Explain a cell or an entity, by default tonight; None for an entity without `on` and `since`.

    Parameters
    ----------
    on
        the night to look at, as `past_night` reads it.
    since
        the night to compare with; what is compared is `on`, or what is live.
    """
    table = TABLES[target.kind]
    then = None if on is None else past_night(night, on, table)
    if since is not None:
        before = past_night(night, since, table, "--since")
        rules = live_rules(night, table) if then is None else live_rules(then.night, table)
        return entity_changes(
            before.night,
            night if then is None else then.night,
            target.kind,
            target.entity_id,
            target.column,
            _said(before),
            "now" if then is None else _said(then),
            rules != live_rules(before.night, table),
        )
    if target.column is not None:
        shown = night if then is None else then.night
        return explain_cell(
            shown, target.kind, target.entity_id, target.column, None if then is None else _said(then)
        )
    return None if then is None else entity_then(then.night, target.kind, target.entity_id, _said(then))

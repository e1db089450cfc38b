"""The story of one golden cell: its value, where it came from, over whom it won, and why the record counts.

The same as one row of `why(entity, field)`, in words, for tonight or for an earlier night. What differs
between two nights belongs to `changes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.explanation.entity_explanation import UnknownEntity, explain_entity
from crm_hygiene.explanation.identity_story import IdentityStory, link_of
from crm_hygiene.explanation.link_reasons import LinkReasons
from crm_hygiene.explanation.link_tree import Link
from crm_hygiene.landing import landing_contract
from crm_hygiene.lineage.candidates_of_cell import Candidate, FieldChoice, choice_of_cell
from crm_hygiene.lineage.kinds import DIRECT
from crm_hygiene.linkage.records import Record, written
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night
from crm_hygiene.survivorship.pins import PINS

TABLES: dict[EntityKind, str] = {"person": "golden.contacts", "organisation": "golden.accounts"}
_MOST_CANDIDATES = 30


@dataclass(frozen=True)
class RawCell:
    """A cell of the landed row: column as the source spells it, and what it says."""

    column: str
    value: str
    expression: str


@dataclass(frozen=True)
class CellStory:
    """Everything that explains a cell; `provenance` is its row of golden.provenance, None if it is empty."""

    kind: EntityKind
    asked: str
    entity_id: str
    table: str
    column: str
    value: Any
    provenance: dict[str, Any] | None
    raw: list[RawCell]
    choice: FieldChoice | None
    link: Link | None
    link_words: str
    record_count: int
    night: str | None = None
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The story in words."""
        found = []
        if self.night:
            found += [f"As of {self.night}", ""]
        if self.asked != self.entity_id:
            found.append(f"{self.asked} is a former id; it stands for {self.entity_id}.")
        found.append(f"{self.column} of {self.entity_id} is {self._shown(self.value)}.")
        found += self._origin()
        found += self._candidates()
        found += self.notes
        return found

    @staticmethod
    def _shown(value: Any) -> str:
        if value is None:
            return "empty"
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    def _origin(self) -> list[str]:
        row = self.provenance
        if row is None:
            if self.value is None or self.value == []:
                return ["No record of the entity states it."]
            return [f"It is computed from all {self.record_count} records of the entity, not taken from one."]
        lines = ["", "Where it came from"]
        if row["source"] == PINS:
            return [*lines, f"  {row['rule']} (pin {row['record_id']})", *self._runner_up(row)]
        lines.append(f"  record    {row['source']}:{row['record_id']}, changed {_day(row['observed_at'])}")
        if row["file"]:
            landed = f", landed {_time(row['landed_at'])}" if row["landed_at"] else ""
            lines.append(f"  file      {row['file']}, row {row['row_number']:,}{landed}")
        lines += [f"  raw       {cell.column} = {cell.value!r} ({cell.expression})" for cell in self.raw]
        lines.append(f"  rule      {row['rule']}")
        lines += self._runner_up(row)
        lines.append(f"  belongs   {self.link_words}")
        return lines

    def _runner_up(self, row: dict[str, Any]) -> list[str]:
        if not row["runner_up"]:
            return []
        by = row["runner_up_source"]
        whose = f" of {by}:{row['runner_up_record_id']}" if by else ""
        return [f"  runner-up {row['runner_up']}{whose}"]

    def _remark(self, candidate: Candidate) -> str:
        row = self.provenance or {}
        if candidate.record == (row.get("source"), row.get("record_id")):
            return "chosen"
        if candidate.value is None:
            return "says nothing"
        if row and candidate.value.strip().lower() == str(row["value"]).strip().lower():
            return "says the same"
        if candidate.record == (row.get("runner_up_source"), row.get("runner_up_record_id")):
            return "runner-up"
        return ""

    def ranked(self) -> list[Candidate]:
        """Candidates, the chosen one first, then the runner-up, then by trust and time of change."""
        if self.choice is None:
            return []
        order = {"chosen": 0, "runner-up": 1, "says nothing": 3}

        def place(candidate: Candidate) -> tuple[int, float, float, Record]:
            changed = candidate.changed_at.timestamp() if candidate.changed_at else 0.0
            rank = order.get(self._remark(candidate), 2)
            return (rank, -candidate.trust, -changed, candidate.record)

        return sorted(self.choice.candidates, key=place)

    def _candidates(self) -> list[str]:
        if self.choice is None or not self.choice.candidates:
            return []
        choice = self.choice
        together = f" ({', '.join(choice.columns)} survive together)" if len(choice.columns) > 1 else ""
        lines = [
            "",
            f"Who could have given it{together}: the rule asks {', then '.join(choice.strategies)}",
        ]
        ranked = self.ranked()
        for candidate in ranked[:_MOST_CANDIDATES]:
            remark = self._remark(candidate)
            value = "-" if candidate.value is None else candidate.value
            lines.append(
                f"  {value}  {written(candidate.record)}, trust {candidate.trust:.2f}, "
                f"changed {_day(candidate.changed_at)}{f', {remark}' if remark else ''}"
            )
        if len(ranked) > _MOST_CANDIDATES:
            lines.append(f"  … and {len(ranked) - _MOST_CANDIDATES:,} more; --json has all of them")
        return lines

    def as_json(self) -> dict[str, object]:
        """The story as plain data."""
        return {
            "target": "cell",
            "kind": self.kind,
            "asked": self.asked,
            "entity_id": self.entity_id,
            "table": self.table,
            "column": self.column,
            "night": self.night,
            "value": self.value,
            "provenance": self.provenance,
            "raw": [vars(cell) for cell in self.raw],
            "strategies": None if self.choice is None else list(self.choice.strategies),
            "survives_with": None if self.choice is None else list(self.choice.columns),
            "candidates": [{**vars(c), "remark": self._remark(c)} for c in self.ranked()],
            "link": None if self.link is None else self.link_words,
            "link_method": None if self.link is None else self.link.method,
            "linked_with": None if self.link is None else [written(r) for r in _ends(self.link)],
            "in_words": self.lines(),
        }


def _ends(link: Link) -> tuple[Record, Record]:
    return link.record_l, link.record_r


def _day(moment: datetime | None) -> str:
    return "at an unknown time" if moment is None else f"{moment:%Y-%m-%d}"


def _time(moment: datetime | None) -> str:
    return "at an unknown time" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def golden_row(night: Night, table: str, entity_id: str) -> dict[str, Any] | None:
    """The row of a golden table."""
    found = night.lake.scan(contract_of(table)).filter(pl.col("entity_id") == entity_id).collect()
    return None if found.is_empty() else found.row(0, named=True)


def provenance_of(night: Night, table: str, entity_id: str) -> dict[str, dict[str, Any]]:
    """Rows of golden.provenance of an entity by column."""
    rows = night.lake.scan(contract_of("golden.provenance")).filter(
        (pl.col("table_name") == table) & (pl.col("entity_id") == entity_id)
    )
    return {row["column_name"]: row for row in rows.collect().sort("column_name").iter_rows(named=True)}


def known_column(table: str, column: str) -> str:
    """`column` if the table has it.

    Raises
    ------
    ConfigurationError
        if not; the message names the nearest one.
    """
    names = contract_of(table).column_names
    if column not in names:
        raise ConfigurationError(f"{table} has no column '{column}'{nearest(column, names)}")
    return column


def live_id(night: Night, kind: EntityKind, entity_id: str) -> str:
    """The entity that an id stands for in a night.

    Raises
    ------
    UnknownEntity
        if the id was not published by then; the message names the ids most like it.
    ConfigurationError
        if the entity is gone.
    """
    row = IdentityStory(night, kind).entity(entity_id)
    if row is None:
        explain_entity(night, kind, entity_id)  # raises with the ids most like it
        raise UnknownEntity(f"no entity has the id {entity_id}")
    if row["status"] == "tombstone":
        raise ConfigurationError(
            f"{entity_id} is retired: none of its records is left, so it has no golden row"
        )
    return str(row["resolves_to"] or entity_id)


def raw_cells(night: Night, row: dict[str, Any]) -> list[RawCell]:
    """The filled cells of the landed row that a golden cell is made of, first tried first."""
    mapping = night.mappings.get(row["source"])
    if mapping is None or row["file"] is None:
        return []
    landed = night.lake.scan(landing_contract(mapping)).filter(
        (pl.col("_file") == row["file"]) & (pl.col("_row_number") == row["row_number"])
    )
    if row["landed_at"] is not None:
        landed = landed.filter(pl.col("_landed_at") == row["landed_at"])
    rows = landed.collect()
    lineage = (
        night.lake.scan(contract_of("quality.column_lineage"))
        .filter(
            (pl.col("table_name") == row["table_name"])
            & (pl.col("column_name") == row["column_name"])
            & (pl.col("source") == row["source"])
        )
        .collect()
        .sort("position")
    )
    if rows.is_empty() or lineage.is_empty():
        return []
    direct = lineage.filter(pl.col("transformation").is_in(DIRECT))
    used = lineage if direct.is_empty() else direct
    cells = []
    for name, landing, expression, beside, empty in used.select(
        "source_column", "landing_column", "expression", "is_beside", "empty_values"
    ).iter_rows():
        text = rows[landing][0] if landing in rows.columns else None
        if text is not None and text.strip() not in {"", *(empty or ())}:
            cells.append((bool(beside), RawCell(name, text, expression or "")))
    own = [cell for beside, cell in cells if not beside]
    return own or [cell for _, cell in cells]


def strongest_link(story: IdentityStory, record: Record, records: list[Record]) -> Link | None:
    """The record's strongest link within its entity; it is always part of the tree that holds the entity."""
    around = set(records)
    links = [link_of(pair) for pair in story.pairs([record]).iter_rows(named=True) if pair["is_link"]]
    inside = [link for link in links if record in _ends(link) and link.other(record) in around]
    return min(inside, key=lambda link: link.order, default=None)


def link_in_words(night: Night, kind: EntityKind, record: Record, entity_id: str) -> tuple[Link | None, str]:
    """What brought a record into an entity."""
    story = IdentityStory(night, kind)
    records = story.records(entity_id)
    if record not in records:
        return None, "the statement is tied to the person by its record, e-mail address or telephone number"
    if len(records) == 1:
        return None, "it is the only record of the entity"
    link = strongest_link(story, record, records)
    if link is None:
        return None, "no link of this night holds it; the entity keeps its last good state"
    reasons = LinkReasons(night, kind, [_ends(link)])
    return link, f"linked with {written(link.other(record))}: {reasons.phrase(link)}"


def explain_cell(
    night: Night, kind: EntityKind, entity_id: str, column: str, said: str | None = None
) -> CellStory:
    """Explain one golden cell.

    Parameters
    ----------
    night
        tonight, or an earlier one (`past_night`); `said` names it in words then.

    Raises
    ------
    ConfigurationError
        if there is no such column or entity.
    """
    table = TABLES[kind]
    known_column(table, column)
    live = live_id(night, kind, entity_id)
    row = golden_row(night, table, live)
    if row is None:
        raise ConfigurationError(f"{live} has no row in {table}: every record of it is deleted")
    origin = provenance_of(night, table, live).get(column)
    link, words = None, ""
    if origin is not None and origin["source"] != PINS:
        link, words = link_in_words(night, kind, (origin["source"], origin["record_id"]), live)
    return CellStory(
        kind=kind,
        asked=entity_id,
        entity_id=live,
        table=table,
        column=column,
        value=row[column],
        provenance=origin,
        raw=[] if origin is None else raw_cells(night, origin),
        choice=choice_of_cell(night, kind, live, column),
        link=link,
        link_words=words,
        record_count=int(row["record_count"]),
        night=said,
    )

"""What changed of an entity between two nights, cell by cell, and why.

A cell changes because a record came, changed, joined or left, because a steward pinned it or spoke of a
link, because the rules changed, or because trust and age are weighed anew every night; asked in that order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.explanation.identity_story import IdentityStory
from crm_hygiene.explanation.wording import decision_in_words, event_in_words
from crm_hygiene.lineage.cell_story import TABLES, golden_row, known_column, link_in_words, provenance_of
from crm_hygiene.linkage.records import TABLES as CONFORMED
from crm_hygiene.linkage.records import Record, written
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night
from crm_hygiene.survivorship.pins import PINS

_ORIGIN = (
    "file",
    "row_number",
    "landed_at",
    "content_hash",
    "problems",
    "observed_at",
    "modified_at",
    "field_times",
)


@dataclass(frozen=True)
class CellChange:
    """A cell that differs; `cause` is a word for programs, `why` the same for people."""

    column: str
    before: Any
    after: Any
    cause: str
    why: str


@dataclass(frozen=True)
class EntityChanges:
    """What differs between two nights, which `since` and `until` name in words."""

    kind: EntityKind
    asked: str
    entity_id: str | None
    since: str
    until: str
    records: list[str]
    events: list[str]
    cells: list[CellChange]

    def lines(self) -> list[str]:
        """The changes in words."""
        found = [f"{self.asked} from {self.since} to {self.until}"]
        if self.entity_id is not None and self.entity_id != self.asked:
            found.append(f"{self.asked} stands for {self.entity_id} now.")
        for title, rows in (("Its records", self.records), ("What happened to it", self.events)):
            if rows:
                found += ["", title, *(f"  {row}" for row in rows)]
        if self.cells:
            found += ["", "Its cells"]
            for cell in self.cells:
                found.append(f"  {cell.column}: {_shown(cell.before)} → {_shown(cell.after)}")
                found.append(f"    {cell.why}")
        else:
            found += ["", "No cell changed."]
        return found

    def as_json(self) -> dict[str, object]:
        """The changes as plain data."""
        return {
            "target": "changes",
            "kind": self.kind,
            "asked": self.asked,
            "entity_id": self.entity_id,
            "since": self.since,
            "until": self.until,
            "records": self.records,
            "events": self.events,
            "cells": [vars(cell) for cell in self.cells],
            "in_words": self.lines(),
        }


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "(empty)"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@dataclass(frozen=True)
class _Side:
    """An entity in one night: its golden row, its cells' origins and its records."""

    night: Night
    kind: EntityKind
    entity_id: str | None
    row: dict[str, Any]
    origins: dict[str, dict[str, Any]]
    records: list[Record]

    @property
    def story(self) -> IdentityStory:
        return IdentityStory(self.night, self.kind)

    def conformed(self, records: Sequence[Record]) -> dict[Record, dict[str, Any]]:
        """Rows of the conformed table of some records, deleted ones too."""
        ids = pl.Series([record_id for _, record_id in records], dtype=pl.String).implode()
        rows = self.night.lake.scan(contract_of(CONFORMED[self.kind])).filter(pl.col("record_id").is_in(ids))
        found = {(row["source"], row["record_id"]): row for row in rows.collect().iter_rows(named=True)}
        return {record: found[record] for record in records if record in found}


def _side(night: Night, kind: EntityKind, asked: str) -> _Side:
    row = IdentityStory(night, kind).entity(asked)
    entity_id = None if row is None or row["status"] == "tombstone" else str(row["resolves_to"] or asked)
    if entity_id is None:
        return _Side(night, kind, None, {}, {}, [])
    table = TABLES[kind]
    return _Side(
        night,
        kind,
        entity_id,
        golden_row(night, table, entity_id) or {},
        provenance_of(night, table, entity_id),
        IdentityStory(night, kind).records(entity_id),
    )


def _landed(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    at = f", landed {row['landed_at']:%Y-%m-%d %H:%M}" if row["landed_at"] else ""
    return f" ({row['file']}, row {row['row_number']:,}{at})"


class _Comparison:
    """Both nights side by side, and what happened to every record between them."""

    def __init__(self, before: _Side, after: _Side, is_ruled_anew: bool) -> None:
        self.before, self.after, self.is_ruled_anew = before, after, is_ruled_anew
        every = sorted({*before.records, *after.records})
        self.then = before.conformed(every)
        self.now = after.conformed(every)
        self.was_in = before.story.entities_of(every)
        self.is_in = after.story.entities_of(every)
        self.fates: dict[Record, tuple[str, str]] = {}
        for record in every:
            if (fate := self._fate(record)) is not None:
                self.fates[record] = fate

    def _fate(self, record: Record) -> tuple[str, str] | None:
        """Cause and words of what happened to a record; None if nothing did."""
        name = written(record)
        now, then = self.now.get(record), self.then.get(record)
        if record not in self.before.records:
            if then is None:
                return "record arrived", f"{name} is new{_landed(now)}"
            if then["is_deleted"]:
                return "record arrived", f"{name} is back from deletion{_landed(now)}"
            came = self.was_in.get(record)
            _, why = link_in_words(self.after.night, self.after.kind, record, self.after.entity_id or "")
            of = f" from {came}" if came and came != self.after.entity_id else ""
            return "record joined", f"{name} joined{of}: {why}"
        if record not in self.after.records:
            if now is None or now["is_deleted"]:
                return "record deleted", f"{name} is deleted in its source{_landed(now)}"
            return "record left", f"{name} belongs to {self.is_in.get(record, 'no entity')} now"
        if now is not None and then is not None and now["content_hash"] != then["content_hash"]:
            if now["is_deleted"] and not then["is_deleted"]:
                return "record deleted", f"{name} is deleted in its source{_landed(now)}"
            columns = [c for c in now if c not in _ORIGIN and now[c] != then[c]]
            return "record changed", f"{name} changed {', '.join(columns)}{_landed(now)}"
        return None

    def record_lines(self) -> list[str]:
        return [words for _, words in self.fates.values()]

    def event_lines(self) -> list[str]:
        """What the register noted between the nights, and what stewards decided."""
        ids = sorted({i for i in (self.before.entity_id, self.after.entity_id) if i is not None})
        known = {event["event_id"] for event in self.before.story.history(ids)}
        events = [e for e in self.after.story.history(ids) if e["event_id"] not in known]
        records = sorted({*self.before.records, *self.after.records})
        earlier = {(d["decision_id"], d["is_revoked"]) for d in self.before.story.decisions(records)}
        decisions = self.after.story.decisions(records)
        shown = self.after.entity_id or self.before.entity_id or ""
        return [event_in_words(event, shown) for event in events] + [
            decision_in_words(d) for d in decisions if (d["decision_id"], d["is_revoked"]) not in earlier
        ]

    def cells(self, columns: Sequence[str]) -> list[CellChange]:
        found = []
        for column in columns:
            then, now = self.before.row.get(column), self.after.row.get(column)
            if then != now:
                found.append(CellChange(column, then, now, *self._cause(column)))
        return found

    def _cause(self, column: str) -> tuple[str, str]:
        then, now = self.before.origins.get(column), self.after.origins.get(column)
        if then is None and now is None:
            return self._computed()
        if now is not None and now["source"] == PINS:
            return "pin", f"a steward pinned it: {now['rule']}"
        if then is not None and then["source"] == PINS:
            rest = "" if now is None else f"; {now['source']}:{now['record_id']} holds, {now['rule']}"
            return "pin revoked", f"the pin ({then['rule']}) holds no longer{rest}"
        old = None if then is None else (then["source"], then["record_id"])
        new = None if now is None else (now["source"], now["record_id"])
        rule = f"; chosen as {now['rule']}" if now is not None else ""
        for record in dict.fromkeys((new, old)):
            if record is not None and record in self.fates:
                cause, words = self.fates[record]
                return cause, f"{words}{rule}"
        if now is not None and new is not None and new not in self.after.records:
            landed = _landed(now) if now["file"] else ""
            return "statement arrived", f"{written(new)} states it{landed}{rule}"
        if self.fates:
            # Agreement and counts look at all records: another's coming or going can settle a choice.
            return (
                "other records",
                f"other records of the entity changed what most of them say{rule}: "
                + "; ".join(self.record_lines()[:3]),
            )
        if self.is_ruled_anew:
            return "rules changed", f"the rules, a mapping or the program changed between the nights{rule}"
        was = f" (before: {then['rule']})" if then is not None else ""
        return (
            "weighed anew",
            f"the same records say the same; trust and age are weighed every night{rule}{was}",
        )

    def _computed(self) -> tuple[str, str]:
        if not self.before.row:
            return "entity is new", "the entity had no golden row before"
        if not self.after.row:
            return "entity is gone", "the entity has no golden row any more"
        if self.fates:
            return "records", "computed from its records, of which some changed, came or went (above)"
        if self.is_ruled_anew:
            return "rules changed", "the rules, a mapping or the program changed between the nights"
        return "weighed anew", "computed from the age of its records or from what belongs to others"


def entity_changes(
    before: Night,
    after: Night,
    kind: EntityKind,
    entity_id: str,
    column: str | None,
    since: str,
    until: str,
    is_ruled_anew: bool,
) -> EntityChanges:
    """Compare an entity between two nights; `column` narrows it to one cell.

    Parameters
    ----------
    since, until
        the nights in words.
    is_ruled_anew
        whether rules, mappings or program differ between them.

    Raises
    ------
    ConfigurationError
        if neither night knows the entity, or there is no such column.
    """
    if column is not None:
        known_column(TABLES[kind], column)
    sides = _side(before, kind, entity_id), _side(after, kind, entity_id)
    if sides[0].entity_id is None and sides[1].entity_id is None:
        raise ConfigurationError(f"neither {since} nor {until} knows a live entity {entity_id}")
    compared = _Comparison(*sides, is_ruled_anew)
    columns = [column] if column else [c for c in contract_of(TABLES[kind]).column_names if c != "entity_id"]
    return EntityChanges(
        kind=kind,
        asked=entity_id,
        entity_id=sides[1].entity_id,
        since=since,
        until=until,
        records=compared.record_lines(),
        events=compared.event_lines(),
        cells=compared.cells(columns),
    )

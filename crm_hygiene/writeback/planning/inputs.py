"""What a plan is made from: tables from conformed to reconciled, and the records as they landed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.writeback.mapped_object import Subject
from crm_hygiene.writeback.planning.landed_rows import PLACE, LandedRows

#: Conformed tables whose records may point at records of a target.
CHILD_TABLES = ("people", "organisations", "opportunities", "interactions")


def _empty(table: str) -> pl.DataFrame:
    return contract_of(table).empty()


@dataclass(frozen=True)
class PlanInputs:
    """Everything a plan reads; a frame may lack columns that no policy asks for.

    Records and golden rows are wide and many: of their values one column is held at a time (`held`,
    `chosen`).

    Attributes
    ----------
    people, organisations, opportunities, interactions, users, consents
        conformed tables.
    person_members, organisation_members
        linked tables; a record without an entity is not touched.
    contacts, accounts, leads
        golden tables.
    provenance
        golden.provenance, of which one column's rows are collected at a time; with it the reasons name where
        a value comes from.
    allocations
        reconciled.allocations.
    doubts
        source, record_id, match_probability of records whose link to their entity is not certain
        (`confidence.link_doubts`); whoever is not in it is certain.
    as_read
        source -> the records as they landed: `_file`, `_row_number`, `_landed_at` and the vendor's columns
        by the names the mapping gives them. `before` is then the landed text; without it, the standardised
        one.
    stored
        people, organisations, contacts, accounts -> the very rows of that frame in the same order, as they
        are stored: from there come the columns that the frame lacks.
    """

    people: pl.DataFrame = field(default_factory=partial(_empty, "conformed.people"))
    organisations: pl.DataFrame = field(default_factory=partial(_empty, "conformed.organisations"))
    person_members: pl.DataFrame = field(default_factory=partial(_empty, "linked.person_members"))
    organisation_members: pl.DataFrame = field(default_factory=partial(_empty, "linked.organisation_members"))
    contacts: pl.DataFrame = field(default_factory=partial(_empty, "golden.contacts"))
    accounts: pl.DataFrame = field(default_factory=partial(_empty, "golden.accounts"))
    leads: pl.DataFrame = field(default_factory=partial(_empty, "golden.leads"))
    provenance: pl.LazyFrame = field(default_factory=lambda: _empty("golden.provenance").lazy())
    consents: pl.DataFrame = field(default_factory=partial(_empty, "conformed.consents"))
    users: pl.DataFrame = field(default_factory=partial(_empty, "conformed.users"))
    opportunities: pl.DataFrame = field(default_factory=partial(_empty, "conformed.opportunities"))
    interactions: pl.DataFrame = field(default_factory=partial(_empty, "conformed.interactions"))
    allocations: pl.DataFrame = field(default_factory=partial(_empty, "reconciled.allocations"))
    doubts: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(
            schema={"source": pl.String, "record_id": pl.String, "match_probability": pl.Float64}
        )
    )
    as_read: Mapping[str, pl.LazyFrame] = field(default_factory=dict)
    stored: Mapping[str, pl.LazyFrame] = field(default_factory=dict)
    _last_read: dict[str, pl.Series] = field(default_factory=dict, init=False, repr=False, compare=False)
    _landed: dict[tuple[Subject, str], LandedRows] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def records(self, subject: Subject) -> pl.DataFrame:
        """The conformed records of a subject."""
        return self.people if subject == "people" else self.organisations

    def members(self, subject: Subject) -> pl.DataFrame:
        """Which entity each record of a subject belongs to."""
        return self.person_members if subject == "people" else self.organisation_members

    def golden(self, subject: Subject) -> pl.DataFrame:
        """The golden rows of a subject."""
        return self.contacts if subject == "people" else self.accounts

    def held(self, subject: Subject, column: str) -> pl.Series | None:
        """One column of the records of a subject, in their order; None if they have no such column."""
        return self._cells(subject, self.records(subject), column)

    def chosen(self, subject: Subject, column: str) -> pl.Series | None:
        """One column of the golden rows of a subject, in their order; None if they have no such column."""
        table = "contacts" if subject == "people" else "accounts"
        return self._cells(table, self.golden(subject), column)

    def landed(self, subject: Subject, source: str, column: str) -> LandedRows | None:
        """The landed rows behind the records of a source; None where they do not tell of `column`."""
        rows, records = self.as_read.get(source), self.records(subject)
        if rows is None or not set(PLACE) <= set(records.columns) or column not in rows.collect_schema():
            return None
        if (subject, source) not in self._landed:
            self._landed[subject, source] = LandedRows.of(rows, records, source)
        return self._landed[subject, source]

    def _cells(self, table: str, frame: pl.DataFrame, column: str) -> pl.Series | None:
        if column in frame.columns:
            return frame[column]
        stored = self.stored.get(table)
        if stored is None or column not in stored.collect_schema():
            return None
        # Asked for again by every target and by what confidence is made of: the last one is kept.
        last = self._last_read.get(table)
        if last is None or last.name != column:
            self._last_read.pop(table, None)
            last = stored.select(column).collect()[column]
            if last.len() != frame.height:
                raise RuntimeError(f"{table} came with other rows when {column} was read")
            self._last_read[table] = last
        return last

    def child_table(self, name: str) -> pl.DataFrame:
        """A conformed table of `CHILD_TABLES` by its bare name."""
        frames = {
            "people": self.people,
            "organisations": self.organisations,
            "opportunities": self.opportunities,
            "interactions": self.interactions,
        }
        return frames[name]

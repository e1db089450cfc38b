"""Candidates of one golden cell: every live record of its entity, weighed as the night weighs them.

The entity is built again from its own records alone; what the rules look at never leaves an entity.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden import build_golden
from crm_hygiene.golden.of_lake import weighed_at
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night
from crm_hygiene.survivorship.pins import PINS


@dataclass(frozen=True)
class Candidate:
    """A record of the entity and what it states for the field; a group is chosen as one value."""

    source: str
    record_id: str
    value: str | None
    group: dict[str, str | None]
    trust: float
    changed_at: datetime | None
    file: str
    row_number: int
    landed_at: datetime | None

    @property
    def record(self) -> tuple[str, str]:
        """(source, record_id)."""
        return self.source, self.record_id


@dataclass(frozen=True)
class FieldChoice:
    """How a field was chosen: the group it survives with, its strategies, and who stood for choice."""

    name: str
    columns: tuple[str, ...]
    strategies: tuple[str, ...]
    half_life_days: float
    candidates: list[Candidate]


def _of_entity(night: Night, table: str, members: pl.DataFrame) -> pl.DataFrame:
    """Conformed records of an entity."""
    ids = members["record_id"].implode()
    rows = night.lake.scan(contract_of(table)).filter(pl.col("record_id").is_in(ids)).collect()
    return rows.join(members, on=["source", "record_id"], how="semi").sort("source", "record_id")


def _members(night: Night, kind: EntityKind, entity_id: str) -> pl.DataFrame:
    rows = night.lake.scan(contract_of(f"linked.{kind}_members"))
    return rows.filter(pl.col("entity_id") == entity_id).collect().sort("source", "record_id")


def _referenced(night: Night, records: pl.DataFrame, column: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Organisations that a column of the entity's records points at, or names, with their members."""
    wanted = pl.col("record_id").is_in(records[column].drop_nulls().unique().implode())
    if "organisation_name_normalised" in records.columns:
        names = records["organisation_name_normalised"].drop_nulls().unique().implode()
        wanted |= pl.col("organisation_name_normalised").is_in(names)
    rows = night.lake.scan(contract_of("conformed.organisations")).filter(wanted).collect()
    members = night.lake.scan(contract_of("linked.organisation_members")).filter(
        pl.col("record_id").is_in(rows["record_id"].implode())
    )
    return rows, members.collect().join(rows, on=["source", "record_id"], how="semi")


def _heard(night: Night, records: pl.DataFrame) -> pl.LazyFrame:
    """Interactions of the entity's addresses: a bounce makes an address count for less."""
    addresses = pl.concat(
        [records[c].drop_nulls() for c in ("email", "email_normalised") if c in records.columns]
    ).unique()
    rows = night.lake.scan(contract_of("conformed.interactions"))
    mine = pl.col("email").is_in(addresses.implode()) | pl.col("email_normalised").is_in(addresses.implode())
    return rows.filter(mine)


def choice_of_cell(night: Night, kind: EntityKind, entity_id: str, column: str) -> FieldChoice | None:
    """How the night chose `column` of an entity; None if the column is not chosen among records."""
    members = _members(night, kind, entity_id)
    if kind == "person":
        people = _of_entity(night, "conformed.people", members)
        organisations, organisation_members = _referenced(night, people, "organisation_record_id")
        records, person_members, table = people, members, "contacts"
    else:
        own = _of_entity(night, "conformed.organisations", members)
        parents, parent_members = _referenced(night, own, "parent_record_id")
        organisations = pl.concat([own, parents]).unique(["source", "record_id"], maintain_order=True)
        organisation_members = pl.concat([members, parent_members]).unique(maintain_order=True)
        people, person_members = (
            contract_of(t).empty() for t in ("conformed.people", "linked.person_members")
        )
        records, table = own, "accounts"
    rules, as_of = night.survivorship, weighed_at(night)
    golden = build_golden(
        people.lazy(),
        person_members,
        organisations.lazy(),
        organisation_members,
        contract_of("conformed.consents").empty(),
        _heard(night, records),
        rules,
        as_of,
        night.systems,
        pins=night.lake.read(contract_of(PINS)),
    )
    for of_table, choice in golden.provenance.choices():
        if of_table == table and column in choice.rule.columns:
            break
    else:
        return None
    found = choice.candidates.records.with_columns(
        choice.candidates.trust(choice.rule, rules, as_of).alias("trust"),
        choice.candidates.changed_at(choice.rule.columns).alias("changed"),
    ).filter(pl.col("entity_id") == entity_id)
    return FieldChoice(
        name=choice.name,
        columns=choice.rule.columns,
        strategies=tuple(choice.rule.strategies),
        half_life_days=choice.rule.half_life_days or rules.half_life_days,
        candidates=[_candidate(row, column, choice.rule.columns) for row in found.iter_rows(named=True)],
    )


def _candidate(row: dict[str, Any], column: str, columns: tuple[str, ...]) -> Candidate:
    def text(name: str) -> str | None:
        return None if row[name] is None else str(row[name])

    return Candidate(
        source=row["source"],
        record_id=row["record_id"],
        value=text(column),
        group={name: text(name) for name in columns},
        trust=float(row["trust"]),
        changed_at=row["changed"],
        file=row["file"],
        row_number=row["row_number"],
        landed_at=row["landed_at"],
    )

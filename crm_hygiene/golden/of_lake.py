"""Golden of a lake: its inputs read as building asks for them, and the time it takes ages at.

The night, the canary of a model and the explanation of a cell weigh records at the same time; this is where
it is said. What does not belong here: what golden is (`build`), and making it from what changed (`revise`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from crm_hygiene.asof import end_of_week, latest_landing
from crm_hygiene.contract import contract_of
from crm_hygiene.golden.buckets import entities_within
from crm_hygiene.golden.build import Golden, build_golden
from crm_hygiene.golden.inputs import KEYS
from crm_hygiene.golden.reach import VERSIONS
from crm_hygiene.night import Night
from crm_hygiene.privacy.memory import memory_of

# What lands in these is what ages are reckoned from.
_LANDED = ("conformed.people", "conformed.organisations", "conformed.consents", "conformed.interactions")


def weighed_at(night: Night, versions: Mapping[str, int | None] | None = None) -> datetime:
    """The time golden takes ages at: the end of the week of the latest landing.

    `versions` are those of golden's inputs, None for a table that was not there; without it the live ones.
    """
    lake = night.lake
    found = {table: lake.version(table) for table in _LANDED} if versions is None else versions
    landed = (
        lake.scan(contract_of(table), found[table]).select(pl.col("landed_at").max()).collect()
        for table in _LANDED
        if found[table] is not None
    )
    return end_of_week(latest_landing(*landed))


def golden_of(
    night: Night,
    person_members: pl.DataFrame | None = None,
    organisation_members: pl.DataFrame | None = None,
) -> Golden:
    """Every golden table of the night's lake; other members than the linked ones where they are given."""
    lake = night.lake
    people, organisations, interactions = (
        lake.scan(contract_of(f"conformed.{table}")) for table in ("people", "organisations", "interactions")
    )
    consents = lake.read(contract_of("conformed.consents"))
    if person_members is None:
        person_members = _columns(night, "linked.person_members", [*KEYS, "entity_id"])
    if organisation_members is None:
        organisation_members = _columns(night, "linked.organisation_members", [*KEYS, "entity_id"])
    return build_golden(
        people,
        person_members,
        organisations,
        organisation_members,
        consents,
        interactions,
        night.survivorship,
        weighed_at(night),
        night.systems,
        pins=lake.read(contract_of("stewardship.pins")),
        questions=lake.read(contract_of("linked.questions")),
        users=lake.read(contract_of("conformed.users")),
        opportunities=lake.read(contract_of("conformed.opportunities")),
        versions=_columns(night, "conformed.person_versions", VERSIONS),
        lead_rules=night.lead_rules,
        memory=lambda known, members: memory_of(night, known, consents, interactions, members),
        size=entities_within(night.config.limits.memory_bytes),
    )


def _columns(night: Night, table: str, columns: list[str]) -> pl.DataFrame:
    return night.lake.scan(contract_of(table)).select(columns).collect()

"""The golden layer as one pure function of conformed records, members and rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.accounts import lone_domains, stated_parents
from crm_hygiene.golden.activities import Activities, Tied, tie_people, untied_notes
from crm_hygiene.golden.affiliation import affiliate_people
from crm_hygiene.golden.built import Built
from crm_hygiene.golden.consent import Consent, ConsentMemory, effective_consent
from crm_hygiene.golden.consent_statements import vague_notes
from crm_hygiene.golden.firms import build_firms
from crm_hygiene.golden.inquiries import follow_inquiries
from crm_hygiene.golden.lead_rules import LeadRules, load_lead_rules
from crm_hygiene.golden.lead_states import unknown_statuses
from crm_hygiene.golden.leads import conversion_notes, live_leads
from crm_hygiene.golden.persons import build_persons
from crm_hygiene.golden.provenance import Provenance
from crm_hygiene.golden.quality_score import uniqueness
from crm_hygiene.golden.reach import ORGANISATIONS, PEOPLE, living
from crm_hygiene.spill import gathered
from crm_hygiene.survivorship.deliverability import undeliverable
from crm_hygiene.survivorship.pins import PINS, pins_of_entities
from crm_hygiene.survivorship.rules import Rules

# Entities held at once where nobody says otherwise.
_TOGETHER = 250_000


@dataclass(frozen=True)
class Golden:
    """The golden tables, each in its contract's shape and sorted by its key.

    What is built bucket by bucket, of `persons` (contacts and relationships) and of `firms` (accounts), is
    put by on disk if there are several buckets. `provenance` and `activities` are iterated, not held: frames
    of golden.provenance, of one golden column each, and of golden.activities, one per part of the
    interactions. `notes` are lines a steward should read after the night.
    """

    persons: Built
    firms: Built
    leads: pl.DataFrame
    lead_states: pl.DataFrame
    activities: Activities
    consents: pl.DataFrame
    consent_events: pl.DataFrame
    provenance: Provenance
    notes: tuple[str, ...] = ()

    @cached_property
    def contacts(self) -> pl.DataFrame:
        """golden.contacts, all in memory; so with accounts and relationships."""
        return gathered(self.persons.rows)

    @cached_property
    def accounts(self) -> pl.DataFrame:
        """golden.accounts."""
        return gathered(self.firms.rows)

    @cached_property
    def relationships(self) -> pl.DataFrame:
        """golden.relationships."""
        return gathered(self.persons.relationships)

    def table(self, name: str) -> pl.DataFrame:
        """A golden table by its bare name, whole: what comes in parts is gathered."""
        found: pl.DataFrame | Activities | Provenance = getattr(self, name)
        return found if isinstance(found, pl.DataFrame) else found.collect()


def build_golden(
    people: pl.LazyFrame,
    person_members: pl.DataFrame,
    organisations: pl.LazyFrame,
    organisation_members: pl.DataFrame,
    consents: pl.DataFrame,
    interactions: pl.LazyFrame,
    rules: Rules,
    as_of: datetime,
    systems: Mapping[str, str],
    pins: pl.DataFrame | None = None,
    users: pl.DataFrame | None = None,
    opportunities: pl.DataFrame | None = None,
    versions: pl.DataFrame | None = None,
    lead_rules: LeadRules | None = None,
    questions: pl.DataFrame | None = None,
    memory: Callable[[pl.DataFrame, pl.DataFrame], ConsentMemory] | None = None,
    size: int = _TOGETHER,
) -> Golden:
    """Build every golden table.

    Ages are taken at `as_of`, the end of the week of the latest landing (`asof.end_of_week`), never at the
    clock.
    `systems` maps source to vendor, so that foreign keys find the other sources of their vendor.
    `questions` is linked.questions; without it every golden row counts as unique.
    `pins` is stewardship.pins; without it nothing is pinned. `users`, `opportunities` and `versions`
    (conformed.person_versions) count as empty where they are left out. Frames are conformed.* and
    linked.*_members, people, organisations and interactions lazy: of so many only what is asked for is read.
    Entities whose every record is deleted have no row, while their statements of consent stay in the ledger.
    `memory` tells what is known of consent besides, given addresses and keys of conformed.people and its
    members. `size` is how many entities are held at a time; it changes no row.
    """
    log = contract_of(PINS).empty() if pins is None else pins
    users = contract_of("conformed.users").empty() if users is None else users
    versions = contract_of("conformed.person_versions").empty() if versions is None else versions
    if opportunities is None:
        opportunities = contract_of("conformed.opportunities").empty()
    lead_rules = lead_rules or load_lead_rules()
    doubts = None if questions is None else uniqueness(questions)
    companies = organisations.select(ORGANISATIONS).collect()
    living_firms = living(companies, organisation_members)
    # Most steps keep one core busy, so what does not need each other is computed side by side.
    with ThreadPoolExecutor(1, thread_name_prefix="golden") as beside:
        pending_firms = beside.submit(
            build_firms,
            organisations,
            organisation_members,
            stated_parents(companies, organisation_members, systems),
            lone_domains(companies, organisation_members),
            undeliverable(interactions, companies, "email", rules.bounces, systems),
            pins_of_entities(log, organisation_members, "accounts"),
            doubts,
            rules,
            as_of,
            systems,
            size,
        )
        resolved = people.select(PEOPLE).collect()
        living_people = living(resolved, person_members)
        affiliations = affiliate_people(resolved, companies, organisation_members, systems)
        bounced = undeliverable(interactions, resolved, "email_normalised", rules.bounces, systems)
        consent = effective_consent(
            resolved,
            living_people,
            consents,
            interactions,
            systems,
            bounced,
            None if memory is None else memory(resolved, person_members),
        )
        tied = tie_people(interactions, resolved, living_people, systems)
        firms = pending_firms.result()
    # One after the other: what knows of everybody, then the people, whose buckets are bounded.
    inquiries = follow_inquiries(
        live_leads(people, living_people),
        resolved,
        living_people,
        companies,
        living_firms,
        affiliations,
        tied,
        opportunities,
        users,
        versions,
        systems,
        lead_rules,
    )
    del resolved, companies, pending_firms
    persons = build_persons(
        people,
        living_people,
        affiliations,
        bounced,
        consent.contacts,
        versions,
        living_firms,
        pins_of_entities(log, person_members, "contacts"),
        doubts,
        rules,
        as_of,
        systems,
        size,
    )
    activities = Activities(
        tied,
        pl.concat(rows().select("entity_id", "account_entity_id") for rows in persons.rows),
        gathered(persons.relationships),
        inquiries.leads,
        inquiries.states,
        living_firms,
        systems,
    )
    circles = pl.concat(rows()["hierarchy_problem"].drop_nulls() for rows in firms.rows)
    return Golden(
        persons=persons,
        firms=firms,
        leads=inquiries.leads,
        lead_states=inquiries.states,
        activities=activities,
        notes=night_notes(inquiries.states, inquiries.leads, tied, consent, circles),
        consents=consent.consents,
        consent_events=consent.events,
        provenance=Provenance(
            chosen=(
                *(("contacts", choices) for choices in persons.choices),
                *(("accounts", choices) for choices in firms.choices),
            ),
            stated=consent.provenance,
            rules=rules,
            as_of=as_of,
        ),
    )


def night_notes(
    states: pl.DataFrame, leads: pl.DataFrame, tied: Tied, consent: Consent, circles: pl.Series
) -> tuple[str, ...]:
    """Lines a steward should read after the night; `circles` are problems of hierarchies, by entity_id."""
    return (
        *unknown_statuses(states),
        *conversion_notes(leads),
        *untied_notes(tied),
        *vague_notes(consent.statements),
        *(f"accounts: {problem}" for problem in circles.head(10)),
    )

"""The golden layer as one pure function of conformed records, members and rules."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.accounts import (
    build_accounts,
    gather_organisations,
    lone_domains,
    stated_parents,
)
from crm_hygiene.golden.activities import Activities, Tied, tie_people, untied_notes
from crm_hygiene.golden.affiliation import affiliate_people
from crm_hygiene.golden.consent import Consent, ConsentMemory, effective_consent
from crm_hygiene.golden.consent_statements import vague_notes
from crm_hygiene.golden.contacts import build_contacts, choose_fields, gather_people
from crm_hygiene.golden.hierarchy import without_circles
from crm_hygiene.golden.inquiries import follow_inquiries
from crm_hygiene.golden.lead_rules import LeadRules, load_lead_rules
from crm_hygiene.golden.lead_states import unknown_statuses
from crm_hygiene.golden.leads import conversion_notes, live_leads
from crm_hygiene.golden.provenance import Provenance
from crm_hygiene.golden.reach import ORGANISATIONS, PEOPLE
from crm_hygiene.golden.relationships import build_relationships
from crm_hygiene.survivorship.choose import Choice
from crm_hygiene.survivorship.deliverability import undeliverable
from crm_hygiene.survivorship.pins import PINS, pins_of_entities
from crm_hygiene.survivorship.rules import Rules


@dataclass(frozen=True)
class Golden:
    """The golden tables, each in its contract's shape and sorted by its key.

    `provenance` and `activities` are iterated, not held: frames of golden.provenance, of one golden column
    each, and of golden.activities, one per part of the interactions. `notes` are lines a steward should
    read after the night.
    """

    contacts: pl.DataFrame
    accounts: pl.DataFrame
    leads: pl.DataFrame
    lead_states: pl.DataFrame
    relationships: pl.DataFrame
    activities: Activities
    consents: pl.DataFrame
    consent_events: pl.DataFrame
    provenance: Provenance
    notes: tuple[str, ...] = ()

    def table(self, name: str) -> pl.DataFrame:
        """A golden table by its bare name, whole: what comes in parts is gathered."""
        found: pl.DataFrame | Activities | Provenance = getattr(self, name)
        return found if isinstance(found, pl.DataFrame) else found.collect()


@dataclass(frozen=True)
class _Firms:
    """golden.accounts with what it is made of: the choices, circles of parents, members that live."""

    accounts: pl.DataFrame
    choices: list[Choice]
    circles: pl.DataFrame
    living: pl.DataFrame


def _build_firms(
    organisations: pl.DataFrame,
    members: pl.DataFrame,
    interactions: pl.LazyFrame,
    log: pl.DataFrame,
    rules: Rules,
    as_of: datetime,
    systems: Mapping[str, str],
    questions: pl.DataFrame | None,
) -> _Firms:
    bounced = undeliverable(interactions, organisations, "email", rules.bounces, systems)
    parents = stated_parents(organisations, members, systems)
    firms = gather_organisations(organisations, members, parents, rules, systems, bounced)
    pins = pins_of_entities(log, members, "accounts")
    firms, circles = without_circles(firms, rules, as_of, pins)
    choices = choose_fields(firms, "accounts", rules, as_of, pins)
    lone = lone_domains(organisations, members)
    accounts = build_accounts(firms, choices, circles, lone, rules, as_of, questions)
    living = members.filter(pl.col("entity_id").is_in(firms.entities.implode()))
    return _Firms(accounts, choices, circles, living)


def build_golden(
    people: pl.LazyFrame,
    person_members: pl.DataFrame,
    organisations: pl.DataFrame,
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
    memory: ConsentMemory | None = None,
) -> Golden:
    """Build every golden table.

    Ages are taken at `as_of`, the end of the week of the latest landing (`asof.end_of_week`), never at the
    clock.
    `systems` maps source to vendor, so that foreign keys find the other sources of their vendor.
    `questions` is linked.questions; without it every golden row counts as unique.
    `pins` is stewardship.pins; without it nothing is pinned. `users`, `opportunities` and `versions`
    (conformed.person_versions) count as empty where they are left out. Frames are conformed.* and
    linked.*_members, people and interactions lazy: of so many only what is asked for is read. Entities whose
    every record is deleted have no row, while their statements of consent stay in the ledger. `memory` is
    what is known of consent besides.
    """
    log = contract_of(PINS).empty() if pins is None else pins
    users = contract_of("conformed.users").empty() if users is None else users
    versions = contract_of("conformed.person_versions").empty() if versions is None else versions
    if opportunities is None:
        opportunities = contract_of("conformed.opportunities").empty()
    lead_rules = lead_rules or load_lead_rules()
    # Most steps keep one core busy, so what does not need each other is computed side by side.
    with ThreadPoolExecutor(1, thread_name_prefix="golden") as beside:
        pending_firms = beside.submit(
            _build_firms,
            organisations,
            organisation_members,
            interactions,
            log,
            rules,
            as_of,
            systems,
            questions,
        )
        resolved = people.select(PEOPLE).collect()
        affiliations = affiliate_people(resolved, organisations, organisation_members, systems)
        bounced = undeliverable(interactions, resolved, "email_normalised", rules.bounces, systems)
        persons = gather_people(people, person_members, affiliations, rules, systems, bounced)
        living = person_members.filter(pl.col("entity_id").is_in(persons.entities.implode()))
        firms = pending_firms.result()
        # Of the wide rows nothing else is asked any more.
        organisations = organisations.select(ORGANISATIONS)

        pending_consent = beside.submit(
            effective_consent, resolved, living, consents, interactions, systems, bounced, memory
        )
        person_pins = pins_of_entities(log, person_members, "contacts")
        person_choices = choose_fields(persons, "contacts", rules, as_of, person_pins)
        relationships = build_relationships(persons, versions, firms.living, systems)
        consent = pending_consent.result()

        pending_contacts = beside.submit(
            build_contacts, persons, person_choices, consent.contacts, rules, as_of, questions
        )
        tied = tie_people(interactions, resolved, living, systems)
        inquiries = follow_inquiries(
            live_leads(people, living),
            resolved,
            living,
            organisations,
            firms.living,
            affiliations,
            tied,
            opportunities,
            users,
            versions,
            systems,
            lead_rules,
        )
        contacts = pending_contacts.result()
    activities = Activities(
        tied,
        contacts.select("entity_id", "account_entity_id"),
        relationships,
        inquiries.leads,
        inquiries.states,
        firms.living,
        systems,
    )
    return Golden(
        contacts=contacts,
        accounts=firms.accounts,
        leads=inquiries.leads,
        lead_states=inquiries.states,
        relationships=relationships,
        activities=activities,
        notes=night_notes(
            inquiries.states, inquiries.leads, tied, consent, firms.circles["hierarchy_problem"]
        ),
        consents=consent.consents,
        consent_events=consent.events,
        provenance=Provenance(
            choices=(
                *(("contacts", c) for c in person_choices),
                *(("accounts", c) for c in firms.choices),
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

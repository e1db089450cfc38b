"""The golden layer as one pure function of conformed records, members and rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from crm_hygiene.golden.accounts import build_accounts, gather_organisations
from crm_hygiene.golden.activities import build_activities
from crm_hygiene.golden.affiliation import affiliate_people
from crm_hygiene.golden.consent import effective_consent
from crm_hygiene.golden.contacts import build_contacts, choose_fields, gather_people
from crm_hygiene.golden.leads import build_leads
from crm_hygiene.golden.provenance import Provenance
from crm_hygiene.golden.relationships import build_relationships
from crm_hygiene.survivorship.rules import Rules


@dataclass(frozen=True)
class Golden:
    """The golden tables, each in its contract's shape and sorted by its key.

    `provenance` is iterated, not held: frames of golden.provenance, one per golden column.
    """

    contacts: pl.DataFrame
    accounts: pl.DataFrame
    leads: pl.DataFrame
    relationships: pl.DataFrame
    activities: pl.DataFrame
    provenance: Provenance


def build_golden(
    people: pl.DataFrame,
    person_members: pl.DataFrame,
    organisations: pl.DataFrame,
    organisation_members: pl.DataFrame,
    consents: pl.DataFrame,
    interactions: pl.DataFrame,
    rules: Rules,
    as_of: datetime,
    systems: Mapping[str, str],
) -> Golden:
    """Build every golden table.

    `as_of` is the latest landing time (UTC): ages are taken against it, never against the clock.
    `systems` maps source to vendor, so that foreign keys find the other sources of their vendor.
    Frames are conformed.* and linked.*_members; entities whose every record is deleted have no row,
    while their statements of consent stay in the ledger.
    """
    affiliations = affiliate_people(people, organisations, organisation_members, systems)
    persons = gather_people(people, person_members, affiliations, rules, systems)
    person_choices = choose_fields(persons, "contacts", rules, as_of)
    living = person_members.filter(pl.col("entity_id").is_in(persons.entities.implode()))
    consent, consent_provenance = effective_consent(people, living, consents, interactions, systems)
    contacts = build_contacts(persons, person_choices, consent, rules, as_of)

    companies = gather_organisations(organisations, organisation_members, rules, systems)
    company_choices = choose_fields(companies, "accounts", rules, as_of)
    living_companies = organisation_members.filter(pl.col("entity_id").is_in(companies.entities.implode()))
    return Golden(
        contacts=contacts,
        accounts=build_accounts(companies, company_choices, rules, as_of),
        leads=build_leads(people, living, affiliations),
        relationships=build_relationships(persons),
        activities=build_activities(interactions, people, living, contacts, living_companies, systems),
        provenance=Provenance(
            choices=(
                *(("contacts", c) for c in person_choices),
                *(("accounts", c) for c in company_choices),
            ),
            stated=consent_provenance,
            rules=rules,
            as_of=as_of,
        ),
    )

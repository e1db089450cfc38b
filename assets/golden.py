"""Golden: one row per person and organisation, what hangs on them, and where every cell came from."""

from __future__ import annotations

import dagster as dg

from assets.presentation import Lineage
from assets.publication import Step, Tables, step_asset
from crm_hygiene.asof import latest_landing
from crm_hygiene.contract import contract_of
from crm_hygiene.golden import build_golden
from crm_hygiene.night import Night
from crm_hygiene.survivorship import load_rules

READS = (
    "conformed.people",
    "conformed.organisations",
    "conformed.consents",
    "conformed.interactions",
    "linked.person_members",
    "linked.organisation_members",
)


_PEOPLE = ("conformed.people", "linked.person_members")
_AFFILIATION = ("conformed.organisations", "linked.organisation_members")

_PERSON_ID = (("linked.person_members", "entity_id"),)
_ACCOUNT_ID = (
    ("linked.organisation_members", "entity_id"),
    ("conformed.people", "organisation_record_id"),
    ("conformed.people", "organisation_name_normalised"),
)
_CONSENT = (("conformed.consents", "consent_state"), ("conformed.consents", "stated_at"))

# Columns whose names differ from those they are made of.
_LINEAGE: dict[str, Lineage] = {
    "golden.contacts": {
        "entity_id": _PERSON_ID,
        "emails": (("conformed.people", "email"),),
        "phones": (("conformed.people", "phone"), ("conformed.people", "mobile_phone")),
        "account_entity_id": _ACCOUNT_ID,
        "email_consent": _CONSENT,
        "phone_consent": _CONSENT,
        "is_suppressed": _CONSENT,
    },
    "golden.accounts": {
        "entity_id": (("linked.organisation_members", "entity_id"),),
        "domains": (("conformed.organisations", "website_domain"),),
    },
    "golden.leads": {"person_entity_id": _PERSON_ID, "account_entity_id": _ACCOUNT_ID},
    "golden.relationships": {"person_entity_id": _PERSON_ID, "account_entity_id": _ACCOUNT_ID},
    "golden.activities": {"person_entity_id": _PERSON_ID, "account_entity_id": _ACCOUNT_ID},
}


def _compute(night: Night) -> Tables:
    people, organisations, consents, interactions, person_members, organisation_members = (
        night.lake.read(contract_of(table)) for table in READS
    )
    own = night.config.rules.survivorship
    golden = build_golden(
        people,
        person_members,
        organisations,
        organisation_members,
        consents,
        interactions,
        load_rules(night.config.resolve(own) if own else None),
        latest_landing(people, organisations, consents, interactions),
        night.systems,
    )
    return {
        "golden.contacts": golden.contacts,
        "golden.accounts": golden.accounts,
        "golden.leads": golden.leads,
        "golden.relationships": golden.relationships,
        "golden.activities": golden.activities,
        "golden.provenance": golden.provenance,
    }


def golden_assets() -> list[dg.AssetsDefinition]:
    """Contacts, accounts, leads, relationships, activities and the provenance of every cell."""
    return [
        step_asset(
            Step(
                name="golden",
                tables=(
                    "golden.contacts",
                    "golden.accounts",
                    "golden.leads",
                    "golden.relationships",
                    "golden.activities",
                    "golden.provenance",
                ),
                reads=READS,
                compute=_compute,
                made_from={
                    "golden.accounts": ("conformed.organisations", "linked.organisation_members"),
                    "golden.leads": (*_PEOPLE, *_AFFILIATION),
                    "golden.relationships": (*_PEOPLE, *_AFFILIATION),
                    "golden.activities": ("conformed.interactions", *_PEOPLE, *_AFFILIATION),
                },
                column_sources={
                    "golden.contacts": ("conformed.people",),
                    "golden.accounts": ("conformed.organisations",),
                    "golden.leads": ("conformed.people",),
                    "golden.relationships": ("conformed.people",),
                    "golden.activities": ("conformed.interactions",),
                },
                column_lineage=_LINEAGE,
            )
        )
    ]

"""Golden: one row per person and organisation, what hangs on them, and where every cell came from."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
import polars as pl

from assets.gating import Parts
from assets.presentation import Lineage
from assets.publication import Step, Tables, step_asset
from crm_hygiene.contract import contract_of
from crm_hygiene.golden.buckets import entities_within
from crm_hygiene.golden.inputs import Inputs
from crm_hygiene.golden.of_lake import golden_of, weighed_at
from crm_hygiene.golden.revise import revise_golden
from crm_hygiene.made_from import state_at, versions_made_from
from crm_hygiene.night import Night
from crm_hygiene.privacy.memory import memory_of
from crm_hygiene.progress import tell
from crm_hygiene.revision import StreamedRevision
from crm_hygiene.spill import PutBy

READS = (
    "conformed.people",
    "conformed.organisations",
    "conformed.consents",
    "conformed.interactions",
    "linked.person_members",
    "linked.organisation_members",
    "stewardship.pins",
    "linked.questions",
    "conformed.users",
    "conformed.opportunities",
    "conformed.person_versions",
    "privacy.suppressions",
    "linked.person_history",
    "linked.person_entities",
)


TABLES = (
    "golden.contacts",
    "golden.accounts",
    "golden.leads",
    "golden.lead_states",
    "golden.relationships",
    "golden.activities",
    "golden.consents",
    "golden.consent_events",
    "golden.provenance",
)

_PEOPLE = ("conformed.people", "linked.person_members")
_CONSENTS = (
    "conformed.consents",
    "conformed.interactions",
    *_PEOPLE,
    "privacy.suppressions",
    "linked.person_history",
    "linked.person_entities",
)
_AFFILIATION = ("conformed.organisations", "linked.organisation_members")

_PERSON_ID = (("linked.person_members", "entity_id"),)
_ACCOUNT_ID = (
    ("linked.organisation_members", "entity_id"),
    ("conformed.people", "organisation_record_id"),
    ("conformed.people", "organisation_name_normalised"),
)
_LIFE = (("conformed.people", "lead_status"), ("conformed.person_versions", "lead_status"))
_OWNER = (
    ("conformed.people", "owner_id"),
    ("conformed.organisations", "owner_id"),
    ("conformed.users", "is_active"),
)
_PARENT = (
    ("linked.organisation_members", "entity_id"),
    ("conformed.organisations", "parent_record_id"),
)
_EMPLOYED = (
    ("conformed.people", "observed_at"),
    ("conformed.people", "created_at"),
    ("conformed.person_versions", "organisation_record_id"),
    ("conformed.person_versions", "observed_at"),
)
_CONSENT = (("conformed.consents", "consent_state"), ("conformed.consents", "stated_at"))


def _summed_up(kind: str, table: str) -> Lineage:
    """Columns that count, date and score the records behind a contact or an account."""
    members = f"linked.{kind}_members"
    return {
        "record_count": ((members, "record_id"),),
        "source_count": ((members, "source"),),
        "first_seen_at": ((table, "created_at"), (table, "observed_at")),
        "last_seen_at": ((table, "observed_at"),),
        "freshness_score": ((table, "observed_at"),),
        "validity_score": ((table, "problems"),),
        "uniqueness_score": (("linked.questions", "match_probability"),),
    }


# Columns whose names differ from those they are made of.
_LINEAGE: dict[str, Lineage] = {
    "golden.contacts": {
        "entity_id": _PERSON_ID,
        "emails": (("conformed.people", "email"),),
        "phones": (("conformed.people", "phone"), ("conformed.people", "mobile_phone")),
        "account_entity_id": _ACCOUNT_ID,
        "email_consent": (*_CONSENT, ("conformed.interactions", "interaction_kind")),
        "phone_consent": _CONSENT,
        "is_suppressed": _CONSENT,
        **_summed_up("person", "conformed.people"),
    },
    "golden.accounts": {
        "entity_id": (("linked.organisation_members", "entity_id"),),
        "emails": (("conformed.organisations", "email"),),
        "phones": (("conformed.organisations", "phone"),),
        "domains": (("conformed.organisations", "website_domain"), ("conformed.organisations", "email")),
        "parent_entity_id": _PARENT,
        "ultimate_parent_entity_id": _PARENT,
        "hierarchy_depth": _PARENT,
        "hierarchy_problem": _PARENT,
        **_summed_up("organisation", "conformed.organisations"),
    },
    "golden.consents": {
        "entity_id": _PERSON_ID,
        "effective_consent": _CONSENT,
        "event_id": _CONSENT,
        "statement_count": _CONSENT,
        "is_undeliverable": (("conformed.interactions", "interaction_kind"), ("conformed.people", "email")),
    },
    "golden.consent_events": {
        "event_id": (*_CONSENT, *_PERSON_ID),
        "statement_id": _CONSENT,
        "entity_id": _PERSON_ID,
        "tied_by": tuple(
            (f"conformed.{table}", column)
            for table, columns in (
                ("consents", ("person_record_id", "email_normalised", "phone")),
                ("people", ("record_id", "email_normalised", "phone", "mobile_phone")),
            )
            for column in columns
        ),
        "is_in_force": (*_CONSENT, ("conformed.consents", "evidence_kind")),
        "lifted_by": (*_CONSENT, ("conformed.consents", "evidence_kind")),
        "note": (("conformed.consents", "channel"), ("conformed.consents", "purpose")),
    },
    "golden.leads": {
        "person_entity_id": _PERSON_ID,
        **dict.fromkeys(
            ("account_entity_id", "account_rule", "account_runner_up", "account_candidates"),
            (
                *_ACCOUNT_ID,
                ("conformed.people", "converted_organisation_record_id"),
                ("conformed.people", "email_domain"),
                ("conformed.people", "website_domain"),
            ),
        ),
        "lead_state": _LIFE,
        "lead_status": _LIFE,
        "owner_id": _OWNER,
        "owner_rule": _OWNER,
        "owner_name": (("conformed.users", "user_name"),),
        "stated_owner_id": (("conformed.people", "owner_id"),),
        "converted_person_entity_id": (*_PERSON_ID, ("conformed.people", "converted_person_record_id")),
        "opportunity_source": (("conformed.opportunities", "source"),),
        "opportunity_record_id": (("conformed.people", "converted_opportunity_record_id"),),
    },
    "golden.lead_states": {
        "person_entity_id": _PERSON_ID,
        "lead_state": _LIFE,
        "lead_status": _LIFE,
        **dict.fromkeys(
            ("valid_from", "valid_to", "is_current"),
            (("conformed.people", "observed_at"), ("conformed.person_versions", "observed_at")),
        ),
    },
    "golden.relationships": {
        "person_entity_id": _PERSON_ID,
        "account_entity_id": (*_ACCOUNT_ID, ("conformed.person_versions", "organisation_record_id")),
        **dict.fromkeys(("valid_from", "valid_to", "is_current"), _EMPLOYED),
        "record_count": (("linked.person_members", "record_id"),),
    },
    "golden.activities": {
        "person_entity_id": (
            *_PERSON_ID,
            ("conformed.interactions", "person_record_id"),
            ("conformed.interactions", "email_normalised"),
            ("conformed.interactions", "phone"),
        ),
        "person_rule": (
            ("conformed.interactions", "person_record_id"),
            ("conformed.interactions", "email_normalised"),
            ("conformed.interactions", "phone"),
        ),
        "account_entity_id": (*_ACCOUNT_ID, ("conformed.interactions", "organisation_record_id")),
        "lead_record_source": (("conformed.people", "source"),),
        "lead_record_id": (("conformed.people", "record_id"),),
    },
}


# Fields of `golden.inputs.Inputs` and the tables they are.
_INPUTS = {
    "people": "conformed.people",
    "person_members": "linked.person_members",
    "organisations": "conformed.organisations",
    "organisation_members": "linked.organisation_members",
    "interactions": "conformed.interactions",
    "versions": "conformed.person_versions",
    "questions": "linked.questions",
    "pins": "stewardship.pins",
}


def _then_and_now(night: Night, then: dict[str, int | None]) -> tuple[Inputs, Inputs]:
    """What golden was made from, by version of its inputs, and what it is made from now."""
    now = {field: night.lake.scan(contract_of(table)) for field, table in _INPUTS.items()}
    was = {}
    for field, table in _INPUTS.items():
        if state_at(night, table, then[table]) == night.lake.state(table):
            was[field] = now[field]
        elif then[table] is None:
            was[field] = contract_of(table).empty().lazy()
        else:
            was[field] = night.lake.scan(contract_of(table), then[table])
    return Inputs(**was), Inputs(**now)


def _revised(night: Night) -> Tables | None:
    """Golden made from what changed since the live tables; None where it has to be made whole."""
    then = versions_made_from(night, TABLES, READS)
    if then is None:
        return None
    as_of = weighed_at(night)
    if weighed_at(night, then) != as_of:
        return None
    was, now = _then_and_now(night, then)
    consents, users, opportunities = (
        night.lake.read(contract_of(f"conformed.{table}")) for table in ("consents", "users", "opportunities")
    )
    interactions = now.interactions
    revised = revise_golden(
        was,
        now,
        {table: night.lake.scan(contract_of(table)) for table in TABLES},
        consents,
        interactions,
        users,
        opportunities,
        lambda people, members: memory_of(night, people, consents, interactions, members),
        night.survivorship,
        night.lead_rules,
        as_of,
        night.systems,
        entities_within(night.config.limits.memory_bytes),
    )
    if revised is None:
        return None
    people, organisations = revised.touched
    tell(f"golden: {people:,} people and {organisations:,} organisations are reached by what changed")
    night.say(revised.notes)
    return {
        **revised.tables,
        "golden.activities": StreamedRevision(revised.activities.kept(), revised.activities.fresh()),
        "golden.provenance": revised.provenance,
    }


def _held_or_in_parts(buckets: Sequence[PutBy]) -> pl.DataFrame | Parts:
    return buckets[0]() if len(buckets) == 1 else (rows() for rows in buckets)


def _compute(night: Night) -> Tables:
    return _revised(night) or _whole(night)


def _whole(night: Night) -> Tables:
    golden = golden_of(night)
    night.say(golden.notes)
    return {
        "golden.contacts": _held_or_in_parts(golden.persons.rows),
        "golden.accounts": _held_or_in_parts(golden.firms.rows),
        "golden.leads": golden.leads,
        "golden.lead_states": golden.lead_states,
        "golden.relationships": _held_or_in_parts(golden.persons.relationships),
        "golden.activities": golden.activities,
        "golden.consents": golden.consents,
        "golden.consent_events": golden.consent_events,
        "golden.provenance": golden.provenance,
    }


def golden_step() -> Step:
    """The one step that makes all golden tables."""
    return Step(
        name="golden",
        tables=TABLES,
        reads=READS,
        pins=dict.fromkeys(TABLES, READS),
        compute=_compute,
        untold=frozenset({"golden.activities", "golden.provenance"}),
        made_from={
            "golden.consents": _CONSENTS,
            "golden.consent_events": _CONSENTS,
            "golden.accounts": (
                "conformed.organisations",
                "linked.organisation_members",
                "linked.questions",
                "stewardship.pins",
            ),
            "golden.leads": (
                *_PEOPLE,
                *_AFFILIATION,
                "conformed.interactions",
                "conformed.users",
                "conformed.opportunities",
                "conformed.person_versions",
            ),
            "golden.lead_states": (*_PEOPLE, "conformed.person_versions"),
            "golden.relationships": (*_PEOPLE, *_AFFILIATION, "conformed.person_versions"),
            "golden.activities": (
                "conformed.interactions",
                "conformed.person_versions",
                *_PEOPLE,
                *_AFFILIATION,
            ),
        },
        column_sources={
            "golden.consents": ("conformed.consents",),
            "golden.consent_events": ("conformed.consents",),
            "golden.contacts": ("conformed.people",),
            "golden.accounts": ("conformed.organisations",),
            "golden.leads": ("conformed.people",),
            "golden.lead_states": ("conformed.people",),
            "golden.relationships": ("conformed.people",),
            "golden.activities": ("conformed.interactions",),
        },
        column_lineage=_LINEAGE,
    )


def golden_assets() -> list[dg.AssetsDefinition]:
    """Contacts, accounts, leads, relationships, activities and the provenance of every cell."""
    return [step_asset(golden_step())]

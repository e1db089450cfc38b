"""golden.leads: a person's inquiries, with where they stand, who owns them and what they became.

A person who asked several times has several leads. What does not belong here: the life of a lead
(`lead_states`), finding its account (`lead_matching`) and its owner (`ownership`).
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.lead_matching import Accounts, match_leads
from crm_hygiene.golden.lead_rules import LeadRules
from crm_hygiene.golden.ownership import assign_owners
from crm_hygiene.golden.references import resolve, with_system

LEAD_KINDS = ["lead", "inquiry"]
KEYS = ["source", "record_id"]

# Leads matched at once.
_TOGETHER = 500_000

# What else of a lead is looked at, beside the columns of golden.leads.
_LOOKED_AT = [
    "observed_at",
    "email_domain",
    "email_kind",
    "website_domain",
    "organisation_name_normalised",
    "organisation_record_id",
    "country_code",
    "converted_person_record_id",
    "converted_organisation_record_id",
    "converted_opportunity_record_id",
]


def live_leads(people: pl.LazyFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Rows of conformed.people that are leads and not deleted, with person_entity_id, sorted by key."""
    shown = [c for c in contract_of("golden.leads").column_names if c in people.collect_schema().names()]
    return (
        people.filter(pl.col("person_kind").is_in(LEAD_KINDS) & ~pl.col("is_deleted").fill_null(False))
        .select(*shown, *_LOOKED_AT)
        .collect()
        .join(members.select(*KEYS, person_entity_id="entity_id"), on=KEYS, how="inner")
        .sort(KEYS)
    )


def build_leads(
    leads: pl.DataFrame,
    states: pl.DataFrame,
    accounts: Accounts,
    people: pl.DataFrame,
    members: pl.DataFrame,
    organisations: pl.DataFrame,
    opportunities: pl.DataFrame,
    users: pl.DataFrame,
    systems: Mapping[str, str],
    rules: LeadRules,
) -> pl.DataFrame:
    """golden.leads, sorted by (source, record_id).

    Parameters
    ----------
    leads
        of `live_leads`.
    states
        golden.lead_states: the current state and status are taken from it, and when a lead was
        converted that does not say so itself.
    people, members
        conformed.people and the members of entities with a golden row.
    organisations, opportunities, users
        conformed tables.
    """
    # Leads are matched each for itself, so that many need not be held with all their candidates.
    parts = list(leads.iter_slices(_TOGETHER)) or [leads]
    matched = pl.concat(match_leads(part, accounts, systems, rules.matching) for part in parts)
    current = states.filter("is_current").select(*KEYS, "lead_state", "lead_status")
    conversions = (
        states.filter(pl.col("lead_state") == "converted")
        .group_by(KEYS)
        .agg(_seen=pl.col("valid_from").max())
    )
    frame = (
        leads.drop("lead_status")
        .join(current, on=KEYS, how="left")
        .join(conversions, on=KEYS, how="left")
        .join(matched, on=KEYS, how="left")
        .with_columns(
            is_converted=pl.col("is_converted").fill_null(False)
            | (pl.col("lead_state") == "converted").fill_null(False)
        )
        .with_columns(converted_at=pl.when("is_converted").then(pl.coalesce("converted_at", "_seen")))
    )
    frame = resolve(frame, "converted_person_record_id", members, systems, "converted_person_entity_id")
    frame = _with_opportunity(frame, opportunities, systems)
    companies = accounts.records.join(
        organisations.select(*KEYS, "owner_id", "industry"), on=KEYS, how="left", maintain_order="left"
    )
    contacts = (
        people.filter(~pl.col("person_kind").is_in(LEAD_KINDS) & ~pl.col("is_deleted").fill_null(False))
        .select(*KEYS, "owner_id", "observed_at")
        .join(members.select(*KEYS, "entity_id"), on=KEYS, how="inner")
    )
    owners = assign_owners(frame, companies, contacts, users, systems, rules.owners)
    contract = contract_of("golden.leads")
    return contract.shape(
        frame.drop("owner_id").join(owners, on=KEYS, how="left").select(contract.column_names)
    ).sort(KEYS)


def conversion_notes(leads: pl.DataFrame) -> list[str]:
    """Lines for the steward: leads whose contact linkage takes for somebody else."""
    apart = leads.filter(pl.col("converted_person_entity_id") != pl.col("person_entity_id")).select(
        "source", "record_id"
    )
    if apart.is_empty():
        return []
    source, record_id = apart.row(0)
    return [
        f"leads: {apart.height} were converted into a contact that is held for another person, "
        f"as {source} {record_id}"
    ]


def _with_opportunity(
    leads: pl.DataFrame, opportunities: pl.DataFrame, systems: Mapping[str, str]
) -> pl.DataFrame:
    """Add opportunity_source and opportunity_record_id: the opportunity a lead became."""
    stated = pl.col("converted_opportunity_record_id")
    if leads[stated.meta.output_name()].null_count() == leads.height:
        return leads.with_columns(
            opportunity_source=pl.lit(None, dtype=pl.String),
            opportunity_record_id=pl.lit(None, dtype=pl.String),
        )
    known = (
        with_system(opportunities.select(KEYS).sort(KEYS), systems)
        .unique(["system", "record_id"], keep="first", maintain_order=True)
        .select("system", opportunity_source="source", converted_opportunity_record_id="record_id")
    )
    return (
        with_system(leads, systems)
        .join(known, on=["system", "converted_opportunity_record_id"], how="left", maintain_order="left")
        .drop("system")
        .with_columns(opportunity_record_id=stated)
    )

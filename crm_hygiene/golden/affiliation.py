"""Affiliation: which organisation entity a person record belongs to.

Relationships and the account of a contact are read from it; history belongs to `relationships`.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from crm_hygiene.golden.activities import Tied
from crm_hygiene.golden.lead_matching import Accounts
from crm_hygiene.golden.leads import LEAD_KINDS
from crm_hygiene.golden.references import resolve, unambiguous

_NEEDED = [
    "source",
    "record_id",
    "organisation_record_id",
    "converted_organisation_record_id",
    "organisation_name_normalised",
    "email_domain",
    "email_kind",
]


def affiliate_people(
    people: pl.DataFrame,
    organisations: pl.DataFrame,
    organisation_members: pl.DataFrame,
    systems: Mapping[str, str],
) -> pl.DataFrame:
    """Organisation of every person record that has one: source, record_id, account_entity_id.

    In order: the record's organisation key, the account it was converted into, the normalised name
    where exactly one entity bears it, the e-mail domain of a personal mailbox where exactly one
    entity has it as its website. Only organisations with a live record are found.
    """
    live = organisations.filter(~pl.col("is_deleted").fill_null(False)).select(
        "source", "record_id", "organisation_name_normalised", "website_domain"
    )
    members = organisation_members.select("source", "record_id", "entity_id")
    known = live.join(members, on=["source", "record_id"], how="inner")
    alive = known.select("entity_id").unique()
    # A key may point at a deleted record whose entity lives on in another record.
    targets = members.join(alive, on="entity_id", how="semi")
    frame = people.select(_NEEDED)
    frame = resolve(frame, "organisation_record_id", targets, systems, "_by_key")
    frame = resolve(frame, "converted_organisation_record_id", targets, systems, "_by_conversion")
    by_name = unambiguous(known, "organisation_name_normalised", "_by_name")
    by_domain = unambiguous(known, "website_domain", "_by_domain").rename({"website_domain": "_domain"})
    return (
        frame.with_columns(_domain=pl.when(pl.col("email_kind") == "person").then("email_domain"))
        .join(by_name, on="organisation_name_normalised", how="left")
        .join(by_domain, on="_domain", how="left")
        .select(
            "source",
            "record_id",
            account_entity_id=pl.coalesce("_by_key", "_by_conversion", "_by_name", "_by_domain"),
        )
        .filter(pl.col("account_entity_id").is_not_null())
    )


def matchable_accounts(
    people: pl.DataFrame,
    members: pl.DataFrame,
    affiliations: pl.DataFrame,
    organisations: pl.DataFrame,
    organisation_members: pl.DataFrame,
    tied: Tied,
    opportunities: pl.DataFrame,
    systems: Mapping[str, str],
) -> Accounts:
    """What leads are matched against.

    `affiliations` are those of `affiliate_people`, of which the contacts' count; `tied` is of
    `activities.tie_people`. An account is active when something was done with it
    or with a person whose newest contact record belongs to it, or when an opportunity of it changed.
    """
    keys = ["source", "record_id"]
    records = (
        organisations.filter(~pl.col("is_deleted").fill_null(False))
        .select(
            *keys,
            "website_domain",
            "organisation_name_normalised",
            "country_code",
            "employee_count",
            "created_at",
            "observed_at",
        )
        .join(organisation_members.select(*keys, "entity_id"), on=keys, how="inner")
        .sort(keys)
    )
    of_person = (
        people.filter(~pl.col("person_kind").is_in(LEAD_KINDS) & ~pl.col("is_deleted").fill_null(False))
        .select(*keys, "observed_at")
        .join(affiliations, on=keys, how="inner")
        .join(members.select(*keys, person_entity_id="entity_id"), on=keys, how="inner")
        .sort(["observed_at", *keys], descending=[True, False, False], nulls_last=True)
        .unique("person_entity_id", keep="first", maintain_order=True)
        .select("person_entity_id", account="account_entity_id")
    )
    by_person = tied.by_person.join(of_person, on="person_entity_id", how="inner").select("account", "at")
    deals = opportunities.filter(~pl.col("is_deleted").fill_null(False))
    by_key = (
        resolve(
            frame.select("source", "organisation_record_id", at=at),
            "organisation_record_id",
            organisation_members,
            systems,
            "account",
        ).select("account", "at")
        for frame, at in ((tied.by_organisation, "at"), (deals, "observed_at"))
    )
    activity = (
        pl.concat([by_person, *by_key])
        .drop_nulls()
        .group_by("account")
        .agg(last_activity_at=pl.col("at").max())
    )
    return Accounts(records, organisation_members, of_person, activity)

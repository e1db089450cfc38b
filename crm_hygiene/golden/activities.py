"""golden.activities: every interaction, tied to person, organisation and inquiry where they are known.

The table is a function of all interactions, never of the order in which they arrived: an event that
comes late adds its own row and changes no other; one that comes twice is one row already in conformed.
Who is unknown tonight is tied on the night the person appears.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.references import resolve, unambiguous

KEYS = ["source", "record_id"]

# Columns of conformed.interactions that activities are made of.
TOLD = [
    "source",
    "record_id",
    "channel",
    "interaction_kind",
    "person_record_id",
    "organisation_record_id",
    "email",
    "email_normalised",
    "subject",
    "campaign",
    "occurred_at",
]

# Values of person_rule.
BY_KEY, BY_MAILBOX, BY_RECORD = "record key", "mailbox", "the record itself"
SHARED, UNKNOWN, UNSTATED = "none: shared mailbox", "none: unknown mailbox", "none: no mailbox stated"


def tie_people(
    interactions: pl.DataFrame, people: pl.DataFrame, members: pl.DataFrame, systems: Mapping[str, str]
) -> pl.DataFrame:
    """Of the interactions what is told of them here, with person_entity_id and person_rule.

    A person is found by person_record_id in the same system, else by the mailbox where exactly one
    entity has it, else because the interaction is a person record itself (a form submission).
    `members` are of entities that have a golden row. Rows are in an unspecified order, columns are `TOLD`.
    """
    # Millions of rows: what golden.activities does not tell is not carried through the joins.
    frame = resolve(interactions.select(TOLD), "person_record_id", members, systems, "_by_key")
    owned = people.select(*KEYS, "email_normalised").join(members, on=KEYS, how="inner")
    frame = frame.join(unambiguous(owned, "email_normalised", "_by_mail"), on="email_normalised", how="left")
    frame = frame.join(members.select(*KEYS, _by_record="entity_id"), on=KEYS, how="left")
    known = owned.select("email_normalised").drop_nulls().unique()["email_normalised"]
    rule = (
        pl.when(pl.col("_by_key").is_not_null())
        .then(pl.lit(BY_KEY))
        .when(pl.col("_by_mail").is_not_null())
        .then(pl.lit(BY_MAILBOX))
        .when(pl.col("_by_record").is_not_null())
        .then(pl.lit(BY_RECORD))
        .when(pl.col("email_normalised").is_in(known.implode()))
        .then(pl.lit(SHARED))
        .when(pl.col("email_normalised").is_not_null())
        .then(pl.lit(UNKNOWN))
        .otherwise(pl.lit(UNSTATED))
    )
    return frame.with_columns(
        person_entity_id=pl.coalesce("_by_key", "_by_mail", "_by_record"), person_rule=rule
    ).drop("_by_key", "_by_mail", "_by_record")


def build_activities(
    tied: pl.DataFrame,
    contacts: pl.DataFrame,
    relationships: pl.DataFrame,
    leads: pl.DataFrame,
    states: pl.DataFrame,
    organisation_members: pl.DataFrame,
    systems: Mapping[str, str],
) -> pl.DataFrame:
    """golden.activities, sorted by (source, record_id): one row per interaction.

    Parameters
    ----------
    tied
        of `tie_people`.
    contacts, relationships, leads, states
        golden.contacts, golden.relationships, golden.leads and golden.lead_states.
    organisation_members
        of organisations that have a golden row.

    The organisation is the interaction's own, else where the person worked at that time, else the
    contact's. The inquiry is the lead record the interaction names or is, else the newest one of the
    person that was open at that time.
    """
    contract = contract_of("golden.activities")
    frame = resolve(tied, "organisation_record_id", organisation_members, systems, "_own_account")
    frame = _with_former_account(frame, relationships)
    accounts = contacts.select(person_entity_id="entity_id", _account="account_entity_id")
    frame = frame.join(accounts, on="person_entity_id", how="left").with_columns(
        account_entity_id=pl.coalesce("_own_account", "_then", "_account")
    )
    return contract.shape(_with_lead(frame, leads, states, systems).select(contract.column_names)).sort(KEYS)


def untied_notes(activities: pl.DataFrame) -> list[str]:
    """Lines for the steward: how many activities belong to nobody known, and why."""
    untied = activities.filter(pl.col("person_entity_id").is_null())
    if untied.is_empty():
        return []
    counts = untied.group_by("person_rule").len().sort("person_rule")
    told = ", ".join(f"{count} {str(rule).removeprefix('none: ')}" for rule, count in counts.iter_rows())
    return [f"activities: {untied.height} of {activities.height} are tied to nobody yet ({told})"]


def _with_former_account(frame: pl.DataFrame, relationships: pl.DataFrame) -> pl.DataFrame:
    """Add `_then`: the account the person was at when it happened, if they have been at several."""
    several = relationships.filter(pl.len().over("person_entity_id") > 1)
    if several.is_empty():
        return frame.with_columns(_then=pl.lit(None, dtype=pl.String))
    stays = several.select(
        "person_entity_id", "valid_to", _then="account_entity_id", begun="valid_from", is_current="is_current"
    )
    wanted = frame.filter(pl.col("occurred_at").is_not_null()).select(
        *KEYS, "person_entity_id", "occurred_at"
    )
    covering = (
        wanted.join(stays, on="person_entity_id", how="inner")
        .filter(
            (pl.col("begun") <= pl.col("occurred_at"))
            & (pl.col("valid_to").is_null() | (pl.col("occurred_at") < pl.col("valid_to")))
        )
        # Of two at once the one begun last; then the one that still holds.
        .sort([*KEYS, "begun", "is_current", "_then"], descending=[False, False, True, True, False])
        .unique(KEYS, keep="first", maintain_order=True)
    )
    return frame.join(covering.select(*KEYS, "_then"), on=KEYS, how="left")


def _with_lead(
    frame: pl.DataFrame, leads: pl.DataFrame, states: pl.DataFrame, systems: Mapping[str, str]
) -> pl.DataFrame:
    """Add lead_record_source and lead_record_id."""
    # A key is resolved as to an entity: here the entity is the lead itself.
    named = leads.select(*KEYS, entity_id=pl.int_range(pl.len()).cast(pl.String))
    frame = resolve(frame, "person_record_id", named, systems, "_named")
    frame = frame.join(named.select(*KEYS, _itself="entity_id"), on=KEYS, how="left")
    closed = states.filter(
        pl.col("is_current") & pl.col("lead_state").is_in(["converted", "disqualified"])
    ).select(*KEYS, closed_at="valid_from")
    open_leads = (
        leads.with_columns(number=pl.int_range(pl.len()).cast(pl.String))
        .join(closed, on=KEYS, how="left", maintain_order="left")
        .filter(pl.col("created_at").is_not_null())
        .select("person_entity_id", "number", "created_at", "closed_at")
    )
    wanted = frame.filter(
        pl.col("_named").is_null() & pl.col("_itself").is_null() & pl.col("occurred_at").is_not_null()
    ).select(*KEYS, "person_entity_id", "occurred_at")
    then_open = (
        wanted.join(open_leads, on="person_entity_id", how="inner")
        .filter(
            (pl.col("created_at") <= pl.col("occurred_at"))
            & (pl.col("closed_at").is_null() | (pl.col("occurred_at") <= pl.col("closed_at")))
        )
        .with_columns(pl.col("number").cast(pl.Int64))
        .sort([*KEYS, "created_at", "number"], descending=[False, False, True, False])
        .unique(KEYS, keep="first", maintain_order=True)
        .select(*KEYS, _open=pl.col("number").cast(pl.String))
    )
    at = pl.coalesce("_named", "_itself", "_open").cast(pl.UInt32)
    rows = frame.join(then_open, on=KEYS, how="left").with_columns(at.alias("_lead"))
    return rows.with_columns(
        leads["source"].gather(rows["_lead"]).alias("lead_record_source"),
        leads["record_id"].gather(rows["_lead"]).alias("lead_record_id"),
    )

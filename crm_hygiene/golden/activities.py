"""golden.activities: interactions tied to the person, and through the person to the organisation."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.references import resolve, unambiguous


def build_activities(
    interactions: pl.DataFrame,
    people: pl.DataFrame,
    members: pl.DataFrame,
    contacts: pl.DataFrame,
    organisation_members: pl.DataFrame,
    systems: Mapping[str, str],
) -> pl.DataFrame:
    """golden.activities, sorted by (source, record_id).

    A person is found by person_record_id in the same system, else by the mailbox where exactly one
    entity has it, else because the interaction is a person record itself (a form submission). The
    organisation is the interaction's own, else the contact's. `members` are of entities that have a
    golden row; interactions without a person are left out.
    """
    keys = ["source", "record_id"]
    contract = contract_of("golden.activities")
    stated = [c for c in contract.column_names if c in interactions.columns]
    frame = interactions.select(*stated, "person_record_id", "organisation_record_id", "email_normalised")
    frame = resolve(frame, "person_record_id", members, systems, "_by_key")
    owned = people.select(*keys, "email_normalised").join(members, on=keys, how="inner")
    frame = frame.join(unambiguous(owned, "email_normalised", "_by_mail"), on="email_normalised", how="left")
    frame = frame.join(members.select(*keys, _by_record="entity_id"), on=keys, how="left")
    frame = frame.with_columns(person_entity_id=pl.coalesce("_by_key", "_by_mail", "_by_record")).filter(
        pl.col("person_entity_id").is_not_null()
    )
    frame = resolve(frame, "organisation_record_id", organisation_members, systems, "_own_account")
    accounts = contacts.select(person_entity_id="entity_id", _account="account_entity_id")
    frame = frame.join(accounts, on="person_entity_id", how="left").with_columns(
        account_entity_id=pl.coalesce("_own_account", "_account")
    )
    return contract.shape(frame.select(contract.column_names)).sort(keys)

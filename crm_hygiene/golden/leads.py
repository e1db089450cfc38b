"""golden.leads: person records that are leads or inquiries, with the contact and account they became."""

from __future__ import annotations

import polars as pl

from crm_hygiene.contract import contract_of

LEAD_KINDS = ["lead", "inquiry"]


def build_leads(people: pl.DataFrame, members: pl.DataFrame, affiliations: pl.DataFrame) -> pl.DataFrame:
    """golden.leads, sorted by (source, record_id); deleted records are left out.

    `affiliations` (source, record_id, account_entity_id) come from `affiliation.affiliate_people`:
    the organisation a lead was converted into counts where it names none itself.
    """
    keys = ["source", "record_id"]
    leads = people.filter(pl.col("person_kind").is_in(LEAD_KINDS) & ~pl.col("is_deleted").fill_null(False))
    contract = contract_of("golden.leads")
    stated = [c for c in contract.column_names if c in people.columns]
    return contract.shape(
        leads.select(stated)
        .join(members.select(*keys, person_entity_id="entity_id"), on=keys, how="inner")
        .join(affiliations.select(*keys, "account_entity_id"), on=keys, how="left")
        .with_columns(pl.col("is_converted").fill_null(False))
    ).sort(keys)

"""Accounts of organisation entities, built a bucket of them at a time in their hierarchies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import polars as pl

from crm_hygiene.ahead import ahead
from crm_hygiene.golden.accounts import (
    account_columns,
    build_accounts,
    columns_chosen_from,
    gather_organisations,
    parent_columns,
)
from crm_hygiene.golden.buckets import Buckets, rows_of
from crm_hygiene.golden.built import Built, put_choices
from crm_hygiene.golden.contacts import choose_fields
from crm_hygiene.golden.hierarchy import hierarchy_of
from crm_hygiene.spill import PutBy, Spill
from crm_hygiene.survivorship.candidates import Candidates
from crm_hygiene.survivorship.rules import Rules


def build_firms(
    organisations: pl.LazyFrame,
    members: pl.DataFrame,
    parents: pl.DataFrame,
    lone: pl.Series,
    bounced: pl.Series,
    pins: pl.DataFrame,
    doubts: pl.DataFrame | None,
    rules: Rules,
    as_of: datetime,
    systems: Mapping[str, str],
    size: int,
) -> Built:
    """golden.accounts of the entities of `members`, `size` of them at a time.

    Parameters
    ----------
    organisations
        conformed.organisations, lazy and as stored: it is read in slices.
    members
        of whole hierarchies: with an account those above and below it.
    parents, lone
        of `stated_parents` and `lone_domains`.
    bounced
        addresses that mail does not reach.
    pins, doubts
        of `pins_of_entities` and `uniqueness`.
    """
    # Who stands where is a matter of all of them; it is found from few columns.
    narrow = gather_organisations(
        rows_of(organisations, members), members, parents, rules, systems, bounced, parent_columns(rules)
    )
    hierarchy = hierarchy_of(narrow, rules, as_of, pins)
    del narrow
    parents = parents.filter(~pl.col("entity_id").is_in(hierarchy.cut.implode()))
    columns = account_columns(rules)
    buckets = Buckets(members["entity_id"], size)
    spill = Spill(is_held=len(buckets) == 1)

    def candidates() -> Iterator[Candidates]:
        records = buckets.records(organisations.select(columns_chosen_from(organisations, columns)), members)
        for mine, over, rows in zip(buckets.split(members), buckets.split(parents), records, strict=True):
            yield gather_organisations(rows, mine, over, rules, systems, bounced, columns)

    accounts: list[PutBy] = []
    chosen = []
    for firms, places in zip(ahead(candidates()), buckets.split(hierarchy.places), strict=True):
        choices = choose_fields(firms, "accounts", rules, as_of, pins)
        accounts.append(spill.put(build_accounts(firms, choices, places, lone, rules, as_of, doubts)))
        chosen.append(put_choices(choices, spill))
    return Built(tuple(accounts), tuple(chosen))

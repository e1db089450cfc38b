"""golden.contacts: one row per person entity that has a live record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.lists import union_of
from crm_hygiene.golden.quality_score import add_scores, consistency, summarise_records
from crm_hygiene.survivorship.candidates import NEEDED, Candidates, gather_candidates
from crm_hygiene.survivorship.choose import Choice, choose
from crm_hygiene.survivorship.rules import Rules, survivorship_columns


def gather_people(
    people: pl.DataFrame,
    members: pl.DataFrame,
    affiliations: pl.DataFrame,
    rules: Rules,
    systems: Mapping[str, str],
) -> Candidates:
    """Live person records by entity, each with the organisation entity it belongs to."""
    preferred = [r.prefer.column for r in rules.contacts.all_rules.values() if r.prefer is not None]
    columns = [*survivorship_columns("contacts"), *preferred]
    stated = [c for c in people.columns if c in {*NEEDED, *columns}]
    joined = people.select(stated).join(affiliations, on=["source", "record_id"], how="left")
    return gather_candidates(joined, members, systems, columns)


def choose_fields(candidates: Candidates, table: str, rules: Rules, as_of: datetime) -> list[Choice]:
    """One choice per field and group of `contacts` or `accounts`, in a stable order."""
    table_rules = rules.contacts if table == "contacts" else rules.accounts
    return [
        choose(candidates, table, name, rule, rules, as_of) for name, rule in table_rules.all_rules.items()
    ]


def build_contacts(
    candidates: Candidates, choices: list[Choice], consent: pl.DataFrame, rules: Rules, as_of: datetime
) -> pl.DataFrame:
    """golden.contacts, sorted by entity_id, in the contract's shape.

    `consent` is the state of `golden.consent.effective_consent`; who is not in it is `unknown`.
    """
    frame = pl.DataFrame({"entity_id": candidates.entities}).hstack(
        summarise_records(candidates).drop("entity")
    )
    for choice in choices:
        frame = frame.hstack(choice.golden())
    frame = frame.with_columns(
        union_of(candidates, ["email"]).alias("emails"),
        union_of(candidates, ["phone", "mobile_phone"]).alias("phones"),
        consistency(choices, candidates.entities.len()),
    )
    frame = frame.join(consent, on="entity_id", how="left", maintain_order="left").with_columns(
        pl.col("email_consent", "phone_consent").fill_null("unknown"),
        pl.col("is_suppressed").fill_null(False),
    )
    return contract_of("golden.contacts").shape(add_scores(frame, rules.contacts, as_of))

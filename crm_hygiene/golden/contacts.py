"""golden.contacts: one row per person entity that has a live record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.lists import LISTED, best_first, listed_columns
from crm_hygiene.golden.quality_score import add_scores, consistency, summarise_records
from crm_hygiene.survivorship.candidates import NEEDED, Candidates, gather_candidates
from crm_hygiene.survivorship.choose import Choice, choose
from crm_hygiene.survivorship.criteria import columns_read
from crm_hygiene.survivorship.placeholders import without_placeholders
from crm_hygiene.survivorship.rules import Rules, survivorship_columns


def gather_people(
    people: pl.LazyFrame,
    members: pl.DataFrame,
    affiliations: pl.DataFrame,
    rules: Rules,
    systems: Mapping[str, str],
    undeliverable: pl.Series,
) -> Candidates:
    """Live person records by entity, each with the organisation entity it belongs to.

    `people` is conformed.people, lazy: of so many wide rows only the columns chosen from are read.
    `undeliverable` are normalised addresses that mail does not reach.
    """
    columns = [*survivorship_columns("contacts"), *columns_judged(rules, "contacts")]
    joined = people.select(
        *columns_chosen_from(people, rules),
        is_bounced=pl.col("email_normalised").is_in(undeliverable.implode()).fill_null(False),
    ).join(affiliations.lazy(), on=["source", "record_id"], how="left")
    return gather_candidates(
        without_placeholders(joined.collect(), rules.contacts), members, systems, columns, rules.times
    )


def columns_chosen_from(people: pl.LazyFrame, rules: Rules) -> list[str]:
    """Columns of conformed.people that contacts are chosen from."""
    wanted = {
        *NEEDED,
        "email_normalised",
        *survivorship_columns("contacts"),
        *columns_judged(rules, "contacts"),
    }
    return [name for name in people.collect_schema().names() if name in wanted]


def columns_judged(rules: Rules, table: str) -> list[str]:
    """Columns that the strategies of `contacts` or `accounts` look at besides the chosen ones, each once."""
    found = [c for rule in rules.of(table).all_rules.values() for c in columns_read(rule, rules)]
    return list(dict.fromkeys(found))


def choose_fields(
    candidates: Candidates,
    table: str,
    rules: Rules,
    as_of: datetime,
    pins: pl.DataFrame | None = None,
) -> list[Choice]:
    """One choice per field and group of `contacts` or `accounts`, in a stable order.

    `pins` are stewards' pins by entity (`survivorship.pins.pins_of_entities`).
    """
    listed = listed_columns(table)
    return [
        choose(candidates, table, name, rule, rules, as_of, pins, not listed.isdisjoint(rule.columns))
        for name, rule in rules.of(table).all_rules.items()
    ]


def build_contacts(
    candidates: Candidates,
    choices: list[Choice],
    consent: pl.DataFrame,
    rules: Rules,
    as_of: datetime,
    doubts: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """golden.contacts, sorted by entity_id, in the contract's shape.

    `consent` is the state of `golden.consent.effective_consent`; who is not in it is `unknown`. `doubts` are
    of `quality_score.uniqueness`.
    """
    count = candidates.entities.len()
    frame = pl.DataFrame({"entity_id": candidates.entities}).hstack(
        summarise_records(candidates).drop("entity")
    )
    for choice in choices:
        frame = frame.hstack(choice.golden())
    frame = frame.with_columns(
        *(best_first(choices, of, count).alias(name) for name, of in LISTED["contacts"].items()),
        consistency(choices, count),
    )
    frame = frame.join(consent, on="entity_id", how="left", maintain_order="left").with_columns(
        pl.col("email_consent", "phone_consent").fill_null("unknown"),
        pl.col("is_suppressed").fill_null(False),
    )
    return contract_of("golden.contacts").shape(add_scores(frame, rules.contacts, as_of, doubts))

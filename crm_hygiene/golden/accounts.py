"""golden.accounts: one row per organisation entity that has a live record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.contacts import columns_judged
from crm_hygiene.golden.lists import LISTED, best_first, sorted_lists
from crm_hygiene.golden.quality_score import add_scores, consistency, summarise_records
from crm_hygiene.golden.references import resolve, unambiguous
from crm_hygiene.survivorship.candidates import NEEDED, Candidates, gather_candidates
from crm_hygiene.survivorship.choose import Choice
from crm_hygiene.survivorship.criteria import columns_read
from crm_hygiene.survivorship.placeholders import without_placeholders
from crm_hygiene.survivorship.rules import Rules, survivorship_columns

KEYS = ["source", "record_id"]

# What the parents of records are found from.
NAMING_PARENTS = [*KEYS, "is_deleted", "parent_record_id"]


def stated_parents(
    organisations: pl.DataFrame, members: pl.DataFrame, systems: Mapping[str, str]
) -> pl.DataFrame:
    """(source, record_id, entity_id, parent_entity_id) of every record that names a parent.

    A parent that is the entity itself (both records were linked) is none, and one without a live
    record is none.
    """
    live = organisations.filter(~pl.col("is_deleted").fill_null(False)).select(KEYS)
    alive = members.join(live, on=KEYS, how="semi").select("entity_id").unique()
    targets = members.join(alive, on="entity_id", how="semi")
    parents = resolve(
        organisations.select(*KEYS, "parent_record_id"),
        "parent_record_id",
        targets,
        systems,
        "parent_entity_id",
    )
    return (
        parents.join(members.select(*KEYS, "entity_id"), on=KEYS, how="inner")
        .filter(pl.col("parent_entity_id") != pl.col("entity_id"))
        .select(*KEYS, "entity_id", "parent_entity_id")
    )


def lone_domains(organisations: pl.DataFrame, members: pl.DataFrame) -> pl.Series:
    """Domains of e-mail addresses that the live records of exactly one entity use."""
    live = organisations.filter(
        ~pl.col("is_deleted").fill_null(False) & pl.col("email_domain").is_not_null()
    ).select(*KEYS, "email_domain")
    owned = live.join(members.select(*KEYS, "entity_id"), on=KEYS, how="inner")
    return unambiguous(owned, "email_domain", "entity_id_of")["email_domain"]


def gather_organisations(
    organisations: pl.LazyFrame,
    members: pl.DataFrame,
    parents: pl.DataFrame,
    rules: Rules,
    systems: Mapping[str, str],
    undeliverable: pl.Series,
    columns: Sequence[str],
) -> Candidates:
    """Live organisation records by entity, each with the entity of its parent.

    `parents` are those of `stated_parents`; `undeliverable` are addresses that mail does not reach;
    `columns` are of `account_columns` or `parent_columns`.
    """
    joined = (
        organisations.select(columns_chosen_from(organisations, columns))
        .join(parents.lazy().select(*KEYS, "parent_entity_id"), on=KEYS, how="left", maintain_order="left")
        .with_columns(is_bounced=pl.col("email").is_in(undeliverable.implode()).fill_null(False))
    )
    return gather_candidates(
        without_placeholders(joined.collect(), rules.accounts), members, systems, columns, rules.times
    )


def account_columns(rules: Rules) -> list[str]:
    """Columns that accounts are made of, beside those of every candidate."""
    return [*survivorship_columns("accounts"), "email_domain", *columns_judged(rules, "accounts")]


def parent_columns(rules: Rules) -> list[str]:
    """Columns that the parent of an account and its place in a hierarchy are found from."""
    judged = columns_read(rules.accounts.all_rules["parent_entity_id"], rules)
    return list(dict.fromkeys(["parent_entity_id", "employee_count", *judged]))


def columns_chosen_from(organisations: pl.LazyFrame, columns: Sequence[str]) -> list[str]:
    """Those of conformed.organisations that candidates with `columns` are gathered from."""
    wanted = {*NEEDED, "email", *columns}
    return [name for name in organisations.collect_schema().names() if name in wanted]


def build_accounts(
    candidates: Candidates,
    choices: list[Choice],
    places: pl.DataFrame,
    lone: pl.Series,
    rules: Rules,
    as_of: datetime,
    doubts: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """golden.accounts, sorted by entity_id, in the contract's shape.

    `places` are of `hierarchy.Hierarchy`, `lone` those of `lone_domains`, `doubts` of
    `quality_score.uniqueness`.
    """
    count = candidates.entities.len()
    frame = pl.DataFrame({"entity_id": candidates.entities}).hstack(
        summarise_records(candidates).drop("entity")
    )
    for choice in choices:
        frame = frame.hstack(choice.golden())
    frame = frame.with_columns(
        *(best_first(choices, of, count).alias(name) for name, of in LISTED["accounts"].items()),
        sorted_lists(_domains(candidates, lone), count).alias("domains"),
        consistency(choices, count),
    )
    frame = frame.join(places, on="entity_id", how="left", maintain_order="left")
    return contract_of("golden.accounts").shape(add_scores(frame, rules.accounts, as_of, doubts))


def _domains(candidates: Candidates, lone: pl.Series) -> pl.DataFrame:
    """(entity, value): websites, and domains of e-mail addresses that no second entity uses.

    A free mail provider's domain shows itself by its fan-out; with one user it cannot be told apart,
    and does no harm in a list.
    """
    records = candidates.records
    mail = records.select("entity", value="email_domain").drop_nulls().unique()
    return pl.concat(
        [
            records.select("entity", value="website_domain"),
            mail.filter(pl.col("value").is_in(lone.implode())),
        ]
    )

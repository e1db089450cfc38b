"""Lead-to-account matching: which account an inquiry belongs to, and why.

The rules are data (`leads.yaml`): ways to find accounts in order, then standards to compare several by.
What does not belong here: the organisation of a person (`affiliation`), which follows no tie-breakers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from crm_hygiene.golden.lead_rules import MatchingRules, TieBreaker
from crm_hygiene.golden.references import resolve

KEYS = ["source", "record_id"]
_PAIR = ["lead", "account"]
_DAY = 86_400_000_000
_LISTED = 10


@dataclass(frozen=True)
class Accounts:
    """What leads are matched against: organisation entities with a live record.

    Attributes
    ----------
    records
        live records: source, record_id, entity_id, website_domain, organisation_name_normalised,
        country_code, employee_count, created_at, observed_at.
    members
        every record of those entities, deleted ones included: source, record_id, entity_id.
    of_person
        person_entity_id, account: the account of the person's newest contact record.
    activity
        account, last_activity_at.
    """

    records: pl.DataFrame
    members: pl.DataFrame
    of_person: pl.DataFrame
    activity: pl.DataFrame


def match_leads(
    leads: pl.DataFrame, accounts: Accounts, systems: Mapping[str, str], rules: MatchingRules
) -> pl.DataFrame:
    """The account of every lead.

    Parameters
    ----------
    leads
        rows of conformed.people with person_entity_id.

    Returns
    -------
    source, record_id, account_entity_id, account_rule, account_runner_up, account_candidates; one row
    per lead, sorted. Where standards leave several accounts, account_entity_id is null and the
    candidates are listed, by entity_id.
    """
    numbered = leads.sort(KEYS).with_row_index("lead")
    found = {name: _find(name, numbered, accounts, systems, rules.max_candidates) for name in _in_use(rules)}
    pool = pl.DataFrame(schema={"lead": pl.UInt32, "account": pl.String, "rule": pl.String})
    for name in rules.find:
        new = found[name].join(pool.select("lead").unique(), on="lead", how="anti")
        pool = pl.concat([pool, new.with_columns(rule=pl.lit(name))])
    settled = pool.filter(pl.len().over("lead") == 1).with_columns(runner_up=pl.lit(None, dtype=pl.String))
    pool = pool.filter(pl.len().over("lead") > 1)
    outcomes = [settled]
    for standard in rules.tie_breakers:
        if pool.is_empty():
            break
        decided, pool = _compare(pool, standard, numbered, accounts, found)
        outcomes.append(decided.select(settled.columns))
    matched = pl.concat(outcomes).select(
        "lead", account_entity_id="account", account_rule="rule", account_runner_up="runner_up"
    )
    left = (
        pool.sort(_PAIR)
        .group_by("lead", maintain_order=True)
        .agg(pl.col("rule").first(), pl.col("account").head(_LISTED).alias("account_candidates"), n=pl.len())
    )
    result = numbered.select("lead", *KEYS).join(matched, on="lead", how="left")
    result = result.join(left, on="lead", how="left")
    unmatched = pl.format("none: {} accounts by {}", "n", "rule")
    return result.select(
        *KEYS,
        "account_entity_id",
        pl.coalesce("account_rule", unmatched, pl.lit("none: nothing found")).alias("account_rule"),
        "account_runner_up",
        pl.col("account_candidates").fill_null(pl.lit([], dtype=pl.List(pl.String))),
    ).sort(KEYS)


def _in_use(rules: MatchingRules) -> list[str]:
    """Finders that are tried or compared by."""
    compared = [t.by for t in rules.tie_breakers if t.by not in ("country", "activity", "size", "age")]
    return list(dict.fromkeys([*rules.find, *compared]))


def _find(
    name: str, leads: pl.DataFrame, accounts: Accounts, systems: Mapping[str, str], most: int
) -> pl.DataFrame:
    """Pairs (lead, account) that one finder finds, unique."""
    match name:
        case "converted_account":
            return _by_key(leads, "converted_organisation_record_id", accounts, systems)
        case "stated_account":
            return _by_key(leads, "organisation_record_id", accounts, systems)
        case "website_domain":
            return _by_value(leads, pl.col("website_domain"), "website_domain", accounts, most)
        case "email_domain":
            domain = pl.when(pl.col("email_kind").is_in(["person", "role"])).then("email_domain")
            return _by_value(leads, domain, "website_domain", accounts, most)
        case "organisation_name":
            name = "organisation_name_normalised"
            return _by_value(leads, pl.col(name), name, accounts, most)
        case _:
            return leads.join(accounts.of_person, on="person_entity_id", how="inner").select(_PAIR)


def _by_key(leads: pl.DataFrame, column: str, accounts: Accounts, systems: Mapping[str, str]) -> pl.DataFrame:
    stated = leads.filter(pl.col(column).is_not_null()).select("lead", "source", column)
    return resolve(stated, column, accounts.members, systems, "account").select(_PAIR).drop_nulls()


def _by_value(
    leads: pl.DataFrame, stated: pl.Expr, column: str, accounts: Accounts, most: int
) -> pl.DataFrame:
    owners = accounts.records.select(value=column, account="entity_id").drop_nulls().unique()
    telling = owners.filter(pl.len().over("value") <= most)
    return leads.select("lead", value=stated).drop_nulls().join(telling, on="value").select(_PAIR)


def _compare(
    pool: pl.DataFrame,
    standard: TieBreaker,
    leads: pl.DataFrame,
    accounts: Accounts,
    found: Mapping[str, pl.DataFrame],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One standard applied: leads decided by it (lead, account, rule, runner_up), and the pool left.

    An account that the standard says nothing about stands behind every other; if it says nothing about
    any, all stay in.
    """
    valued = _valued(pool, standard, leads, accounts, found)
    best = pl.col("value").max().over("lead")
    margin = standard.margin or 0.0
    if standard.by == "size":
        enough = pl.col("value") * max(margin, 1.0) >= best
    elif standard.by in ("activity", "age"):
        enough = pl.col("value") >= best - margin * _DAY
    else:
        enough = pl.col("value") >= best
    valued = valued.with_columns(stays=(enough | best.is_null()).fill_null(False))
    # A factor of nothing is nothing: without a best above zero all are alike.
    left = valued.filter("stays").with_columns(n=pl.len().over("lead"))
    decided = left.filter(pl.col("n") == 1)
    lost = (
        valued.filter(~pl.col("stays"))
        .sort(["lead", "value", "account"], descending=[False, True, False], nulls_last=True)
        .unique("lead", keep="first", maintain_order=True)
        .select("lead", runner_up="account")
    )
    decided = decided.join(lost, on="lead", how="left").with_columns(
        rule=pl.format(f"{{}}, then {standard.by}", "rule")
    )
    return decided, left.filter(pl.col("n") > 1).select(pool.columns)


def _valued(
    pool: pl.DataFrame,
    standard: TieBreaker,
    leads: pl.DataFrame,
    accounts: Accounts,
    found: Mapping[str, pl.DataFrame],
) -> pl.DataFrame:
    """The pool with `value` (Float64 or Int64, more is better, null where nothing is known)."""
    records = accounts.records
    match standard.by:
        case "country":
            told = records.select(account="entity_id", country="country_code").drop_nulls().unique()
            wanted = leads.select("lead", country="country_code").drop_nulls()
            pairs = pool.select(_PAIR).join(wanted, on="lead").join(told, on=["account", "country"])
            return _with_membership(pool, pairs)
        case "activity":
            at = accounts.activity.select("account", value=pl.col("last_activity_at").dt.timestamp("us"))
            return pool.join(at, on="account", how="left")
        case "size":
            size = records.group_by(account="entity_id").agg(value=pl.col("employee_count").max())
            return pool.join(size, on="account", how="left")
        case "age":
            first = pl.coalesce("created_at", "observed_at").min().dt.timestamp("us")
            return pool.join(
                records.group_by(account="entity_id").agg(value=-first), on="account", how="left"
            )
        case name:
            return _with_membership(pool, found[name])


def _with_membership(pool: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """`value` is 1 for pairs that are in `pairs`, else 0."""
    listed = pairs.select(_PAIR).unique().with_columns(value=pl.lit(1, dtype=pl.Int64))
    return pool.join(listed, on=_PAIR, how="left").with_columns(pl.col("value").fill_null(0))

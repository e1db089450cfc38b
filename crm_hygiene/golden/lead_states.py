"""golden.lead_states: the life of every lead, from its sources' versions of it.

What does not belong here: which words mean which state (`leads.yaml`).
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.lead_rules import LeadRules, folded
from crm_hygiene.golden.references import with_system

KEYS = ["source", "record_id"]


def state_of(status: str, rules: LeadRules) -> str | None:
    """State a source's word means; a word named outright goes before one that fits a pattern."""
    word = folded(status)
    for state, words in rules.states.items():
        if word in map(folded, words):
            return state
    for state, words in rules.states.items():
        if any(fnmatchcase(word, folded(pattern)) for pattern in words):
            return state
    return None


def build_lead_states(
    leads: pl.DataFrame, versions: pl.DataFrame, systems: Mapping[str, str], rules: LeadRules
) -> pl.DataFrame:
    """golden.lead_states, sorted by its key; exactly one row per lead is current.

    Parameters
    ----------
    leads
        live lead records with person_entity_id: rows of conformed.people.
    versions
        conformed.person_versions; those of other records are left out.

    A state begins when a source first tells of it (its own change time) and ends when the next begins;
    the same status told again changes nothing, whenever it arrives. A lead marked as converted is
    converted last of all, at its stated time of conversion if no status says so itself.
    """
    numbered = leads.with_row_index("lead")
    told = pl.concat(
        [
            _told_by_versions(numbered, versions, systems),
            numbered.select(
                "lead",
                "lead_status",
                at=pl.coalesce("observed_at", "created_at"),
                # Of two statuses of one moment, the record as it stands is right.
                is_present=pl.lit(True),
            ),
        ]
    ).with_columns(lead_state=_states(pl.col("lead_status"), rules))
    # A lead of which one version names no status has not lost it.
    speaks = pl.col("lead_status").is_not_null()
    told = _with_conversions(told.filter(speaks | ~speaks.any().over("lead")), numbered)
    told = (
        told.with_columns(has_state=pl.col("lead_state").is_not_null())
        .sort(["lead", "at", "is_present", "has_state", "lead_status"])
        .unique(["lead", "at"], keep="last", maintain_order=True)
    )
    # Sorted by lead: the row before is the lead's own unless it is another's first.
    is_first = pl.col("lead").ne_missing(pl.col("lead").shift(1))
    changed = pl.any_horizontal(
        pl.col(c).ne_missing(pl.col(c).shift(1)) for c in ("lead_status", "lead_state")
    )
    kept = told.filter(is_first | changed)
    is_last = pl.col("lead").ne_missing(pl.col("lead").shift(-1))
    contract = contract_of("golden.lead_states")
    dated = kept.with_columns(
        valid_from="at", valid_to=pl.when(~is_last).then(pl.col("at").shift(-1)), is_current=is_last
    )
    origin = numbered.select("lead", *KEYS, "person_entity_id")
    return contract.shape(dated.join(origin, on="lead", how="left").select(contract.column_names)).sort(
        contract.key
    )


def unknown_statuses(states: pl.DataFrame) -> list[str]:
    """Lines for the steward: statuses of golden.lead_states that no rule knows, the most used first."""
    unknown = (
        states.filter(pl.col("lead_state").is_null() & pl.col("lead_status").is_not_null())
        .group_by("lead_status")
        .agg(leads=pl.struct(KEYS).n_unique())
        .sort("leads", "lead_status", descending=[True, False])
    )
    return [
        f"leads: the status '{status}' of {count} leads has no state; "
        "name it under `states` in your rules of leads"
        for status, count in unknown.head(10).iter_rows()
    ]


def _told_by_versions(
    leads: pl.DataFrame, versions: pl.DataFrame, systems: Mapping[str, str]
) -> pl.DataFrame:
    """Statuses of versions, each with its lead: the one of its own source, else of its system."""
    stated = versions.filter(
        pl.col("lead_status").is_not_null() & pl.col("observed_at").is_not_null()
    ).select(
        "source", "lead_status", at="observed_at", record_id="person_record_id", is_present=pl.lit(False)
    )
    order = ["lead", "lead_status", "at", "is_present"]
    keyed = leads.select("lead", *KEYS)
    own = stated.join(keyed, on=KEYS, how="inner").select(order)
    others = with_system(stated.join(keyed, on=KEYS, how="anti"), systems).drop("source")
    known = with_system(keyed.sort(KEYS), systems).unique(
        ["system", "record_id"], keep="first", maintain_order=True
    )
    return pl.concat([own, others.join(known, on=["system", "record_id"], how="inner").select(order)])


def _states(status: pl.Expr, rules: LeadRules) -> pl.Expr:
    return (
        pl.when(status.is_null())
        .then(pl.lit(rules.without_status))
        .otherwise(
            status.map_batches(
                lambda words: words.replace_strict(
                    {word: state_of(word, rules) for word in words.drop_nulls().unique().sort()},
                    default=None,
                    return_dtype=pl.String,
                ),
                return_dtype=pl.String,
            )
        )
    )


def _with_conversions(told: pl.DataFrame, leads: pl.DataFrame) -> pl.DataFrame:
    """Add when a lead was converted where no status says so, and drop what is told of it afterwards."""
    says = told.filter(pl.col("lead_state") == "converted").select("lead").unique()
    silent = leads.filter(pl.col("is_converted").fill_null(False)).join(says, on="lead", how="anti")
    if silent.is_empty():
        return told
    at = pl.coalesce("converted_at", "modified_at", "observed_at")
    rows = silent.select(
        "lead",
        "lead_status",
        at=pl.min_horizontal(at, "observed_at"),
        is_present=pl.lit(True),
        lead_state=pl.lit("converted"),
    )
    before = told.join(rows.select("lead", converted="at"), on="lead", how="left").filter(
        pl.col("converted").is_null() | (pl.col("at") < pl.col("converted"))
    )
    return pl.concat([before.drop("converted"), rows.select(told.columns)])

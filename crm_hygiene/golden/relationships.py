"""golden.relationships: who works where and since when, as far as the records tell."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.references import resolve
from crm_hygiene.survivorship.candidates import KEY, Candidates

ROLE = "works_at"


def build_relationships(
    candidates: Candidates,
    versions: pl.DataFrame,
    organisation_members: pl.DataFrame,
    systems: Mapping[str, str],
) -> pl.DataFrame:
    """golden.relationships, sorted by its key.

    Parameters
    ----------
    candidates
        people with account_entity_id.
    versions
        conformed.person_versions: a record that names another organisation than before leaves the
        earlier one as a closed relationship.
    organisation_members
        linked members of organisations that have a golden row.

    The account of a person's newest record is the current one. A relationship begins with the first
    creation or observation among its records, or when its record first named the organisation; an older
    one ends when the record names the next, else when the next relationship (by newest record) begins,
    or, where the sources have that overlap the wrong way round, with its own last observation. Source,
    record and job title are those of the relationship's newest record.
    """
    stints = _stints(candidates.records, _former(candidates.records, versions, organisation_members, systems))
    pair = ["entity", "account_entity_id"]
    # What records say now goes before what they said; within that, the newest first: the first row of a
    # pair is its newest, and pairs come in the order of their newest.
    ordered = stints.sort(
        ["entity", "is_open", "last_at", *KEY, "first_at"],
        descending=[False, True, True, False, False, True],
        nulls_last=True,
    )
    pairs = ordered.group_by(pair, maintain_order=True).agg(
        person_entity_id=pl.col("entity_id").first(),
        valid_from=pl.col("first_at").min(),
        last_at=pl.col("last_at").max(),
        left_at=pl.col("left_at").max(),
        is_open=pl.col("is_open").any(),
        job_title=pl.col("job_title").drop_nulls().first(),
        source=pl.col("source").first(),
        record_id=pl.col("record_id").first(),
        record_count=pl.col("is_first_there").sum().cast(pl.Int64),
    )
    newer_from = pl.col("valid_from").shift(1).over("entity")
    is_current = (pl.int_range(pl.len()).over("entity") == 0) & pl.col("is_open")
    dated = pairs.with_columns(newer_from=newer_from, is_current=is_current).with_columns(
        valid_to=pl.when(~pl.col("is_current")).then(
            pl.when(~pl.col("is_open") & (pl.col("left_at") >= pl.col("valid_from")))
            .then("left_at")
            .when(pl.col("newer_from") > pl.col("valid_from"))
            .then("newer_from")
            .otherwise(pl.max_horizontal("last_at", "valid_from"))
        )
    )
    contract = contract_of("golden.relationships")
    shaped = dated.with_columns(role=pl.lit(ROLE)).drop(
        "entity", "newer_from", "last_at", "left_at", "is_open"
    )
    return contract.shape(shaped).sort(contract.key)


def _former(
    records: pl.DataFrame,
    versions: pl.DataFrame,
    organisation_members: pl.DataFrame,
    systems: Mapping[str, str],
) -> pl.DataFrame:
    """Earlier versions of records that once named another organisation than they do now.

    source, record_id, account_entity_id, job_title, at, sorted; the versions that name the present
    organisation are among them, and those without one, because they end a stint.
    """
    known = versions.filter(pl.col("observed_at").is_not_null()).select(
        "source", "organisation_record_id", "job_title", record_id="person_record_id", at="observed_at"
    )
    # Few records ever change hands: only theirs are looked at one by one.
    now = records.select(*KEY, now="account_entity_id", seen="observed_at")
    dated = resolve(known, "organisation_record_id", organisation_members, systems, "account_entity_id")
    dated = dated.join(now, on=KEY, how="inner")
    moved = dated.filter(
        pl.col("account_entity_id").is_not_null() & pl.col("account_entity_id").ne_missing(pl.col("now"))
    )
    return (
        dated.join(moved.select(KEY).unique(), on=KEY, how="semi")
        .filter(pl.col("at") < pl.col("seen"))
        .select(*KEY, "account_entity_id", "job_title", "at")
    )


def _stints(records: pl.DataFrame, former: pl.DataFrame) -> pl.DataFrame:
    """One row per record and unbroken time at one organisation.

    entity, entity_id, source, record_id, account_entity_id, job_title, first_at, last_at (last
    observation), left_at (when the record named another one, or none), is_open (it still names it),
    is_first_there (the record's first time at that organisation).
    """
    facts = ["entity", "entity_id", *KEY, "account_entity_id", "job_title"]
    stayed = (
        records.filter(pl.col("account_entity_id").is_not_null())
        .join(former.select(KEY).unique(), on=KEY, how="anti")
        .select(
            *facts,
            first_at=pl.min_horizontal("created_at", "observed_at"),
            last_at="observed_at",
            left_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
            is_open=pl.lit(True),
            is_first_there=pl.lit(True),
        )
    )
    person = records.select(*KEY, "entity", "entity_id", "created_at").join(former, on=KEY, how="semi")
    present = records.join(former, on=KEY, how="semi").select(
        *KEY, "account_entity_id", "job_title", at="observed_at", is_open=pl.lit(True)
    )
    told = pl.concat([former.with_columns(is_open=pl.lit(False)), present]).sort(
        [*KEY, "at", "is_open", "account_entity_id"]
    )
    stint = pl.struct(*KEY, "account_entity_id").rle_id()
    grouped = told.group_by(*KEY, stint.alias("stint"), maintain_order=True).agg(
        pl.col("account_entity_id").first(),
        job_title=pl.col("job_title").drop_nulls().last(),
        first_at=pl.col("at").min(),
        last_at=pl.col("at").max(),
        is_open=pl.col("is_open").any(),
    )
    is_first = pl.int_range(pl.len()).over(KEY) == 0
    begun = pl.when(is_first).then(pl.min_horizontal("created_at", "first_at")).otherwise("first_at")
    moved = (
        grouped.join(person, on=KEY, how="left", maintain_order="left")
        .with_columns(
            left_at=pl.col("first_at").shift(-1).over(KEY),
            first_at=begun,
            is_first_there=pl.struct(*KEY, "account_entity_id").is_first_distinct(),
        )
        .filter(pl.col("account_entity_id").is_not_null())
    )
    return pl.concat([stayed, moved.select(stayed.columns)])

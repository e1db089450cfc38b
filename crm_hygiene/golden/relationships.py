"""golden.relationships: who works where and since when, as far as the records tell."""

from __future__ import annotations

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.survivorship.candidates import Candidates

ROLE = "works_at"


def build_relationships(candidates: Candidates) -> pl.DataFrame:
    """golden.relationships, sorted by its key; `candidates` are people with account_entity_id.

    The account of a person's newest record is the current one. A relationship begins with the first
    creation or observation among its records; an older one ends when the next one (by newest record)
    begins, or, where the sources have that overlap the wrong way round, with its own last observation.
    Source, record and job title are those of the relationship's newest record.
    """
    records = candidates.records.filter(pl.col("account_entity_id").is_not_null())
    pair = ["entity", "account_entity_id"]
    # Records are newest first within a person: the first row of a pair is its newest record, and pairs
    # come in the order of their newest records.
    pairs = records.group_by(pair, maintain_order=True).agg(
        person_entity_id=pl.col("entity_id").first(),
        valid_from=pl.min_horizontal("created_at", "observed_at").min(),
        last_at=pl.col("observed_at").max(),
        job_title=pl.col("job_title").drop_nulls().first(),
        source=pl.col("source").first(),
        record_id=pl.col("record_id").first(),
        record_count=pl.len().cast(pl.Int64),
    )
    newer_from = pl.col("valid_from").shift(1).over("entity")
    is_current = pl.int_range(pl.len()).over("entity") == 0
    dated = pairs.with_columns(newer_from=newer_from, is_current=is_current).with_columns(
        valid_to=pl.when(~pl.col("is_current")).then(
            pl.when(pl.col("newer_from") > pl.col("valid_from")).then("newer_from").otherwise("last_at")
        )
    )
    contract = contract_of("golden.relationships")
    return contract.shape(dated.with_columns(role=pl.lit(ROLE)).drop("entity", "newer_from", "last_at")).sort(
        contract.key
    )

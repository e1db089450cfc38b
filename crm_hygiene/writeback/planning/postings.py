"""Postings: lines of reconciled.allocations as records of the target, one per line, contra lines too.

A line is found again by its allocation id, so it is never posted twice; lines are append-only, and a line
taken back is followed by its contra line. Confidence: 1; the doubt was settled when the line was posted in
our own books, and `evidence` says how.
"""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from crm_hygiene.writeback.planning.changes import gathered, plain_amount, rows
from crm_hygiene.writeback.planning.inputs import PlanInputs
from crm_hygiene.writeback.policy import PostingPolicy


def plan_postings(
    target: str, policy: PostingPolicy, inputs: PlanInputs, own_sources: Collection[str]
) -> pl.DataFrame:
    """One row per field of each line; `record_id` is the allocation id, `source` the invoice's source.

    `own_sources` are the sources of the target's own system, whose invoices it keeps where the policy
    names none. A contra line goes out with its own id and a negative amount, whatever kind it takes back
    was posted.
    """
    sources = sorted(policy.invoice_sources or own_sources)
    lines = inputs.allocations.filter(pl.col("invoice_source").is_in(sources))
    posted = lines.filter(pl.col("allocation_kind").is_in(policy.kinds)).select("allocation_id")
    back = pl.col("reverses_allocation_id")
    first = lines.filter(pl.col("allocation_kind").is_in(policy.kinds) & back.is_null())
    contra = lines.filter(back.is_not_null()).join(
        posted.rename({"allocation_id": "reverses_allocation_id"}), on="reverses_allocation_id", how="semi"
    )
    wanted = pl.concat([first, contra]).sort("allocation_id")
    if wanted.is_empty():
        return gathered([])
    values = {
        "payment": pl.col("payment_record_id"),
        "invoice": pl.col("invoice_record_id"),
        "amount": plain_amount(pl.col("allocated_amount")),
        "currency": pl.col("currency"),
        "booked_date": pl.col("booked_date").cast(pl.String),
    }
    fields = {name: values[key] for key, name in policy.fields.items()}
    reason = pl.format(
        "reconciled.allocations {}: {} {}",
        "allocation_id",
        pl.when(back.is_not_null()).then(pl.format("takes back {}:", back)).otherwise(pl.lit("posted:")),
        pl.col("evidence").fill_null("no evidence stated"),
    )
    parts = [
        wanted.select(
            "invoice_source",
            pl.col("allocation_id").alias("record_id"),
            pl.lit(name).alias("column_name"),
            pl.lit(None, dtype=pl.String).alias("before"),
            value.alias("after"),
            reason.alias("reason"),
            pl.lit(1.0).alias("confidence"),
            pl.lit(None, dtype=pl.String).alias("entity_id"),
        ).filter(pl.col("after").is_not_null())
        for name, value in {**fields, policy.external_id: pl.col("allocation_id")}.items()
    ]
    told = pl.concat(parts)
    return gathered(
        [
            rows(part, target, policy.object, str(source), "posting")
            for (source,), part in sorted(told.partition_by("invoice_source", as_dict=True).items())
        ]
    )

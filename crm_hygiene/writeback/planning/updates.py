"""Updates: fields that golden fills and the record holds otherwise, as far as the policy lets golden win.

Confidence: identity of the record x support of the golden cell.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from crm_hygiene.writeback.mapped_object import GOLDEN_TABLE
from crm_hygiene.writeback.planning.as_read import with_landed_text
from crm_hygiene.writeback.planning.changes import as_text, gathered, rows
from crm_hygiene.writeback.planning.confidence import Support, identity
from crm_hygiene.writeback.planning.inputs import PlanInputs
from crm_hygiene.writeback.planning.reasons import with_reason
from crm_hygiene.writeback.planning.record_set import RecordSet


def plan_updates(records: RecordSet, inputs: PlanInputs, support: Support, as_of: date) -> pl.DataFrame:
    """One row per field of a changeable record where golden is filled, differs and wins.

    Standardised values are compared: two spellings of one value are no change.
    """
    mapped, subject = records.mapped, records.subject
    held, golden = inputs.records(subject), inputs.golden(subject)
    tied = records.changeable
    parts = []
    # One column at a time, and only its differing rows are kept: memory stays at two columns.
    for column, field in sorted(mapped.columns.items()):
        winner = records.policy.winner(field)
        if winner == "never" or tied.is_empty():
            continue
        differing = tied.select("record_id", "entity_id", "r", "g").with_columns(
            as_text(held[column].gather(tied["r"])).alias("before"),
            as_text(golden[column].gather(tied["g"])).alias("after"),
        )
        is_change = pl.col("after").is_not_null() & pl.col("after").ne_missing(pl.col("before"))
        differing = with_landed_text(differing.filter(is_change), records, inputs, field)
        # What the target holds may already be the very text, or for fill_empty more than we could read.
        differing = differing.filter(pl.col("after").ne_missing(pl.col("before")))
        if winner == "fill_empty":
            differing = differing.filter(pl.col("before").is_null())
        if differing.is_empty():
            continue
        known = with_reason(differing, inputs, GOLDEN_TABLE[subject], column, as_of)
        sure = identity(known, inputs.doubts, mapped.source) * support.of(column, known["g"])
        parts.append(
            rows(
                known.with_columns(sure.alias("confidence"), column_name=pl.lit(field)),
                mapped.target,
                mapped.object,
                mapped.source,
                "update",
            )
        )
    return gathered(parts)

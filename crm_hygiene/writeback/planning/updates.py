"""Updates: fields that golden fills and the record holds otherwise, as far as the policy lets golden win.

Confidence: identity of the record x support of the golden cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from crm_hygiene.writeback.mapped_object import GOLDEN_TABLE, Subject
from crm_hygiene.writeback.planning.as_read import with_landed_text
from crm_hygiene.writeback.planning.changes import as_text, gathered, rows
from crm_hygiene.writeback.planning.confidence import Support, identity
from crm_hygiene.writeback.planning.inputs import PlanInputs
from crm_hygiene.writeback.planning.reasons import with_origin, with_reason
from crm_hygiene.writeback.planning.record_set import RecordSet


def plan_updates(
    sets: Sequence[RecordSet], inputs: PlanInputs, support: Mapping[Subject, Support]
) -> Iterator[pl.DataFrame]:
    """One row per field of a changeable record where golden is filled, differs and wins.

    In frames of one golden column each. Standardised values are compared: two spellings of one value are
    no change.
    """
    # A golden column at a time for all targets that take it: what is known of its cells is looked up once,
    # and memory stays at the differing rows.
    for subject in dict.fromkeys(s.subject for s in sets):
        mine = [s for s in sets if s.subject == subject]
        for column in sorted({c for s in mine for c in s.mapped.columns}):
            differing = [
                (records, found)
                for records in mine
                if column in records.mapped.columns
                and not (found := _differing(records, column, inputs)).is_empty()
            ]
            if differing:
                yield gathered(_told(subject, column, differing, inputs, support[subject]))


def _differing(records: RecordSet, column: str, inputs: PlanInputs) -> pl.DataFrame:
    """record_id, entity_id, r, g, before, after of the records to be changed."""
    field = records.mapped.columns[column]
    winner = records.policy.winner(field)
    tied = records.changeable
    if winner == "never" or tied.is_empty():
        return tied.clear()
    held, golden = inputs.held(records.subject, column), inputs.chosen(records.subject, column)
    if held is None or golden is None:  # `MappedObject.check` lets no other column pass
        raise KeyError(column)
    compared = tied.select("record_id", "entity_id", "r", "g").with_columns(
        as_text(held.gather(tied["r"])).alias("before"),
        as_text(golden.gather(tied["g"])).alias("after"),
    )
    is_change = pl.col("after").is_not_null() & pl.col("after").ne_missing(pl.col("before"))
    found = with_landed_text(compared.filter(is_change), records, inputs, field)
    # What the target holds may already be the very text, or for fill_empty more than we could read.
    found = found.filter(pl.col("after").ne_missing(pl.col("before")))
    return found.filter(pl.col("before").is_null()) if winner == "fill_empty" else found


def _told(
    subject: Subject,
    column: str,
    differing: Sequence[tuple[RecordSet, pl.DataFrame]],
    inputs: PlanInputs,
    support: Support,
) -> list[pl.DataFrame]:
    """Rows of the plan, a frame per record set: with the reason for each change, and how sure it is."""
    asked = pl.concat([found.select("g", "entity_id") for _, found in differing]).unique("g")
    cells = with_origin(asked, inputs, GOLDEN_TABLE[subject], column)
    cells = cells.select("g", "origin", support.of(column, cells["g"], cells["is_pinned"]).alias("_support"))
    parts = []
    for records, found in differing:
        mapped = records.mapped
        cell = found.join(cells, on="g", how="left", maintain_order="left")
        known = with_reason(cell, records, inputs)
        sure = identity(known, inputs.doubts, mapped.source) * known["_support"]
        told = known.with_columns(sure.alias("confidence"), column_name=pl.lit(mapped.columns[column]))
        parts.append(rows(told, mapped.target, mapped.object, mapped.source, "update"))
    return parts

"""What a field held in the target when it was last read: the landed text, not our standardised one.

A target is compared with this before anything is written to it, so it has to be the target's own spelling.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.writeback.planning.inputs import PlanInputs
from crm_hygiene.writeback.planning.record_set import RecordSet


def with_landed_text(
    differing: pl.DataFrame, records: RecordSet, inputs: PlanInputs, vendor_column: str
) -> pl.DataFrame:
    """`differing` (with `r`, the record's row number, and `before`) with the landed text as `before`.

    Where the source's landing lacks the column (or was not given) the standardised text stays.
    """
    if differing.is_empty():
        return differing
    landed = inputs.landed(records.subject, records.mapped.source, vendor_column)
    if landed is None:
        return differing
    place = landed.place.gather(differing["r"])
    is_none = pl.col("_landed").is_in(["", *records.mapped.nulls])
    read = differing.with_columns(
        landed.texts(vendor_column).gather(place).alias("_landed"), place.is_not_null().alias("_is_read")
    )
    before = pl.when("_is_read").then(pl.when(~is_none).then("_landed")).otherwise("before")
    return read.with_columns(before.alias("before")).drop("_landed", "_is_read")

"""What a field held in the target when it was last read: the landed text, not our standardised one.

A target is compared with this before anything is written to it, so it has to be the target's own spelling.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.writeback.planning.inputs import PlanInputs
from crm_hygiene.writeback.planning.record_set import RecordSet

_PLACE = {"file": "_file", "row_number": "_row_number", "landed_at": "_landed_at"}


def with_landed_text(
    differing: pl.DataFrame, records: RecordSet, inputs: PlanInputs, vendor_column: str
) -> pl.DataFrame:
    """`differing` (with `r`, the record's row number, and `before`) with the landed text as `before`.

    Where the source's landing lacks the column (or was not given) the standardised text stays.
    """
    landed = inputs.as_read.get(records.mapped.source)
    held = inputs.records(records.subject)
    if landed is None or differing.is_empty() or not set(_PLACE) <= set(held.columns):
        return differing
    if vendor_column not in landed.collect_schema():
        return differing
    places = differing.select("r").hstack(held.select(*_PLACE)[differing["r"]])
    wanted = landed.select(*_PLACE.values(), pl.col(vendor_column).alias("_landed"))
    # Landing keeps every night's file; only the rows behind the differing records are taken from it.
    text = (
        wanted.join(places.rename(_PLACE).lazy(), on=list(_PLACE.values()), how="inner")
        .select("r", pl.when(~pl.col("_landed").is_in(["", *records.mapped.nulls])).then("_landed"))
        .unique("r", keep="any")
        .collect()
    )
    found = differing.join(text.with_columns(_is_read=True), on="r", how="left", maintain_order="left")
    before = pl.when(pl.col("_is_read")).then("_landed").otherwise("before")
    return found.with_columns(before.alias("before")).drop("_landed", "_is_read")

"""Rows of a plan: their columns, their text, their ids, and the value a field held when it was read."""

from __future__ import annotations

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.row_ids import row_ids

#: What identifies the field of a record in a target.
FIELD_KEY = ["target", "object", "record_id", "column_name"]

#: What the planning modules return; `confidence` still lacks how sure the record is its entity's.
ROW = pl.Schema(
    {
        "target": pl.String,
        "object": pl.String,
        "source": pl.String,
        "record_id": pl.String,
        "column_name": pl.String,
        "change_kind": pl.String,
        "before": pl.String,
        "after": pl.String,
        "reason": pl.String,
        "confidence": pl.Float64,
        "entity_id": pl.String,
    }
)


def as_text(values: pl.Series) -> pl.Series:
    """Values as trimmed text; dates in ISO 8601, money in plain decimals, empty text as null."""
    if values.dtype == pl.Boolean:
        return values.cast(pl.String)
    text = values.cast(pl.String).str.strip_chars()
    return text.to_frame("v").select(pl.when(pl.col("v") != "").then("v"))["v"]


def plain_amount(amount: pl.Expr) -> pl.Expr:
    """An amount as plain decimals without trailing zeros: 12.5000 is 12.5, 100.0000 is 100."""
    return amount.cast(pl.String).str.replace(r"(\.[0-9]*?)0+$", "$1").str.strip_suffix(".")


def rows(frame: pl.DataFrame, target: str, object_name: str, source: str, kind: str) -> pl.DataFrame:
    """`frame` (record_id, column_name, before, after, reason, confidence, entity_id) as rows of a plan."""
    labelled = frame.with_columns(
        target=pl.lit(target), object=pl.lit(object_name), source=pl.lit(source), change_kind=pl.lit(kind)
    )
    return labelled.select(pl.col(name).cast(dtype) for name, dtype in ROW.items())


def gathered(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """All rows of `parts`."""
    filled = [p for p in parts if not p.is_empty()]
    return pl.concat(filled) if filled else pl.DataFrame(schema=ROW)


def published(plan: pl.DataFrame) -> pl.DataFrame:
    """Rows of a plan with their ids, in the shape of writeback.changes, sorted by id."""
    contract = contract_of("writeback.changes")
    if plan.is_empty():
        return contract.empty()
    what = plan.select(*FIELD_KEY, "change_kind", "before", "after")
    return contract.shape(plan.with_columns(row_ids(what, "change_id"))).sort("change_id", "source")

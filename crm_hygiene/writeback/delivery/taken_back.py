"""Taken back: what a person undid is not done again until they let it go, or golden says something else.

Parked fields are left alone because they flip (`convergence`); these because somebody said so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.writeback.delivery.delivery_log import DELIVERIES
from crm_hygiene.writeback.delivery.outbox import OPT_OUT, OUTBOX

_MERGED_INTO = "merged_into"
_SCHEMA = dict.fromkeys(("target", "object", "record_id", "column_name", "after", "operation_id"), pl.String)
_PLACE = ["target", "object", "record_id", "column_name"]


def taken_back(lake: Lake) -> pl.DataFrame:
    """Changes that were undone and not let go since: `_PLACE`, `after`, `operation_id`.

    `after` is the value that must not be written; null: none at all, for records that were created and
    deleted again. `record_id` is that of the plan: the external id of a create, the loser of a merge.
    Opt-outs are never held back. Golden has moved on where a later operation of ours wrote the field.
    """
    rows = lake.scan(contract_of(DELIVERIES)).select(
        "operation_id", "column_name", "delivery_state", "recorded_at", "delivery_id"
    )
    # The last state of the few operations that were ever undone.
    ever = rows.filter(pl.col("delivery_state") == "undone").select("operation_id").unique().collect()
    if ever.is_empty():
        return pl.DataFrame(schema=_SCHEMA)
    told = rows.join(ever.lazy(), on="operation_id", how="semi").collect().sort("recorded_at", "delivery_id")
    last = told.filter(pl.col("column_name").is_null()).unique("operation_id", keep="last")
    undone = set(last.filter(pl.col("delivery_state") == "undone")["operation_id"])
    let_go = set(
        told.filter(pl.col("delivery_state") == "unparked").select("operation_id", "column_name").rows()
    )
    outbox = lake.scan(contract_of(OUTBOX)).filter(pl.col("undoes_operation_id").is_null())
    records = outbox.filter(pl.col("operation_id").is_in(sorted(undone))).select("target", "object").unique()
    same = outbox.join(records, on=["target", "object"], how="semi").collect()
    newest: dict[tuple[str, ...], tuple[str | None, str]] = {}
    for row in same.sort("planned_at", "operation_id").iter_rows(named=True):
        if row["change_kind"] != OPT_OUT:
            newest |= {place: (value, row["operation_id"]) for place, value in places_of(row).items()}
    held = [
        (*place, value, key)
        for place, (value, key) in newest.items()
        if key in undone and (key, place[3]) not in let_go
    ]
    return pl.DataFrame(held, schema=_SCHEMA, orient="row").sort(_PLACE)


def places_of(row: Mapping[str, Any]) -> dict[tuple[str, ...], str | None]:
    """Target, object, record and column of the plan's rows behind a row of the outbox, with their `after`."""
    target, name, kind = row["target"], row["object"], row["operation_kind"]
    if kind == "merge":
        return {(target, name, loser, _MERGED_INTO): row["record_id"] for loser in row["losers"] or ()}
    values = json.loads(row["after_values"] or "{}")
    if kind == "create" and row["external_id"] is not None:
        return {(target, name, row["external_id"], field): None for field in values}
    if kind == "write" and row["record_id"] is not None:
        return {(target, name, row["record_id"], field): value for field, value in values.items()}
    return {}

"""Fields that a plan leaves out for now: parked, undone, or on their way and not yet shown by a landing.

A delivered posting or create is never planned again: lines of the books only ever grow, and a created
record that somebody deleted was deleted on purpose.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.writeback.delivery.convergence import withheld
from crm_hygiene.writeback.delivery.delivery_log import ARRIVED
from crm_hygiene.writeback.delivery.taken_back import places_of, taken_back
from crm_hygiene.writeback.planning.changes import FIELD_KEY

_OUTBOX, _DELIVERIES = "writeback.outbox", "writeback.deliveries"
# What a kill left open is planned again: the next apply looks it up at the target before it sends anything.
_ON_THE_WAY = sorted(ARRIVED)


def withheld_fields(lake: Lake) -> pl.DataFrame:
    """target, object, record_id, column_name, after, sorted; a create or posting by its external id.

    Where `after` is null no change of the field is planned, else only one to that value is left out.
    """
    whatever = pl.lit(None, dtype=pl.String).alias("after")
    parked = withheld(lake).select(*FIELD_KEY, whatever)
    if not (lake.exists(_OUTBOX) and lake.exists(_DELIVERIES)):
        return parked
    last = (
        lake.scan(contract_of(_DELIVERIES))
        .filter(pl.col("column_name").is_null())
        .select("operation_id", "delivery_state", "recorded_at", "delivery_id")
        .collect()
        .sort("recorded_at", "delivery_id")
        .unique("operation_id", keep="last", maintain_order=True)
    )
    # "confirmed" ends a write: the landing shows it. A create and a posting are known by their key for ever.
    states = [*_ON_THE_WAY, "confirmed"]
    standing = last.filter(pl.col("delivery_state").is_in(states)).select("operation_id", "delivery_state")
    sent = (
        lake.scan(contract_of(_OUTBOX))
        .select(
            "operation_id",
            "target",
            "object",
            "record_id",
            "external_id",
            "operation_kind",
            "after_values",
            "losers",
        )
        .join(standing.lazy(), on="operation_id", how="inner")
        .filter(pl.col("delivery_state").is_in(_ON_THE_WAY) | (pl.col("operation_kind") == "create"))
        .collect()
    )
    rows = [place for row in sent.iter_rows(named=True) for place in places_of(row)]
    on_the_way = pl.DataFrame(rows, schema=dict.fromkeys(FIELD_KEY, pl.String), orient="row").select(
        *FIELD_KEY, whatever
    )
    undone = taken_back(lake).select(*FIELD_KEY, "after")
    return pl.concat([parked, on_the_way, undone]).unique().sort(*FIELD_KEY, "after")

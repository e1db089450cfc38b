"""Truth files: which records are one person or organisation, which payment pays which invoice.

What does not belong here: deciding any of it; the exports know.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from crm_hygiene.sample.draws import Ints
from crm_hygiene.sample.identifiers import serials


def clusters(source: str, record_ids: pl.Series, entities: Ints, prefix: str) -> pl.DataFrame:
    """Cluster membership of one source's records; records without an id are left out."""
    frame = pl.DataFrame(
        {
            "CLUSTER_ID": serials(prefix, entities, 8),
            "RECORD_ID": record_ids,
            "DATA_SOURCE": pl.Series([source]).new_from_index(0, len(record_ids)),
        }
    )
    return frame.filter(pl.col("RECORD_ID").is_not_null())


def write_clusters(parts: list[pl.DataFrame], path: Path) -> int:
    """CLUSTER_ID,RECORD_ID,DATA_SOURCE of all sources; returns the number of records."""
    frame = pl.concat(parts).sort("CLUSTER_ID", "DATA_SOURCE", "RECORD_ID")
    frame.write_csv(path)
    return len(frame)


def write_allocations(allocations: pl.DataFrame, path: Path) -> int:
    """PAYMENT_SOURCE,PAYMENT_ID,INVOICE_SOURCE,INVOICE_ID,AMOUNT; returns the number of allocations.

    AMOUNT is the money of the payment that belongs to the invoice, in the payment's currency: where the
    bank kept a fee it is what arrived.
    """
    columns = ["PAYMENT_SOURCE", "PAYMENT_ID", "INVOICE_SOURCE", "INVOICE_ID", "AMOUNT"]
    allocations.select(columns).sort(columns[:4]).write_csv(path)
    return len(allocations)

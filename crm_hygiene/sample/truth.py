"""Truth files: which records are one person or organisation, which payment pays which invoice.

What does not belong here: deciding any of it; the exports know.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from crm_hygiene.sample.cash.courses import LEG_KINDS
from crm_hygiene.sample.cash.customers import PAYER_KINDS
from crm_hygiene.sample.cash.ledger import Ledger
from crm_hygiene.sample.cash.profile import CURRENCIES
from crm_hygiene.sample.draws import Ints, where
from crm_hygiene.sample.identifiers import serials
from crm_hygiene.sample.layouts import money


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


def _allocations(ledger: Ledger, bookings: pl.DataFrame) -> pl.DataFrame:
    """Every leg of every entry, with the payment's id; `standing` is false for what bounced."""
    legs = ledger.legs
    entry, document = legs["entry"].to_numpy(), ledger.documents[legs["invoice"].to_numpy()]
    is_yen = (document["currency"] == CURRENCIES.index("JPY")).to_numpy()
    bounced = np.zeros(len(bookings), dtype=bool)
    bounced[bookings.filter(pl.col("takes_back") >= 0)["takes_back"].to_numpy()] = True
    return pl.DataFrame(
        {
            "PAYMENT_SOURCE": bookings["source"].gather(entry),
            "PAYMENT_ID": bookings["record_id"].gather(entry),
            "INVOICE_SOURCE": pl.Series(["erp_invoices"]).new_from_index(0, len(legs)),
            "INVOICE_ID": document["invoice_id"],
            "KIND": pl.Series(LEG_KINDS).gather(legs["kind"]),
            "AMOUNT": money(legs["minor"].to_numpy(), is_yen),
            "CURRENCY": pl.Series(CURRENCIES).gather(document["currency"]),
            "standing": ~bounced[entry],
            # An exchange pays one invoice, so the money that belongs to it is all of the entry's.
            "paid": where(
                bookings["rate_micro"].gather(entry).to_numpy() != 0,
                bookings["amount"].gather(entry),
                money(legs["minor"].to_numpy(), is_yen),
            ),
        }
    )


def write_allocations(
    ledger: Ledger, bookings: pl.DataFrame, payments: Path, allocations: Path
) -> tuple[int, int]:
    """Which payment pays which invoice; returns the number of rows of both files.

    `payments`: PAYMENT_SOURCE,PAYMENT_ID,INVOICE_SOURCE,INVOICE_ID,AMOUNT of the payments that stand in the
    end. AMOUNT is the money of the payment that belongs to the invoice, in the payment's currency: where the
    bank kept a fee it is what arrived. `allocations`: every leg with its KIND (fee, discount, interest,
    credit_note, reversal, ...), AMOUNT and CURRENCY of the invoice, payments that bounced included.
    """
    found = _allocations(ledger, bookings)
    columns = ["PAYMENT_SOURCE", "PAYMENT_ID", "INVOICE_SOURCE", "INVOICE_ID"]
    paid = found.filter((pl.col("KIND") == "payment") & pl.col("standing"))
    paid.select(*columns, pl.col("paid").alias("AMOUNT")).sort(columns).write_csv(payments)
    found.select(*columns, "KIND", "AMOUNT", "CURRENCY").sort([*columns, "KIND"]).write_csv(allocations)
    return len(paid), len(found)


def write_cases(bookings: pl.DataFrame, path: Path) -> int:
    """PAYMENT_SOURCE,PAYMENT_ID,CASE,REFERENCE,PAYER: what each entry truly is; returns the rows."""
    kinds = [*PAYER_KINDS, None]
    frame = bookings.select(
        PAYMENT_SOURCE="source",
        PAYMENT_ID="record_id",
        CASE="case",
        REFERENCE="reference_kind",
        PAYER=pl.Series(kinds).gather(bookings["payer_kind"].to_numpy() % len(kinds)),
    )
    frame.sort("PAYMENT_SOURCE", "PAYMENT_ID").write_csv(path)
    return len(frame)

"""Purchase orders with their lines, receipts and reserved goods, as the ERP exports them.

What does not belong here: what was ordered (`order_lines`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from crm_hygiene.sample.cash.ledger import Ledger
from crm_hygiene.sample.cash.profile import CURRENCIES
from crm_hygiene.sample.draws import hit, pick, stream, where
from crm_hygiene.sample.identifiers import serials
from crm_hygiene.sample.layouts import constant, dates, iso_time, money
from crm_hygiene.sample.order_lines import FINDING

_RESERVED = 0.5
"""Share of orders for which goods are put aside."""
_LOCATIONS = ("HAM-01", "MUC-02", "LYS-01")


def write_orders(
    seed: int, ledger: Ledger, orders: pl.DataFrame, lines: pl.DataFrame, folder: Path
) -> dict[str, int]:
    """`purchase_orders.csv`, `purchase_order_lines.csv`, `receipts.csv`, `reservations.csv`.

    Parameters
    ----------
    orders, lines
        of `order_lines.draw_order_lines`

    Returns
    -------
    dict
        rows by file name
    """
    rng = stream(seed, "orders file")
    n = len(orders)
    documents = ledger.documents[orders["document"].to_numpy()]
    who = ledger.customers[documents["customer"].to_numpy()]
    finding = orders["finding"].to_numpy()
    ordered_at = documents["issued"].to_numpy() - rng.integers(3, 45, n)
    code = pl.Series(CURRENCIES, dtype=pl.String).gather(orders["currency"])
    is_yen = (code == "JPY").to_numpy()
    status = where(hit(rng, n, 0.9), constant("invoiced", n), constant("received", n))
    status = where(finding == FINDING["closed_order"], constant("cancelled", n), status)
    net = lines.with_columns(net=pl.col("ordered_price") * pl.col("ordered"))
    total = np.bincount(net["order"].to_numpy(), net["net"].to_numpy(), minlength=n).astype(np.int64)
    is_known = finding != FINDING["unknown_order"]
    exported = pl.DataFrame(
        {
            "order_id": orders["order_id"],
            "order_number": documents["order_number"],
            "customer_id": who["customer_id"],
            "customer_name": who["name"],
            "customer_tax_id": who["tax_id"],
            "order_date": dates(ordered_at),
            "currency": code,
            "total_amount": money(total, is_yen),
            "status": status,
        }
    ).filter(pl.Series(is_known))
    exported.write_csv(folder / "purchase_orders.csv")

    of_line = lines["order"].to_numpy()
    yen_line = is_yen[of_line]
    printed = pl.DataFrame(
        {
            "order_id": orders["order_id"].gather(of_line),
            "order_number": documents["order_number"].gather(of_line),
            "line_number": lines["line"],
            "item_id": lines["item"],
            "item_description": "Article " + lines["item"].str.slice(4),
            "quantity": lines["ordered"],
            "unit_price": money(lines["ordered_price"].to_numpy(), yen_line),
            "amount": money(net["net"].to_numpy(), yen_line),
            "currency": code.gather(of_line),
        }
    ).filter(pl.Series(is_known[of_line]), pl.col("quantity") > 0)
    printed.write_csv(folder / "purchase_order_lines.csv")

    arrived = ordered_at[of_line] + rng.integers(1, 3, len(of_line))
    came = orders["has_receipts"].to_numpy()[of_line] & is_known[of_line]
    receipts = pl.DataFrame(
        {
            "receipt_id": serials("GR", 1 + np.arange(len(of_line)), 8),
            "order_number": documents["order_number"].gather(of_line),
            "line_number": lines["line"],
            "item_id": lines["item"],
            "quantity": lines["received"],
            "received_date": dates(arrived),
        }
    ).filter(pl.Series(came), pl.col("quantity") > 0)
    receipts.write_csv(folder / "receipts.csv")

    held = hit(rng, n, _RESERVED) & is_known
    midnight = dates(ordered_at).cast(pl.Datetime("us"))
    reservations = pl.DataFrame(
        {
            "reservation_id": serials("RS", 1 + np.arange(len(of_line)), 8),
            "order_number": documents["order_number"].gather(of_line),
            "item_id": lines["item"],
            "quantity": lines["ordered"],
            "location": pick(rng, _LOCATIONS, n).gather(of_line),
            "reserved_at": iso_time(midnight.gather(of_line)),
        }
    ).filter(pl.Series(held[of_line]), pl.col("quantity") > 0)
    reservations.write_csv(folder / "reservations.csv")
    return {
        "purchase_orders.csv": len(exported),
        "purchase_order_lines.csv": len(printed),
        "receipts.csv": len(receipts),
        "reservations.csv": len(reservations),
    }

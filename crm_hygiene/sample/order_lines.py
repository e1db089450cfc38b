"""Lines of the orders behind invoices: what was ordered, billed and received, and where the three differ.

What does not belong here: the files (`order_exports`, `invoice_exports`).
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import polars as pl

from crm_hygiene.sample.cash.ledger import Ledger
from crm_hygiene.sample.cash.profile import CURRENCIES
from crm_hygiene.sample.draws import Ints, hit, stream, weighted
from crm_hygiene.sample.identifiers import serials

FINDINGS = MappingProxyType(
    {
        "agrees": 0.90,
        "price": 0.03,
        "quantity": 0.02,
        "not_received": 0.025,
        "closed_order": 0.01,
        "currency": 0.005,
        "unknown_order": 0.01,
    }
)
"""How often an invoice agrees with its order, and what differs else."""
FINDING = {name: number for number, name in enumerate(FINDINGS)}
_RECEIVED = 0.6
"""Share of orders whose receipts we get."""
_QUANTITIES = np.array([1, 2, 3, 5, 10, 20])
_ITEMS = 400


def ordered_documents(ledger: Ledger) -> Ints:
    """Rows of the invoices that name an order."""
    named = ledger.documents["order_number"].is_not_null() & (ledger.documents["kind"] == 0)
    return np.flatnonzero(named.to_numpy()).astype(np.int64)


def _billed(seed: int, minor: Ints) -> pl.DataFrame:
    """One to three lines per invoice that sum to its total: order (row), line, quantity, billed_price."""
    rng = stream(seed, "order lines")
    lines = 1 + weighted(rng, np.array([0.5, 0.3, 0.2]), len(minor))
    order = np.repeat(np.arange(len(minor)), lines)
    first = np.cumsum(lines) - lines
    line = np.arange(len(order)) - first[order]
    is_last = line == lines[order] - 1
    quantity = _QUANTITIES[rng.integers(0, len(_QUANTITIES), len(order))]
    price = (minor[order] * rng.uniform(0.1, 0.35, len(order))).astype(np.int64) // quantity
    price = np.maximum(price, 1)
    before = np.where(is_last, 0, price * quantity)
    taken = np.bincount(order, before, minlength=len(minor)).astype(np.int64)
    rest = (minor - taken)[order]
    # The last line takes what is left; by the piece only where that comes out even.
    even = rest % quantity == 0
    quantity = np.where(is_last & ~even, 1, quantity)
    price = np.where(is_last, rest // quantity, price)
    return pl.DataFrame(
        {"order": order, "line": line + 1, "quantity": quantity.astype(np.int64), "billed_price": price}
    )


def draw_order_lines(seed: int, ledger: Ledger) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Orders and their lines.

    Returns
    -------
    tuple
        orders (document: row, order_id, finding, has_receipts, currency: number) in the order of
        `ordered_documents`, and lines (order: row, line, item, quantity and billed_price in minor units as
        billed, ordered_price, ordered, received). What is billed sums to the invoice's total.
    """
    rng = stream(seed, "orders")
    rows = ordered_documents(ledger)
    documents = ledger.documents[rows]
    n = len(rows)
    finding = weighted(rng, np.array(list(FINDINGS.values())), n)
    has_receipts = hit(rng, n, _RECEIVED) | (finding == FINDING["not_received"])
    own = documents["currency"].to_numpy()
    other = np.where(own == CURRENCIES.index("EUR"), CURRENCIES.index("USD"), CURRENCIES.index("EUR"))
    orders = pl.DataFrame(
        {
            "document": rows,
            "order_id": serials("PO", 70_000 + np.arange(n), 7),
            "finding": finding,
            "has_receipts": has_receipts,
            "currency": np.where(finding == FINDING["currency"], other, own),
        }
    )
    lines = _billed(seed, documents["minor"].to_numpy())
    order, quantity = lines["order"].to_numpy(), lines["quantity"].to_numpy()
    price = lines["billed_price"].to_numpy()
    is_first = lines["line"].to_numpy() == 1

    def differs(name: str) -> Ints:
        return np.asarray(is_first & (finding[order] == FINDING[name]), dtype=np.int64)

    cheaper = np.maximum(1, price * (100 - rng.integers(4, 15, len(order))) // 100)
    ordered_price = np.where(differs("price"), cheaper, price)
    short = np.maximum(1, quantity // 4)
    ordered = quantity - short * differs("quantity")
    received = ordered - short * differs("not_received")
    item = rng.integers(0, _ITEMS, n)[order] + lines["line"].to_numpy()
    return orders, lines.with_columns(
        item=serials("ART-", 1000 + item, 5),
        ordered_price=ordered_price,
        ordered=ordered,
        received=received,
    )

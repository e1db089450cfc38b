"""Invoices and credit notes with the customers they are addressed to, and lines of invoices with an order.

What does not belong here: whether and how they are paid (`cash`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from crm_hygiene.sample.cash.documents import COURSE
from crm_hygiene.sample.cash.ledger import Ledger
from crm_hygiene.sample.cash.profile import CURRENCIES, LAST_DAY
from crm_hygiene.sample.draws import Ints, Mask, Rng, hit, pick, stream, where
from crm_hygiene.sample.layouts import constant, dates, money

_NO_AMOUNTS = ("n/a", "12.34.56", "-", "1O0.00")
_FAULTY_FROM = 100
"""Invoices from which on some of them are faulty, as in every real export."""


def _faulty(rng: Rng, unpaid: Ints, n: int) -> tuple[Mask, Mask]:
    """Among the unpaid: rows without a number for an amount, and rows with a negative one."""
    broken, negative = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    if n >= _FAULTY_FROM and len(unpaid) >= 2:
        count = min(len(unpaid) // 2, max(1, n // 2000))
        chosen = rng.permutation(unpaid)
        broken[chosen[:count]] = True
        negative[chosen[count : count + max(1, count // 4)]] = True
    return broken, negative


def _percent(hundredths: pl.Series) -> pl.Series:
    """Hundredths of a per cent as text, null for none."""
    text = money(hundredths.to_numpy(), np.zeros(len(hundredths), dtype=bool))
    return where(
        (hundredths == 0).to_numpy(), pl.Series([None], dtype=pl.String).new_from_index(0, len(text)), text
    )


def write_invoices(seed: int, ledger: Ledger, path: Path) -> int:
    """`invoices.csv`, credit notes among them; returns the number of rows."""
    rng = stream(seed, "invoices file")
    documents = ledger.documents
    n = len(documents)
    who = ledger.customers[documents["customer"].to_numpy()]
    code = pl.Series(CURRENCIES).gather(documents["currency"])
    is_yen = (code == "JPY").to_numpy()
    is_note = (documents["kind"] == 1).to_numpy()
    unpaid = (documents["course"] == COURSE["unpaid"]).to_numpy() & ~is_note
    cancelled = unpaid & hit(rng, n, 0.2)
    broken, negative = _faulty(rng, np.flatnonzero(unpaid & ~cancelled), n)
    minor = documents["minor"].to_numpy()
    total = money(np.where(negative, -minor, minor), is_yen)
    state = where(documents["due"].to_numpy() < LAST_DAY, constant("overdue", n), constant("open", n))
    state = where(cancelled, constant("cancelled", n), state)
    corrects = documents["corrects"].to_numpy()
    numbers = documents["invoice_number"]
    corrected = where(
        is_note,
        numbers.gather(np.maximum(corrects, 0)),
        pl.Series([None], dtype=pl.String).new_from_index(0, n),
    )
    pl.DataFrame(
        {
            "invoice_id": documents["invoice_id"],
            "invoice_number": numbers,
            "document_kind": where(is_note, constant("credit_note", n), constant("invoice", n)),
            "corrects_invoice_number": corrected,
            "customer_id": who["customer_id"],
            "customer_name": who["name"],
            "customer_tax_id": who["tax_id"],
            "customer_iban": who["iban"],
            "purchase_order_number": documents["order_number"],
            "payment_reference": documents["reference"],
            "issue_date": dates(documents["issued"].to_numpy()),
            "due_date": dates(documents["due"].to_numpy()),
            "currency": code,
            "total_amount": where(broken, pick(rng, _NO_AMOUNTS, n), total),
            "discount_days": documents["discount_days"].replace(0, None),
            "discount_percent": _percent(
                documents.select(
                    pl.when(pl.col("discount_days") > 0).then("discount_bp").otherwise(0)
                ).to_series()
            ),
            "late_interest_percent": _percent(documents["interest_bp"]),
            "status": state,
        }
    ).write_csv(path)
    return n


def write_invoice_lines(ledger: Ledger, orders: pl.DataFrame, lines: pl.DataFrame, path: Path) -> int:
    """`invoice_lines.csv` of the invoices that name an order; returns the number of rows.

    Parameters
    ----------
    orders, lines
        of `order_lines.draw_order_lines`
    """
    order = lines["order"].to_numpy()
    documents = ledger.documents[orders["document"].to_numpy()[order]]
    code = pl.Series(CURRENCIES).gather(documents["currency"])
    is_yen = (code == "JPY").to_numpy()
    price, quantity = lines["billed_price"].to_numpy(), lines["quantity"].to_numpy()
    frame = pl.DataFrame(
        {
            "invoice_id": documents["invoice_id"],
            "line_number": lines["line"],
            "item_id": lines["item"],
            "item_description": "Article " + lines["item"].str.slice(4),
            "quantity": quantity,
            "unit_price": money(price, is_yen),
            "amount": money(price * quantity, is_yen),
            "currency": code,
            "purchase_order_number": documents["order_number"],
            "purchase_order_line": lines["line"],
        }
    )
    frame.write_csv(path)
    return len(frame)

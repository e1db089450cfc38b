"""Twins: an invoice that two systems tell is billed once.

What does not belong here: which payment settles which of them (`cash.matching`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.cash.orders.order_book import number_key

_INVOICE = ["invoice_source", "invoice_record_id"]
_SAME = ["number", "issue_date", "invoice_amount", "invoice_currency", "is_credit_note"]


def with_twins(invoices: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Add `is_twin`, and `counted_source` and `counted_record_id`: the telling that counts, else its own.

    Two tellings are one invoice where systems differ, and number, date, amount and currency are the same, and
    the customer's tax number; where one has none, the customer's name or the order. The telling with lines
    counts, else the first by its key.

    Parameters
    ----------
    invoices
        `invoice_source`, `invoice_record_id`, `invoice_number`, `issue_date`, `invoice_amount`,
        `invoice_currency`, `is_credit_note`, `system`, `tax_id`, `customer_name`, `purchase_order_number`.
    lines
        lines with the first two of these.
    """
    has_lines = lines.select(_INVOICE).unique().with_columns(pl.lit(value=True).alias("has_lines"))
    name = pl.col("customer_name").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", "")
    told = (
        invoices.with_columns(number_key("invoice_number").alias("number"))
        .filter(pl.col("number").is_not_null() & pl.col("issue_date").is_not_null())
        .filter(pl.col("system").n_unique().over(_SAME) > 1)
        .join(has_lines, on=_INVOICE, how="left")
        .with_columns(
            pl.col("has_lines").fill_null(value=False),
            pl.when(name != "").then(name).alias("name"),
            number_key("purchase_order_number").alias("order"),
        )
        .sort("has_lines", *_INVOICE, descending=[True, False, False])
        .with_row_index("rank")
    )
    facts = ["rank", *_INVOICE, "system", "tax_id", "name", "order"]
    pairs = told.join(told.select(*_SAME, *facts), on=_SAME, suffix="_first").filter(
        (pl.col("rank_first") < pl.col("rank")) & (pl.col("system") != pl.col("system_first"))
    )
    tax, named, ordered = (pl.col(c) == pl.col(f"{c}_first") for c in ("tax_id", "name", "order"))
    alike = named.fill_null(value=False) | ordered.fill_null(value=False)
    first = (
        pairs.filter(pl.coalesce(tax, alike))
        .sort("rank", "rank_first")
        .unique("rank", keep="first", maintain_order=True)
        .select(
            *_INVOICE,
            pl.col("invoice_source_first").alias("counted_source"),
            pl.col("invoice_record_id_first").alias("counted_record_id"),
        )
    )
    joined = invoices.join(first, on=_INVOICE, how="left", maintain_order="left")
    return joined.with_columns(
        pl.col("counted_source").is_not_null().alias("is_twin"),
        pl.coalesce("counted_source", "invoice_source").alias("counted_source"),
        pl.coalesce("counted_record_id", "invoice_record_id").alias("counted_record_id"),
    )

"""Billing: what each invoice bills on which order, a row per line, tied to the order's article.

What does not belong here: whether it may (`order_checks`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from crm_hygiene.cash.money import to_units
from crm_hygiene.cash.orders.order_book import OrderBook, line_key, number_key, system_of
from crm_hygiene.cash.orders.twins import with_twins

_INVOICE = ["invoice_source", "invoice_record_id"]


def _live_invoices(
    invoices: pl.DataFrame, void_statuses: Sequence[str], systems: Mapping[str, str]
) -> pl.DataFrame:
    is_void = pl.col("document_status").str.to_lowercase().str.strip_chars().is_in(list(void_statuses))
    is_note = (pl.col("document_kind") == "credit_note").fill_null(value=False) | (pl.col("amount") < 0)
    return (
        invoices.filter(~pl.col("is_deleted") & ~is_void.fill_null(value=False))
        .filter(pl.col("amount").is_not_null())
        .select(
            pl.col("source").alias("invoice_source"),
            pl.col("record_id").alias("invoice_record_id"),
            "invoice_number",
            "customer_record_id",
            "tax_id",
            "customer_name",
            "issue_date",
            "purchase_order_number",
            to_units("amount").alias("invoice_amount"),
            pl.col("currency").alias("invoice_currency"),
            is_note.alias("is_credit_note"),
            system_of("source", systems).alias("system"),
        )
        .sort(_INVOICE)
    )  # fmt: skip


def _lines_of(invoices: pl.DataFrame, lines: pl.DataFrame, systems: Mapping[str, str]) -> pl.DataFrame:
    """Lines with their invoice: of the same source, else of the same system."""
    read = lines.select(
        "source",
        "record_id",
        pl.col("invoice_record_id"),
        "line_number",
        "item_id",
        to_units("quantity"),
        to_units("unit_price"),
        to_units("amount"),
        "currency",
        pl.col("purchase_order_number").alias("line_order_number"),
        "purchase_order_line",
    ).with_columns(system_of("source", systems).alias("system"))
    own = read.drop("system").join(
        invoices, left_on=["source", "invoice_record_id"], right_on=_INVOICE, how="inner", coalesce=False
    )
    own = own.drop("invoice_record_id_right", strict=False)
    near = read.join(invoices, left_on=["source", "invoice_record_id"], right_on=_INVOICE, how="anti").join(
        invoices.unique(["system", "invoice_record_id"], keep="first", maintain_order=True),
        on=["system", "invoice_record_id"],
    )
    return pl.concat([own.select(sorted(near.columns)), near.select(sorted(near.columns))])


def billed_lines(
    invoices: pl.DataFrame,
    invoice_lines: pl.DataFrame,
    book: OrderBook,
    void_statuses: Sequence[str],
) -> pl.DataFrame:
    """What is billed on orders, in the order of billing.

    Parameters
    ----------
    invoices, invoice_lines
        the conformed tables; void and deleted invoices bill nothing.

    Returns
    -------
    frame
        a row per line that names an order (itself or by its invoice), and one per invoice without lines
        that names one: `source`, `record_id` of that row, the invoice's columns, `o` and `why` as
        `OrderBook.find`, `pool` (null where the order has no such article), `line` matched (null where
        matched by article), `is_lineless`, `is_credit`, `is_twin` (`twins`); amounts and quantities
        in ten-thousandths.
    """
    live = _live_invoices(invoices, void_statuses, book.systems)
    live = with_twins(live, _lines_of(live, invoice_lines, book.systems))
    lines = _lines_of(live, invoice_lines, book.systems)
    plain = live.join(lines.select(_INVOICE).unique(), on=_INVOICE, how="anti").with_columns(
        pl.col("invoice_source").alias("source"),
        pl.col("invoice_record_id").alias("record_id"),
        pl.col("invoice_amount").alias("amount"),
        pl.col("invoice_currency").alias("currency"),
    )
    rows = pl.concat(
        [
            lines.with_columns(is_lineless=pl.lit(value=False)),
            plain.with_columns(is_lineless=pl.lit(value=True)),
        ],
        how="diagonal_relaxed",
    ).with_columns(
        pl.coalesce(
            pl.when(number_key("line_order_number").is_not_null()).then("line_order_number"),
            "purchase_order_number",
        ).alias("purchase_order_number")
    )  # fmt: skip
    rows = rows.with_columns(number_key("purchase_order_number").alias("number"))
    # An invoice that bills one order alone bills it with its whole amount, tax included.
    rows = rows.with_columns(
        (pl.col("number").n_unique().over(_INVOICE) == 1).alias("is_whole"),
        (pl.col("is_credit_note") | (pl.col("amount") < 0)).alias("is_credit"),
        line_key("purchase_order_line").alias("line"),
        number_key("item_id").alias("item"),
        line_key("line_number").str.zfill(12).alias("own_line"),
    ).filter(pl.col("number").is_not_null())
    counted = ["counted_source", "counted_record_id", "is_twin"]
    rows = rows.sort("issue_date", *counted, *_INVOICE, "own_line", "source", "record_id", nulls_last=True)
    documents = (
        rows.select(*_INVOICE, "number", "purchase_order_number", "customer_record_id", "tax_id")
        .unique([*_INVOICE, "number"], keep="first", maintain_order=True)
        .with_row_index("d")
        .with_columns(pl.col("invoice_source").alias("source"))
    )
    found = book.find(documents)
    rows = (
        rows.join(documents.select("d", *_INVOICE, "number"), on=[*_INVOICE, "number"], maintain_order="left")
        .join(found, on="d", how="left", maintain_order="left")
        .with_row_index("b")
    )
    return tied(rows, book).sort("b")


def tied(rows: pl.DataFrame, book: OrderBook) -> pl.DataFrame:
    """Add `pool` and `matched_line`: by the order's line, else the article, else the line's amount.

    `rows`: `o`, `line`, `item`; and `amount` (ten-thousandths) where amounts may tell.
    """
    lines = book.lines
    lone = lines.filter(pl.col("line").is_not_null() & (pl.len().over("o", "line") == 1))
    by_line = lone.select(
        "o", "line", pl.col("pool").alias("pool_by_line"), pl.col("line").alias("matched_line")
    )
    by_item = lines.filter(pl.col("item").is_not_null()).select(
        "o", "item", pl.col("pool").alias("pool_by_item")
    ).unique()  # fmt: skip
    out = rows.join(by_line, on=["o", "line"], how="left", maintain_order="left").join(
        by_item, on=["o", "item"], how="left", maintain_order="left"
    )
    if "amount" not in rows.columns:
        return out.with_columns(pl.coalesce("pool_by_line", "pool_by_item").alias("pool"))
    priced = pl.col("ordered").cast(pl.Int128) * pl.col("price").cast(pl.Int128) // 10_000
    worth = lines.with_columns(
        pl.coalesce("line_amount", priced.cast(pl.Int64, strict=False)).alias("amount")
    )
    alike = worth.filter(pl.col("amount").is_not_null() & (pl.len().over("o", "amount") == 1))
    by_amount = alike.select("o", "amount", pl.col("pool").alias("pool_by_amount"))
    return out.join(by_amount, on=["o", "amount"], how="left", maintain_order="left").with_columns(
        pl.coalesce("pool_by_line", "pool_by_item", "pool_by_amount").alias("pool")
    )

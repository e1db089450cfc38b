"""Paid quantities: how much of each article of an order is paid for, and so may leave.

A line of a wholly paid invoice is paid; of a partly paid one as far as the rules say. What credit notes
took back is never let go, and what they credited is no payment. What does not belong here: stock
(`inventory`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.cash.money import from_units, to_units, units
from crm_hygiene.cash.orders.order_book import OrderBook, line_key, number_key
from crm_hygiene.cash.orders.rules import OrderRules

_INVOICE = ["invoice_source", "invoice_record_id"]
_WHOLE = 10_000
_WIDE = pl.Int128


def billed_and_paid(order_checks: pl.DataFrame, invoices: pl.DataFrame, book: OrderBook) -> pl.DataFrame:
    """Rows of `reconciled.order_checks` with what of their invoice is paid, in ten-thousandths.

    Returns
    -------
    frame
        per row `o`, `item`, `quantity`, `line_amount`, `is_lineless`, `place`, and of its invoice
        `invoice_number`, `invoice_amount`, `due` (the amount less what credit notes settled), `covered`
        (what of `due` is settled, 0 where nothing at all was paid), `currency`.
    """
    state = invoices.select(
        pl.col("source").alias("invoice_source"),
        pl.col("record_id").alias("invoice_record_id"),
        to_units("amount").alias("invoice_amount"),
        to_units("open_amount"),
        to_units("paid_amount"),
        to_units("credited_amount").fill_null(0).abs(),
    )
    orders = book.orders.select("o", "purchase_order_source", "purchase_order_record_id", "total")
    due = pl.col("invoice_amount") - pl.col("credited_amount")
    return (
        order_checks.select(
            *_INVOICE, "invoice_number", "purchase_order_source", "purchase_order_record_id", "currency",
            number_key("item_id").alias("item"), to_units("quantity"),
            to_units("amount").alias("line_amount"),
            ((pl.col("source") == pl.col("invoice_source"))
             & (pl.col("record_id") == pl.col("invoice_record_id"))).alias("is_lineless"),
            pl.concat_str(line_key("line_number").str.zfill(12), "record_id", ignore_nulls=True)
            .alias("place"),
        )
        .join(orders, on=["purchase_order_source", "purchase_order_record_id"])
        .join(state, on=_INVOICE, how="left")
        .with_columns(due.alias("due"))
        .with_columns(
            pl.when(pl.col("paid_amount") > 0)
            .then((pl.col("due") - pl.col("open_amount")).clip(lower_bound=0))
            .otherwise(0)
            .alias("covered")
        )
        .sort("o", *_INVOICE, "place")
    )  # fmt: skip


def paid_quantities(rows: pl.DataFrame, rules: OrderRules) -> pl.DataFrame:
    """Quantity paid for per (`o`, `item`), `paid` in ten-thousandths.

    `rows`: `billed_and_paid`.
    """
    lines = rows.filter(
        pl.col("item").is_not_null() & pl.col("quantity").is_not_null() & ~pl.col("is_lineless")
    )
    is_credit = (pl.col("invoice_amount") < 0) | (pl.col("line_amount") < 0)
    charged = lines.filter(~is_credit & (pl.col("quantity") > 0))
    due, covered, quantity = (pl.col(name).cast(_WIDE) for name in ("due", "covered", "quantity"))
    amount = pl.col("line_amount").fill_null(0).cast(_WIDE)
    up_to, total = amount.cum_sum().over("o", *_INVOICE), amount.sum().over("o", *_INVOICE)
    part: pl.Expr = pl.lit(None, dtype=_WIDE)
    if rules.partly_paid == "lines":
        part = pl.when((total > 0) & (up_to * due <= covered * total)).then(quantity)
    elif rules.partly_paid == "share":
        part = quantity * covered // (due * _WHOLE) * _WHOLE
    paid = pl.when(due <= 0).then(None).when(covered >= due).then(quantity).otherwise(part)
    sums = (
        charged.with_columns(paid.fill_null(0).alias("paid"))
        .group_by("o", "item")
        .agg(pl.col("paid").sum(), pl.col("quantity").sum().alias("billed"))
    )
    credits = lines.filter(is_credit).group_by("o", "item").agg(pl.col("quantity").abs().sum().alias("back"))
    kept = (pl.col("billed") - pl.col("back").fill_null(0)).clip(lower_bound=0)
    return sums.join(credits, on=["o", "item"], how="left").select(
        "o", "item", pl.min_horizontal(pl.col("paid").cast(pl.Int64), kept).alias("paid")
    )


def paid_shares(rows: pl.DataFrame, rules: OrderRules) -> pl.DataFrame:
    """Orders billed without lines: (`o`, `share`) in ten-thousandths, how much of the order is paid for.

    Where the order's total is not known, all of its invoices have to be paid. `rows`: `billed_and_paid`.
    """
    per = rows.group_by("o", *_INVOICE).agg(
        pl.col("is_lineless").any() | pl.col("item").is_null().all(),
        pl.col("invoice_amount", "due", "covered", "total").first(),
    )
    is_note = (pl.col("invoice_amount") < 0).fill_null(value=False)
    orders = (
        per.group_by("o")
        .agg(
            (pl.col("is_lineless") & ~is_note).any().alias("is_lineless"),
            pl.col("total").first(),
            pl.col("covered").filter(~is_note).sum(),
            pl.col("invoice_amount").filter(is_note).sum().abs().alias("back"),
            ((pl.col("due") > 0) & (pl.col("covered") >= pl.col("due")))
            .fill_null(value=False)
            .filter(~is_note)
            .all()
            .alias("is_paid"),
        )
        .filter(pl.col("is_lineless"))
    )
    needed = (pl.col("total") - pl.col("back")).cast(_WIDE) * (_WHOLE - units(rules.total_share)) // _WHOLE
    covered = pl.col("covered").cast(_WIDE)
    part = (covered * _WHOLE // needed) if rules.partly_paid == "share" else pl.lit(0, dtype=_WIDE)
    share = (
        pl.when(pl.col("total").fill_null(0) <= 0)
        .then(pl.when("is_paid").then(_WHOLE).otherwise(0).cast(_WIDE))
        .when(needed <= 0)
        .then(pl.lit(0, dtype=_WIDE))
        .when(covered >= needed)
        .then(pl.lit(_WHOLE, dtype=_WIDE))
        .otherwise(part)
    )
    return orders.select("o", share.cast(pl.Int64).alias("share"))


def payment_words(rows: pl.DataFrame) -> pl.DataFrame:
    """(`o`, `evidence`): what is paid of each invoice of the order, the first five."""
    per = rows.unique(["o", *_INVOICE], keep="first", maintain_order=True).filter(
        pl.col("invoice_amount") > 0
    )
    return (
        per.with_columns(
            pl.format(
                "invoice {}: {} of {} {} paid",
                pl.col("invoice_number").fill_null(pl.col("invoice_record_id")),
                from_units("covered").cast(pl.String).str.replace(r"(\.\d\d\d*?)0*$", "$1"),
                from_units("due").cast(pl.String).str.replace(r"(\.\d\d\d*?)0*$", "$1"),
                pl.col("currency").fill_null(""),
            ).alias("evidence")
        )
        .sort("o", "invoice_number", *_INVOICE, nulls_last=True)
        .group_by("o", maintain_order=True)
        .agg(pl.col("evidence").head(5).str.join("; "))
    )

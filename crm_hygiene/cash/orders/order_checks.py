"""Order checks: order, receipt and invoice side by side, the three-way check of each invoice line.

Nothing that is not known blocks: an order without lines is checked by its total, receipts only where
the order has some. What does not belong here: which line bills what (`billing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from crm_hygiene.cash.money import from_units, units
from crm_hygiene.cash.orders.billing import billed_lines, tied
from crm_hygiene.cash.orders.order_book import (
    FOREIGN,
    SHARED,
    OrderBook,
    line_key,
    number_key,
    open_order_book,
)
from crm_hygiene.cash.orders.rules import FINDINGS, OrderRules
from crm_hygiene.contract import contract_of

_WHOLE = 10_000
_INVOICE = ["invoice_source", "invoice_record_id"]


def _wide(column: str) -> pl.Expr:
    """Ten-thousandths whose products do not fit into 64 bits."""
    return pl.col(column).cast(pl.Int128)


def _money(column: str) -> pl.Expr:
    """`1234.50`, more decimals where they are not zero."""
    return from_units(column).cast(pl.String).str.replace(r"(\.\d\d\d*?)0*$", "$1")


def _count(column: str) -> pl.Expr:
    """`10` or `2.5`."""
    return from_units(column).cast(pl.String).str.replace(r"\.?0+$", "")


def _received(receipts: pl.DataFrame, book: OrderBook) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Received per (`o`, `pool`) in ten-thousandths, and the orders (`o`) of which receipts are known."""
    rows = receipts.select(
        "source",
        "purchase_order_number",
        line_key("line_number").alias("line"),
        number_key("item_id").alias("item"),
        pl.col("quantity").cast(pl.Decimal(18, 4)).to_physical().cast(pl.Int64).alias("received"),
    )
    asked = rows.select("source", "purchase_order_number").unique().sort(pl.all()).with_row_index("d")
    nobody = pl.lit(None, dtype=pl.String)
    found = book.find(asked.with_columns(customer_record_id=nobody, tax_id=nobody))
    rows = rows.join(asked, on=["source", "purchase_order_number"]).join(
        found.filter(pl.col("o").is_not_null()), on="d"
    )
    placed = tied(rows, book).filter(pl.col("pool").is_not_null())
    sums = placed.group_by("o", "pool").agg(pl.col("received").sum().clip(lower_bound=0))
    return sums, rows.select("o").unique().with_columns(has_receipts=pl.lit(value=True))


def _articles(book: OrderBook) -> pl.DataFrame:
    """The order's articles: (`o`, `pool`) with the ordered quantity and the span of prices."""
    return book.lines.group_by("o", "pool").agg(
        pl.col("ordered").sum(),
        pl.col("price").min().alias("lowest"),
        pl.col("price").max().alias("highest"),
        pl.col("item_id").drop_nulls().min().alias("ordered_item"),
        pl.col("line_currency").drop_nulls().min().alias("article_currency"),
    )


def _with_quantities(
    rows: pl.DataFrame, book: OrderBook, receipts: pl.DataFrame, rules: OrderRules
) -> pl.DataFrame:
    """Add what is ordered, received and billed so far of the line's article, and its prices."""
    received, known = _received(receipts, book)
    of_line = book.lines.filter(pl.col("line").is_not_null() & (pl.len().over("o", "line") == 1)).select(
        "o", pl.col("line").alias("matched_line"), pl.col("price").alias("line_price"),
        pl.col("line_number").alias("ordered_line"),
    )  # fmt: skip
    rows = (
        rows.join(_articles(book), on=["o", "pool"], how="left")
        .join(of_line, on=["o", "matched_line"], how="left")
        .join(received, on=["o", "pool"], how="left")
        .join(known, on="o", how="left")
        .join(book.orders.drop("customer", "tax", "system", "number", "order_number"), on="o", how="left")
        .sort("b")
    )
    is_receipted = pl.col("has_receipts").fill_null(value=False) | rules.receipts_required
    is_tied = pl.col("pool").is_not_null()
    low, high = pl.coalesce("line_price", "lowest"), pl.coalesce("line_price", "highest")
    implied = (_wide("amount").abs() * _WHOLE) // pl.when(high > 0).then(high).cast(pl.Int128)
    rows = rows.with_columns(
        pl.when(is_tied & is_receipted).then(pl.col("received").fill_null(0)).alias("received"),
        low.alias("lowest"),
        high.alias("highest"),
        pl.coalesce(pl.col("quantity").abs(), implied.cast(pl.Int64, strict=False))
        .fill_null(0)
        .alias("counted"),
    )
    once = pl.when("is_twin").then(0).otherwise("counted")
    billed = pl.when(pl.col("is_credit")).then(0).otherwise(once).cum_sum().over("o", "pool")
    credited = pl.when(pl.col("is_credit")).then(once).otherwise(0).sum().over("o", "pool")
    return rows.with_columns(
        pl.when(is_tied).then((billed - credited).clip(lower_bound=0)).alias("billed_quantity")
    )


def _with_totals(rows: pl.DataFrame) -> pl.DataFrame:
    """Add `billed_amount`: what the order's invoices bill up to and with this one, less credit notes."""
    per = (
        rows.filter(pl.col("o").is_not_null())
        .group_by("o", *_INVOICE, maintain_order=True)
        .agg(
            pl.when(pl.col("is_twin").first()).then(0)
            .when(pl.col("is_whole").first()).then(pl.col("invoice_amount").first())
            .otherwise(pl.col("amount").sum()).alias("its"),
            pl.col("is_credit_note").first(),
            pl.col("b").first(),
        )
        .sort("b")
    )  # fmt: skip
    credited = pl.when(pl.col("is_credit_note")).then(pl.col("its").abs()).otherwise(0).sum().over("o")
    billed = pl.when(pl.col("is_credit_note")).then(0).otherwise("its").cum_sum().over("o")
    per = per.with_columns((billed - credited).clip(lower_bound=0).alias("billed_amount"))
    return rows.join(per.select("o", *_INVOICE, "billed_amount"), on=["o", *_INVOICE], how="left").sort("b")


def _found(rules: OrderRules) -> dict[str, tuple[pl.Expr, pl.Expr]]:
    """Each finding as whether it holds and in words."""
    share, rounding = units(rules.price_share), units(rules.price_rounding)
    extra, total_extra = units(rules.quantity_share), units(rules.total_share)
    charge = ~pl.col("is_credit")
    known, tied_ = pl.col("o").is_not_null(), pl.col("pool").is_not_null()
    number, currency = pl.col("purchase_order_number"), pl.col("currency")
    high, low = _wide("highest"), _wide("lowest")
    price, quantity, amount = _wide("unit_price"), _wide("counted"), _wide("amount")
    above = (price - high > rounding) & ((price - high) * _WHOLE > high * share)
    below = (low - price > rounding) & ((low - price) * _WHOLE > low * share)
    worth = quantity * high // _WHOLE
    slack = rounding * pl.max_horizontal(quantity, pl.lit(_WHOLE, dtype=pl.Int128))
    dear = amount * _WHOLE > worth * (_WHOLE + share) + slack
    by_lines = known & tied_ & charge
    other_price = (by_lines & (above | below)).fill_null(value=False)
    other_amount = (by_lines & dear & (pl.col("highest") > 0)).fill_null(value=False)
    by_total = known & charge & (~pl.col("has_lines") | pl.col("is_lineless"))
    beyond_total = (
        by_total
        & (pl.col("total") > 0)
        & (_wide("billed_amount") * _WHOLE > _wide("total") * (_WHOLE + total_extra))
    ).fill_null(value=False)  # fmt: skip
    missing = (known & charge & pl.col("has_lines") & ~pl.col("is_lineless") & ~tied_).fill_null(value=False)

    def beyond(limit: str) -> pl.Expr:
        over = _wide("billed_quantity") * _WHOLE > _wide(limit) * (_WHOLE + extra)
        return (by_lines & over).fill_null(value=False)

    its_currency = pl.coalesce("article_currency", "order_currency")
    article = pl.coalesce(
        "item_id", "ordered_item", pl.format("line {}", pl.col("line_number")), pl.lit("the line")
    )
    return {
        "unknown_order": (
            ~known,
            pl.when(pl.col("why") == FOREIGN)
            .then(pl.format("order {} is another customer's", number))
            .when(pl.col("why") == SHARED)
            .then(pl.format("order {} is an order of several customers", number))
            .otherwise(pl.format("order {} is not known", number)),
        ),
        "closed_order": (
            (known & charge & pl.col("is_closed")).fill_null(value=False),
            pl.format("order {} is {}", number, pl.col("status_words")),
        ),
        "currency": (
            (known & (its_currency != currency)).fill_null(value=False),
            pl.format("billed in {}, ordered in {}", currency, its_currency),
        ),
        "price": (
            other_price | other_amount | beyond_total,
            pl.when(other_price)
            .then(
                pl.format("{} billed at {}, ordered at {} {}", article, _money("unit_price"),
                          pl.when(above).then(_money("highest")).otherwise(_money("lowest")), currency)
            )
            .when(other_amount)
            .then(
                pl.format("{} billed with {} for {}, ordered at {} {} each", article, _money("amount"),
                          _count("counted"), _money("highest"), currency)
            )
            .otherwise(
                pl.format("invoices of {} up to this one against an order of {} {}", _money("billed_amount"),
                          _money("total"), currency)
            ),
        ),
        "quantity": (
            beyond("ordered") | missing,
            pl.when(missing)
            .then(pl.format("order {} has no line for {}", number, article))
            .otherwise(
                pl.format("{} of {} billed up to this line, {} ordered", _count("billed_quantity"), article,
                          _count("ordered"))
            ),
        ),
        "not_received": (
            beyond("received"),
            pl.format("{} of {} billed up to this line, {} received", _count("billed_quantity"), article,
                      _count("received")),
        ),
    }  # fmt: skip


def _in_order() -> pl.Expr:
    return (
        pl.when(pl.col("is_credit")).then(pl.lit("a credit takes back what was billed"))
        .when(pl.col("pool").is_null() & (pl.col("total").fill_null(0) <= 0))
        .then(pl.lit("the order is known, its lines and total are not"))
        .when(pl.col("pool").is_null()).then(pl.lit("within the total of the order"))
        .when(pl.col("received").is_null())
        .then(pl.lit("price and quantity as ordered; receipts are not known"))
        .otherwise(pl.lit("price and quantity as ordered, and received"))
    )  # fmt: skip


def check_orders(
    invoices: pl.DataFrame,
    invoice_lines: pl.DataFrame,
    orders: pl.DataFrame,
    order_lines: pl.DataFrame,
    receipts: pl.DataFrame,
    rules: OrderRules,
    void_statuses: Sequence[str],
    systems: Mapping[str, str],
) -> pl.DataFrame:
    """The three-way check of every invoice line that names an order.

    Parameters
    ----------
    invoices, invoice_lines, orders, order_lines, receipts
        the conformed tables (`orders`: `conformed.purchase_orders`).
    rules, void_statuses
        of the rules of cash.
    systems
        system of each source; ids of one system belong together.

    Returns
    -------
    frame
        `reconciled.order_checks`, sorted by key; the same for any row order.
    """
    contract = contract_of("reconciled.order_checks")
    book = open_order_book(orders, order_lines, rules.closed_statuses, systems)
    rows = billed_lines(invoices, invoice_lines, book, void_statuses)
    if rows.is_empty():
        return contract.empty()
    rows = _with_totals(_with_quantities(rows, book, receipts, rules))
    findings = _found(rules)
    rows = rows.with_columns(holds.alias(f"is_{name}") for name, (holds, _) in findings.items())
    status, blocks = pl.lit("ok"), pl.lit(value=False)
    for name in reversed(FINDINGS):
        status = pl.when(pl.col(f"is_{name}")).then(pl.lit(name)).otherwise(status)
        if name in rules.blocking:
            blocks = blocks | pl.col(f"is_{name}")
    told = pl.concat_str(
        [pl.when(pl.col(f"is_{n}")).then(words) for n, (_, words) in findings.items()],
        separator="; ",
        ignore_nulls=True,
    )
    rows = rows.with_columns(
        status.alias("order_check_status"), blocks.alias("is_blocking"),
        pl.coalesce("purchase_order_line", "ordered_line").alias("purchase_order_line"),
        pl.coalesce("ordered_item", "item_id").alias("item_id"),
    )  # fmt: skip
    odd = rows.filter(pl.col("order_check_status") != "ok")
    fine = rows.filter(pl.col("order_check_status") == "ok")
    rows = pl.concat([odd.with_columns(told.alias("reason")), fine.with_columns(_in_order().alias("reason"))])
    rows = rows.rename(
        {"ordered": "ordered_quantity", "received": "received_quantity", "highest": "ordered_unit_price",
         "total": "ordered_amount"}
    )  # fmt: skip
    amounts = ["quantity", "ordered_quantity", "received_quantity", "billed_quantity", "unit_price",
               "ordered_unit_price", "amount", "billed_amount", "ordered_amount"]  # fmt: skip
    rows = rows.with_columns(from_units(name) for name in amounts)
    return contract.shape(rows.select(c for c in contract.column_names)).sort(contract.key)


def order_blocks(order_checks: pl.DataFrame) -> pl.DataFrame:
    """Invoices that must not be paid off without a person: `invoice_source`, `invoice_record_id`, `reason`.

    `order_checks`: `reconciled.order_checks`. One row per invoice, the reasons of its lines in their order.
    """
    return (
        order_checks.filter(pl.col("is_blocking"))
        .sort(*_INVOICE, "source", "record_id")
        .group_by(_INVOICE, maintain_order=True)
        .agg(pl.col("reason").unique(maintain_order=True).head(5).str.join("; "))
        .sort(_INVOICE)
    )

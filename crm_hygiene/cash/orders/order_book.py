"""The order book: every known order once, and which order a number on a document means.

Order numbers are the customers' own, so two customers may use the same one: a document means the order of
its own customer. What does not belong here: what is checked of an order (`order_checks`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from crm_hygiene.cash.money import to_units

#: Why a number names no order.
UNKNOWN, FOREIGN, SHARED = "unknown", "foreign", "shared"


def number_key(column: str) -> pl.Expr:
    """Upper case, letters and digits only; null where nothing is left."""
    bare = pl.col(column).str.to_uppercase().str.replace_all(r"[^\p{L}\p{N}]", "")
    return pl.when(bare != "").then(bare)


def line_key(column: str) -> pl.Expr:
    """`00010`, `10` and ` 10 ` are one line."""
    bare = number_key(column).str.strip_chars_start("0")
    return (
        pl.when(bare == "").then(pl.when(number_key(column).is_not_null()).then(pl.lit("0"))).otherwise(bare)
    )


def system_of(column: str, systems: Mapping[str, str]) -> pl.Expr:
    """The system of each source; a source without one is its own."""
    return pl.col(column).replace(dict(systems)) if systems else pl.col(column)


@dataclass(frozen=True)
class OrderBook:
    """Known orders with row number `o`, and their lines.

    Attributes
    ----------
    orders
        `o`, `number` (as `number_key`), `system`, `purchase_order_source`, `purchase_order_record_id`,
        `order_number` (as written), `customer`, `tax`, `order_currency`, `total` (ten-thousandths),
        `is_closed`, `status_words`, `has_lines`.
    lines
        `o`, `line`, `item`, `pool` (article of the order, else its line), `ordered`, `price`,
        `line_amount` (ten-thousandths), `line_currency`, `item_id`, `line_number`.
    """

    orders: pl.DataFrame
    lines: pl.DataFrame
    systems: Mapping[str, str]

    def find(self, documents: pl.DataFrame) -> pl.DataFrame:
        """The order that each document means.

        Parameters
        ----------
        documents
            `d` (unique), `purchase_order_number`, `source`, `customer_record_id`, `tax_id`; the last two
            null where the document names no customer.

        Returns
        -------
        frame
            `d`, `o` (null where none), `why` (null where found, else `UNKNOWN`, `FOREIGN` or `SHARED`);
            a row per document with a number.
        """
        asked = documents.select(
            "d",
            number_key("purchase_order_number").alias("number"),
            system_of("source", self.systems).alias("its_system"),
            pl.col("customer_record_id").alias("its_customer"),
            pl.col("tax_id").alias("its_tax"),
        ).filter(pl.col("number").is_not_null())
        same_system = pl.col("system") == pl.col("its_system")
        # Numbers of customers are comparable within one system only, tax numbers everywhere.
        customer = pl.when(same_system).then(pl.col("customer") == pl.col("its_customer"))
        tax = pl.col("tax") == pl.col("its_tax")
        agrees = (customer.fill_null(value=False)) | tax.fill_null(value=False)
        contradicts = ~agrees & (customer.is_not_null() | tax.is_not_null())
        fits = asked.join(self.orders, on="number").with_columns(
            agrees=agrees, contradicts=contradicts, is_near=same_system
        )
        open_to = fits.filter(~pl.col("contradicts"))
        best = (
            open_to.filter(pl.col("agrees").any().over("d") == pl.col("agrees"))
            .filter(pl.col("is_near").any().over("d") == pl.col("is_near"))
            .with_columns(
                pl.struct("customer", "tax").n_unique().over("d").alias("customers"),
            )
            .sort("d", pl.col("has_lines"), "order_date", "o", descending=[False, True, True, False],
                  nulls_last=True)
            .unique("d", keep="first", maintain_order=True)
        )  # fmt: skip
        is_one = pl.col("agrees") | (pl.col("customers") == 1)
        found = best.select(
            "d", pl.when(is_one).then("o").alias("o"), pl.when(~is_one).then(pl.lit(SHARED)).alias("why")
        )
        foreign = fits.select("d").unique().join(found, on="d", how="anti")
        none = asked.select("d").join(fits.select("d").unique(), on="d", how="anti")
        return pl.concat(
            [
                found,
                foreign.select("d", pl.lit(None, dtype=pl.UInt32).alias("o"), pl.lit(FOREIGN).alias("why")),
                none.select("d", pl.lit(None, dtype=pl.UInt32).alias("o"), pl.lit(UNKNOWN).alias("why")),
            ]
        ).sort("d")


def open_order_book(
    orders: pl.DataFrame,
    order_lines: pl.DataFrame,
    closed_statuses: Sequence[str],
    systems: Mapping[str, str],
) -> OrderBook:
    """The order book of `conformed.purchase_orders` and `conformed.purchase_order_lines`.

    Parameters
    ----------
    closed_statuses
        statuses in lower case of an order that is closed; a deleted order is closed too.
    systems
        system of each source; lines belong to an order of the same system. An order of which only lines
        are known is known by them.
    """
    heads = orders.select(
        pl.col("source").alias("purchase_order_source"),
        pl.col("record_id").alias("purchase_order_record_id"),
        pl.col("purchase_order_number").alias("order_number"),
        pl.col("customer_record_id").alias("customer"),
        pl.col("tax_id").alias("tax"),
        pl.col("currency").alias("order_currency"),
        to_units("amount").alias("total"),
        "order_date",
        pl.when(pl.col("is_deleted"))
        .then(pl.lit("deleted"))
        .otherwise(pl.col("document_status").str.to_lowercase().str.strip_chars())
        .alias("status_words"),
    )
    lines = order_lines.select(
        "source",
        "purchase_order_record_id",
        pl.col("purchase_order_number").alias("order_number"),
        "item_id",
        "line_number",
        line_key("line_number").alias("line"),
        number_key("item_id").alias("item"),
        to_units("quantity").alias("ordered"),
        to_units("unit_price").alias("price"),
        to_units("amount").alias("line_amount"),
        pl.col("currency").alias("line_currency"),
        "record_id",
        system_of("source", systems).alias("system"),
    )
    key = ["system", "purchase_order_record_id"]
    known = heads.with_columns(system_of("purchase_order_source", systems).alias("system"))
    # A line that gives no id of its order names it by number.
    of_number = known.group_by("system", "order_number").agg(
        pl.col("purchase_order_record_id").min().alias("named_id")
    )
    lines = (
        lines.join(of_number, on=["system", "order_number"], how="left")
        .with_columns(pl.coalesce("purchase_order_record_id", "named_id", "order_number").alias(key[1]))
        .drop("named_id")
    )
    headless = (
        lines.join(known, on=key, how="anti")
        .group_by("source", "purchase_order_record_id", "order_number", "system")
        .agg(pl.col("line_currency").min().alias("order_currency"))
        .rename({"source": "purchase_order_source"})
    )
    book = (
        pl.concat([known, headless], how="diagonal_relaxed")
        .with_columns(
            number_key("order_number").alias("number"),
            pl.col("status_words")
            .is_in([*closed_statuses, "deleted"])
            .fill_null(value=False)
            .alias("is_closed"),
        )
        .sort("purchase_order_source", "purchase_order_record_id", "order_number", nulls_last=True)
        .with_row_index("o")
    )
    # Where two sources of one system know the order by the same id, its lines belong to the first.
    by_id = book.unique(key, keep="first", maintain_order=True)
    placed = lines.join(by_id.select("o", *key), on=key)
    own = pl.concat_str(pl.lit("#"), pl.coalesce("line", "record_id"))
    placed = placed.with_columns(pl.coalesce("item", own).alias("pool"))
    book = book.with_columns(pl.col("o").is_in(placed["o"].unique().implode()).alias("has_lines"))
    return OrderBook(book, placed.sort("o", "line", "record_id", nulls_last=True), systems)

"""Inventory: reserved goods released as their order is paid, and moved back when it is not any more.

Append-only. Seen from a reservation, `reserve` brings goods in (negative where it is lowered or its order
is cancelled), `release` takes them out to fulfilment, `return` brings them back from it; the sum is what
is still held, never below nothing. What does not belong here: what is paid for (`paid_quantities`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

import polars as pl

from crm_hygiene.cash.money import from_units, to_units
from crm_hygiene.cash.orders.order_book import OrderBook, number_key, open_order_book
from crm_hygiene.cash.orders.paid_quantities import (
    billed_and_paid,
    paid_quantities,
    paid_shares,
    payment_words,
)
from crm_hygiene.cash.orders.rules import OrderRules
from crm_hygiene.contract import contract_of

_RESERVATION = ["reservation_source", "reservation_record_id"]
_HOLDING = [*_RESERVATION, "item_id", "location"]
_WHOLE = 10_000


def _reserved(reservations: pl.DataFrame, book: OrderBook) -> pl.DataFrame:
    """Reservations with the order (`o`, null where none is known) they are for, first come first."""
    rows = (
        reservations.select(
            pl.col("source").alias("reservation_source"),
            pl.col("record_id").alias("reservation_record_id"),
            "source",
            "purchase_order_number",
            "item_id",
            number_key("item_id").alias("item"),
            "location",
            "reserved_at",
            to_units("quantity").clip(lower_bound=0),
        )
        .sort("reserved_at", *_RESERVATION, nulls_last=True)
        .with_row_index("d")
    )
    nobody = pl.lit(None, dtype=pl.String)
    found = book.find(rows.with_columns(customer_record_id=nobody, tax_id=nobody)).select("d", "o")
    orders = book.orders.select(
        "o", "purchase_order_source", "purchase_order_record_id", "is_closed", "status_words"
    )
    return rows.join(found, on="d", how="left").join(orders, on="o", how="left").sort("d").drop("source", "d")


def _wanted(
    reservations: pl.DataFrame, order_checks: pl.DataFrame, invoices: pl.DataFrame, book: OrderBook,
    rules: OrderRules,
) -> pl.DataFrame:  # fmt: skip
    """Reservations with what should be `reserved` and of it `released`, in ten-thousandths."""
    paid = billed_and_paid(order_checks, invoices, book)
    rows = (
        _reserved(reservations, book)
        .join(paid_quantities(paid, rules), on=["o", "item"], how="left", maintain_order="left")
        .join(paid_shares(paid, rules), on="o", how="left", maintain_order="left")
        .join(payment_words(paid), on="o", how="left", maintain_order="left")
    )
    is_closed = pl.col("is_closed").fill_null(value=False)
    wide = pl.col("quantity").cast(pl.Int128)
    # Where several reservations hold one article of an order, the first come is the first served.
    before = pl.col("quantity").cum_sum().over("o", "item") - pl.col("quantity")
    by_line = (pl.col("paid").fill_null(0) - before).clip(lower_bound=0)
    by_share = (wide * pl.col("share").fill_null(0) // (_WHOLE * _WHOLE) * _WHOLE).cast(pl.Int64)
    by_share = pl.when(pl.col("share") == _WHOLE).then("quantity").otherwise(by_share)
    released = pl.min_horizontal(pl.max_horizontal(by_line, by_share), "quantity")
    released = pl.when(pl.col("o").is_null()).then(0).otherwise(released)
    return rows.with_columns(
        pl.when(is_closed).then(0).otherwise("quantity").alias("reserved"),
        pl.when(is_closed).then(0).otherwise(released).alias("released"),
        is_closed.alias("is_closed"),
    )


def _count(column: str) -> pl.Expr:
    return from_units(column).cast(pl.String).str.replace(r"\.?0+$", "")


def _compared(wanted: pl.DataFrame, previous: pl.DataFrame) -> pl.DataFrame:
    """What is wanted beside what earlier nights moved, a row per reservation, article and place."""
    is_in = pl.col("movement_kind") == "reserve"
    moved = to_units("moved_quantity")
    had = (
        previous.sort("posted_at", "movement_id")
        .group_by(_HOLDING, maintain_order=True)
        .agg(
            moved.filter(is_in).sum().alias("had_reserved"),
            -moved.filter(~is_in).sum().alias("had_released"),
            pl.col("purchase_order_number", "purchase_order_source", "purchase_order_record_id").last(),
        )
    )
    now = wanted.with_columns(pl.lit(value=True).alias("is_listed"))
    both = now.join(
        had.select(*_HOLDING, "had_reserved", "had_released"), on=_HOLDING, how="left", nulls_equal=True
    )
    gone = had.join(now, on=_HOLDING, how="anti", nulls_equal=True).join(
        now.select(_RESERVATION).unique().with_columns(is_moved=pl.lit(value=True)),
        on=_RESERVATION,
        how="left",
    )
    # What left the system's list was let go by hand; what is listed elsewhere leaves here altogether.
    is_moved = pl.col("is_moved").fill_null(value=False)
    gone = gone.with_columns(
        pl.when(is_moved).then(0).otherwise("had_reserved").alias("reserved"),
        pl.when(is_moved).then(0).otherwise("had_reserved").alias("released"),
        pl.lit(value=False).alias("is_listed"),
        is_moved.alias("is_moved"),
    )
    return pl.concat([both, gone], how="diagonal_relaxed").with_columns(
        pl.col("had_reserved", "had_released").fill_null(0),
        pl.col("is_closed", "is_moved").fill_null(value=False),
    )


def _tonight(compared: pl.DataFrame) -> pl.DataFrame:
    """Tonight's movements: reservations grow, goods go out or come back, reservations shrink."""
    order = pl.coalesce("purchase_order_number", pl.lit("(none)"))
    grown = pl.col("reserved") - pl.col("had_reserved")
    out = pl.col("released") - pl.col("had_released")
    cancelled = pl.format("order {} is {}", order, pl.coalesce("status_words", pl.lit("closed")))
    changed = pl.format(
        "the reservation was changed from {} to {}", _count("had_reserved"), _count("reserved")
    )
    elsewhere = pl.lit("the reservation is for another article or place now")
    reserve = (
        pl.when("is_moved").then(elsewhere)
        .when("is_closed").then(cancelled)
        .when(pl.col("had_reserved") == 0).then(pl.format("reserved for order {}", order))
        .otherwise(changed)
    )  # fmt: skip
    release = (
        pl.when(~pl.col("is_listed")).then(pl.lit("the reservation is no longer listed: let go by hand"))
        .when(pl.col("released") == pl.col("reserved")).then(pl.format("order {} is paid", order))
        .otherwise(
            pl.format("order {} is paid in part: {} of {}", order, _count("released"), _count("reserved"))
        )
    )  # fmt: skip
    back = (
        pl.when("is_moved").then(elsewhere)
        .when("is_closed").then(cancelled)
        .when(pl.col("reserved") < pl.col("had_released")).then(changed)
        .otherwise(pl.format("less of order {} is paid than was: a payment was taken back", order))
    )  # fmt: skip
    parts = [
        compared.filter(grown != 0).with_columns(
            pl.lit("reserve").alias("movement_kind"), grown.alias("moved_quantity"), reserve.alias("reason")
        ),
        compared.filter(out > 0).with_columns(
            pl.lit("release").alias("movement_kind"), (-out).alias("moved_quantity"), release.alias("reason")
        ),
        compared.filter(out < 0).with_columns(
            pl.lit("return").alias("movement_kind"), (-out).alias("moved_quantity"), back.alias("reason")
        ),
    ]
    return pl.concat(parts)


def _movement_ids(new: pl.DataFrame, previous: pl.DataFrame) -> list[str]:
    """SHA-256 of what moves; the same movement of a later night counts up."""
    what = [*_HOLDING, "movement_kind", "moved_quantity"]
    times = previous.group_by(what).agg(pl.len().alias("times"))
    counted = new.select(what).join(times, on=what, how="left", nulls_equal=True, maintain_order="left")
    return [
        hashlib.sha256("\x1f".join("" if v is None else str(v) for v in row).encode()).hexdigest()[:32]
        for row in counted.with_columns(pl.col("times").fill_null(0)).iter_rows()
    ]


def inventory_movements(
    reservations: pl.DataFrame,
    orders: pl.DataFrame,
    order_lines: pl.DataFrame,
    order_checks: pl.DataFrame,
    invoices: pl.DataFrame,
    previous: pl.DataFrame,
    rules: OrderRules,
    systems: Mapping[str, str],
    as_of: datetime,
) -> pl.DataFrame:
    """`reconciled.inventory_movements`: the earlier ones as they are, tonight's added, sorted.

    Parameters
    ----------
    reservations, orders, order_lines
        `conformed.reservations`, `.purchase_orders`, `.purchase_order_lines`.
    order_checks, invoices
        `reconciled.order_checks` and `reconciled.invoices` of tonight.
    previous
        `reconciled.inventory_movements` of the nights before.
    systems
        system of each source.
    as_of
        midnight of the night's day, for `posted_at`.

    Returns
    -------
    frame
        the same for any row order. Per reservation what is released less what came back lies between
        nothing and what is reserved; both are what a rebuild from nothing finds, for every reservation
        that is still listed.
    """
    contract = contract_of("reconciled.inventory_movements")
    book = open_order_book(orders, order_lines, rules.closed_statuses, systems)
    wanted = _wanted(reservations, order_checks, invoices, book, rules)
    kept = contract.shape(previous)
    order = [*_RESERVATION, "posted_at", "movement_id"]
    new = _tonight(_compared(wanted, kept))
    if new.is_empty():
        return kept.sort(order)
    new = new.with_columns(from_units("moved_quantity"), pl.lit(as_of).alias("posted_at"))
    new = new.with_columns(pl.Series("movement_id", _movement_ids(new, kept), dtype=pl.String))
    names = [c for c in contract.column_names if c in new.columns]
    return pl.concat([kept, contract.shape(new.select(names))]).sort(order)

"""Recurring amounts: which of a payer's equal invoices a payment without a reference is for.

Payments and invoices must correspond one by one: a payment is for the invoice whose due date, moved by
the days the payer is used to pay before or after it, is the nearest by far; no other payment is near to
that invoice, and no older equal invoice is left unpaid, unless the payer is regular and on time. Settled
invoices count, for a payment may be theirs a second time. What does not belong here: posting.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.cash.plain import in_window
from crm_hygiene.cash.rules import CashRules

_KEY = ["party", "currency", "amount"]


def habits(paid: pl.DataFrame, rules: CashRules) -> pl.DataFrame:
    """(`party`, `habit`): the median days after the due date, of payers who keep to it.

    Parameters
    ----------
    paid
        `party`, `days` from due date to booking of invoices paid in full by one payment.
    """
    spread = pl.col("days").quantile(0.75, "nearest") - pl.col("days").quantile(0.25, "nearest")
    known = paid.drop_nulls().group_by("party").agg(
        pl.len().alias("n"),
        pl.col("days").median().round().cast(pl.Int64).alias("habit"),
        spread.alias("spread"),
    )  # fmt: skip
    order = rules.due_order
    return known.filter((pl.col("n") >= order.min_habit) & (pl.col("spread") <= order.max_spread)).select(
        "party", "habit"
    )


def in_due_order(
    silent: pl.DataFrame, claims: pl.DataFrame, habit: pl.DataFrame, returned: pl.DataFrame, rules: CashRules
) -> pl.DataFrame:
    """Payments that more than one equal invoice could be for: (`p`, `i` the nearest,
    `fitting` the nearest few, `why` it is not certain, or null).

    Parameters
    ----------
    silent
        every payment that cites nothing, by each party it may be of: `p`, `party`,
        `currency`, `amount`, `booked_date`; dates are not null.
    claims
        `i`, `party`, `currency`, `amount`, `owed`, `issue_date`, `due_date` of invoices, settled ones too.
    habit
        see `habits`.
    returned
        `_KEY` of payments that came back: what was paid again later may be an older invoice's.
    """
    most = rules.limits.component_payments
    alike = claims.filter(pl.col("due_date").is_not_null() & pl.col("issue_date").is_not_null())
    alike = alike.filter((pl.len().over(_KEY) <= most) & (pl.len().over(_KEY) > 1))
    asked = silent.filter(pl.len().over(_KEY) <= most)
    days = (pl.col("booked_date") - pl.col("due_date")).dt.total_days()
    pairs = (
        asked.join(alike, on=_KEY)
        .filter(in_window(rules.windows.payer))
        .join(habit, on="party", how="left")
        .with_columns((days - pl.col("habit").fill_null(0)).abs().alias("distance"))
        .sort("p", "distance", "i")
    )
    order = rules.due_order
    second = pl.col("distance").slice(1, 1).first()
    nearest = pairs.group_by("p", maintain_order=True).agg(
        pl.col(*_KEY, "i", "booked_date", "owed", "due_date", "distance", "habit").first(),
        second.alias("second"),
        pl.len().alias("choices"),
        pl.col("i").head(rules.max_suggestions).alias("fitting"),
    )
    nearest = nearest.with_columns(
        # What can be for one invoice only, for the others were not issued yet, is for it at any distance.
        (
            (pl.col("choices") == 1)
            | (pl.col("second") - pl.col("distance") >= order.margin)
            & (
                pl.col("distance")
                <= pl.when(pl.col("habit").is_null()).then(order.skip_days).otherwise(order.max_days)
            )
        ).alias("is_near"),
        (pl.len().over("i") > 1).alias("is_shared"),
        (pl.col("owed") != pl.col("amount")).alias("is_settled"),
    )
    taken = nearest.filter(pl.col("is_near") & ~pl.col("is_shared") & ~pl.col("is_settled")).select("i")
    unpaid = alike.filter(pl.col("owed") > 0).join(taken, on="i", how="anti")
    older = (
        nearest.select("p", *_KEY, "due_date")
        .join(unpaid.select(*_KEY, pl.col("due_date").alias("older")), on=_KEY)
        .filter(pl.col("older") < pl.col("due_date"))
        .select("p")
        .unique()
        .with_columns(pl.lit(value=True).alias("is_skipping"))
    )
    # One payment that has no place breaks the correspondence for those after it.
    placed = pl.col("is_near") & ~pl.col("is_shared") & ~pl.col("is_settled")
    unplaced = nearest.filter(~placed).group_by(_KEY).agg(pl.col("booked_date").min().alias("broken_on"))
    nearest = nearest.join(unplaced, on=_KEY, how="left").with_columns(
        (pl.col("broken_on") <= pl.col("booked_date")).fill_null(value=False).alias("is_broken")
    )
    back = returned.unique().with_columns(pl.lit(value=True).alias("came_back"))
    is_on_time = pl.col("habit").is_not_null() & (pl.col("distance") <= order.skip_days)
    return (
        nearest.filter(pl.col("choices") > 1)
        .join(older, on="p", how="left")
        .join(back, on=_KEY, how="left")
        .with_columns(pl.col("is_skipping", "came_back").fill_null(value=False))
        .select(
            "p",
            "i",
            "fitting",
            pl.when("is_settled")
            .then(pl.lit("the equal invoice due nearest to the payment is settled already"))
            .when(~pl.col("is_near"))
            .then(pl.lit("equal invoices of the payer are too near to each other"))
            .when("is_shared")
            .then(pl.lit("another payment is as near to the same one of several equal invoices"))
            .when(pl.col("is_skipping") & (~is_on_time | pl.col("came_back")))
            .then(pl.lit("an older invoice of the same amount is unpaid"))
            .when(pl.col("is_broken") & ~is_on_time)
            .then(pl.lit("an earlier payment of the same amount has no invoice yet"))
            .alias("why"),
        )
        .sort("p")
    )

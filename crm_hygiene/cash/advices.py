"""Remittance advices: what a payer told beforehand a payment is for.

An advice belongs to the one payment that carries its reference, or of its payer near its date, and has
its total. What does not belong here: whether the told amounts may be posted (`hypotheses`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.cash.money import to_units
from crm_hygiene.cash.payers import name_key
from crm_hygiene.cash.references import normalised

_GROUP = ["source", "payment_reference", "payer_tax_id", "payer_name", "payment_date", "currency"]


def told_by_advice(
    advices: pl.DataFrame, pending: pl.DataFrame, claims: pl.DataFrame, days: int
) -> pl.DataFrame:
    """One row (`p`, `i`, `paid`, `discount`) per invoice of the advice that belongs to payment `p`.

    `i` is null where the advice names no known invoice of its currency.
    """
    empty = pl.DataFrame(schema={"p": pl.Int64, "i": pl.Int64, "paid": pl.Int64, "discount": pl.Int64})
    if advices.is_empty() or pending.is_empty():
        return empty
    lines = advices.filter(pl.col("paid_amount").is_not_null()).with_columns(
        to_units("paid_amount"), to_units("discount_amount").fill_null(0),
        normalised("invoice_number").alias("number"),
        pl.struct(_GROUP).rank("dense").alias("advice"),
    )  # fmt: skip
    heads = lines.group_by("advice", *_GROUP).agg(pl.col("paid_amount").sum().alias("open"))
    heads = heads.with_columns(
        normalised("payment_reference").alias("told"), normalised("payer_tax_id").alias("tax"),
        name_key("payer_name").alias("name"),
    ).rename({"currency": "paid_currency"})  # fmt: skip
    fields = ("end_to_end_id", "creditor_reference", "bank_reference")
    on = {"left_on": ["told", "open", "paid_currency"], "right_on": ["told", "open", "currency"]}
    ways = [
        heads.filter(pl.col("told").str.len_chars() > 0)
        .join(pending.select("p", "open", "currency", normalised(f).alias("told")), **on)  # type: ignore[arg-type]
        .select("advice", "p", pl.lit(0).alias("rank"))
        for f in fields
    ]
    apart = (pl.col("payment_date") - pl.col("booked_date")).dt.total_days().abs()
    for key, own in (("tax", normalised("payer_tax_id")), ("name", name_key())):
        mine = pending.select(
            "p", "open", "booked_date", pl.col("currency").alias("paid_currency"), own.alias(key)
        )
        ways.append(
            heads.filter(pl.col(key).str.len_chars() > 0)
            .join(mine, on=[key, "open", "paid_currency"])
            .filter(apart <= days)
            .select("advice", "p", pl.lit(1).alias("rank"))
        )
    pairs = pl.concat(ways).unique()
    pairs = pairs.filter(pl.col("rank") == pl.col("rank").min().over("p")).unique(["advice", "p"])
    pairs = pairs.filter((pl.len().over("p") == 1) & (pl.len().over("advice") == 1))
    known = claims.select("i", "currency", "number").filter(pl.len().over("currency", "number") == 1)
    return (
        pairs.join(lines, on="advice")
        .join(known, on=["currency", "number"], how="left")
        .group_by("p", "i")
        .agg(pl.col("paid_amount").sum().alias("paid"), pl.col("discount_amount").sum().alias("discount"))
        .sort("p", "i")
    )

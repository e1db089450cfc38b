"""Candidates: invoices that a payment without a reference may be for, by payer and amount.

Counts before it joins: a crowd of equal invoices and equal payments is named a crowd, never multiplied
out. What does not belong here: choosing among candidates (`choice`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.cash.plain import in_window
from crm_hygiene.cash.rules import CashRules


def amount_edges(
    silent: pl.DataFrame, owed: pl.DataFrame, rules: CashRules
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(`p`, `i`, `way`, ...) where the amount is an invoice's, and (`p`, `crowd`, `i`) of the crowds.

    Parameters
    ----------
    silent
        `p`, `currency`, `open`, `payers`, `payer_by`, `booked_date`, `instructed_amount`,
        `instructed_currency`, `charges_amount`.
    owed
        open claims: `i`, `party`, `currency`, `owed`, `discounted` (open less early-payment discount, or
        null), `discount_until`, `issue_date`, `due_date`, `is_blocked`.
    """
    asked = silent.explode("payers").drop_nulls("payers").rename({"payers": "party"})
    stated = pl.col("instructed_amount").filter(pl.lit(value=True))
    is_own = pl.col("instructed_currency") == pl.col("currency")
    want = pl.concat(
        [
            # What was instructed in another currency is for an invoice in that one.
            asked.filter(is_own.fill_null(value=True)).with_columns(
                pl.col("open").alias("want"), pl.lit("exact").alias("way")
            ),
            asked.filter(pl.col("charges_amount") > 0).with_columns(
                (pl.col("open") + pl.col("charges_amount")).alias("want"), pl.lit("stated_fee").alias("way")
            ),
            asked.filter(is_own & (pl.col("instructed_amount") > pl.col("open"))).with_columns(
                stated.alias("want"), pl.lit("stated_fee").alias("way")
            ),
        ]
    ).drop("instructed_amount", "instructed_currency", "charges_amount")
    told = ["i", "party", "currency", "owed", "issue_date", "due_date", "is_blocked", "discount_until"]
    have = pl.concat(
        [
            owed.select(*told, pl.col("owed").alias("want"), pl.lit(value=False).alias("is_discounted")),
            owed.filter(pl.col("discounted").is_not_null()).select(
                *told, pl.col("discounted").alias("want"), pl.lit(value=True).alias("is_discounted")
            ),
        ]
    )
    key = ["party", "currency", "want"]
    sizes = have.group_by(key).agg(
        pl.len().alias("invoices"), pl.col("i").sort().head(rules.max_suggestions).alias("first")
    )
    sizes = sizes.join(want.group_by(key).agg(pl.col("p").n_unique().alias("payments")), on=key)
    is_crowd = pl.col("invoices") * pl.col("payments") > rules.limits.component_hypotheses
    crowd = (
        want.join(sizes.filter(is_crowd), on=key)
        .sort("p", "way")
        .unique("p", keep="first", maintain_order=True)
        .select("p", pl.col("invoices").alias("crowd"), pl.col("first").alias("i"))
    )
    few = want.join(sizes.filter(~is_crowd).select(key), on=key, how="semi")
    is_early = (pl.col("booked_date") <= pl.col("discount_until")).fill_null(value=False)
    edges = (
        few.join(have, on=key)
        .filter(in_window(rules.windows.payer))
        .filter(~pl.col("is_discounted") | (is_early & (pl.col("way") == "exact")))
        .with_columns(pl.when("is_discounted").then(pl.lit("discount")).otherwise("way").alias("way"))
        .unique(["p", "i", "way"])
        .join(crowd, on="p", how="anti")
        .sort("p", "i", "way")
    )
    return edges, crowd  # fmt: skip


def few_open(silent: pl.DataFrame, owed: pl.DataFrame, rules: CashRules) -> pl.DataFrame:
    """(`p`, `party`, `i`): all open invoices and credit notes of the payer in time, where they are few.

    Those in the payment's own currency, and in the one that the bank was instructed in.
    """
    counted = owed.filter(pl.len().over("party") <= 2 * rules.limits.subset_invoices)
    asked = silent.explode("payers").drop_nulls("payers").rename({"payers": "party"})
    is_told = (pl.col("currency") == pl.col("paid_currency")) | (
        pl.col("currency") == pl.col("instructed_currency")
    ).fill_null(value=False)
    return (
        asked.select("p", "party", "booked_date", "instructed_currency", paid_currency="currency")
        .join(counted, on="party")
        .filter(is_told & in_window(rules.windows.payer))
        .select("p", "party", "i")
        .sort("p", "party", "i")
    )

"""Doubts about citations: payments that cite an invoice where another fact says that it may be a wrong one.

What does not belong here: reading a citation that nothing speaks against (`citing`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.cash import plain
from crm_hygiene.cash.doubts import Doubt
from crm_hygiene.cash.equal_invoices import dated_claims, probabilities
from crm_hygiene.cash.pool import Pool


def repeated_citations(pool: Pool, hits: pl.DataFrame) -> dict[int, Doubt]:
    """Payments of one amount for one invoice: instalments if they close it together, else repeats."""
    sole = hits.filter(pl.col("is_specific") & pl.col("same_currency")).filter(pl.len().over("p") == 1)
    before = (
        pool.paid_so_far()
        .join(
            pool.entries.select("p", pl.col("amount").alias("open"), pl.col("booked_date").alias("paid_on")),
            on="p",
        )
        .group_by("i", "open")
        .agg(pl.col("paid_on").max())
    )
    place = pl.int_range(pl.len()).over("i", "open")
    counted = (
        sole.sort("p")
        .join(before, on=["i", "open"], how="left", maintain_order="left")
        .with_columns(place.alias("place"), pl.len().over("i", "open").alias("times"))
    )
    closes = pl.col("open") * pl.col("times") == pl.col("owed")
    near = (pl.col("booked_date") - pl.col("paid_on")).dt.total_days().abs() <= pool.rules.duplicate_days
    again = near.fill_null(value=False) & (pl.col("open") != pl.col("owed"))
    wrong = counted.filter(~closes & ((pl.col("place") > 0) | again) & (pl.col("owed") > 0))
    words = wrong.select("p", "i", plain.citation_words().alias("words"))
    return {
        p: Doubt("DUPLICATE", f"cites {cited}, for which another payment of this amount came", (i,))
        for p, i, cited in words.iter_rows()
    }


def doubtful_citations(
    pool: Pool, hits: pl.DataFrame, pending: pl.DataFrame, claims: pl.DataFrame
) -> dict[int, Doubt]:
    """Payments that cite one invoice where another fact says that the number may be a wrong one."""
    single = hits.filter(pl.col("is_specific") & (pl.col("owed") > 0)).filter(pl.len().over("p") == 1)
    single = single.join(claims.select("i", "party", "currency"), on="i")
    sole = single.filter("same_currency")
    owed = claims.filter(pl.col("is_matchable") & (pl.col("owed") > 0) & pl.col("party").is_not_null())
    issued = (pl.col("other_issued") <= pl.col("booked_date")).fill_null(value=True)
    # A template keeps the number of the invoice before, whose own payment waits for a clerk.
    citing = hits.filter(pl.col("owed") != 0).select("p").unique()
    waiting = pending.join(citing, on="p", how="anti").select(
        pl.col("p").alias("q"), "currency", pl.col("payers").alias("party"), pl.col("open").alias("owed"),
        pl.col("booked_date").alias("before"),
    ).explode("party")  # fmt: skip
    stale = (
        sole.join(waiting, on=["party", "currency", "owed"])
        .filter((pl.col("before") <= pl.col("booked_date")) & (pl.col("before") >= pl.col("issue_date")))
        .select("p", "i")
    )
    others = owed.select(
        "party", "currency", pl.col("owed").alias("open"), pl.col("i").alias("other"),
        pl.col("issue_date").alias("other_issued"),
    )  # fmt: skip
    misread = (
        sole.filter(pl.col("open") != pl.col("owed"))
        .join(others, on=["party", "currency", "open"])
        .filter(issued & (pl.col("other") != pl.col("i")))
        .select("p", "i")
    )
    newer = owed.select("party", "currency", "owed", pl.col("due_date").alias("other_due"), "issue_date")
    distance = (pl.col("booked_date") - pl.col("due_date")).dt.total_days()
    other_distance = (pl.col("booked_date") - pl.col("other_due")).dt.total_days().abs()
    outdated = (
        single.join(newer.rename({"issue_date": "other_issued"}), on=["party", "currency", "owed"])
        .filter(issued & (pl.col("other_due") > pl.col("due_date")))
        .filter(distance - other_distance >= pool.rules.due_order.margin)
        .select("p", "i")
    )
    against = pl.concat([stale, outdated]).unique()
    believed = _in_rhythm(pool, against, pending)
    stale, outdated = (f.join(believed, on=["p", "i"], how="anti") for f in (stale, outdated))
    common = owed.group_by("currency", pl.col("owed").alias("open")).agg(
        pl.col("party").n_unique().alias("customers")
    )
    stranger = (
        sole.filter(~pl.col("agrees") & ~pl.col("p").is_in(list(pool.nameless)))
        .filter(pl.col("open") == pl.col("owed"))
        .join(common.filter(pl.col("customers") > 1), on=["currency", "open"])
        .select("p", "i")
    )
    told = (
        (stale, "AMBIGUOUS", "an earlier payment of the payer may be for the invoice that it cites"),
        (outdated, "AMBIGUOUS", "a newer invoice of the same amount is due nearer than the one it cites"),
        (misread, "AMBIGUOUS", "the amount is that of another open invoice of the payer"),
        (stranger, "PAYER", "the payer is not known, and other customers owe the same amount"),
    )
    return {
        p: Doubt(kind, why, (i,))
        for found, kind, why in told
        for p, i in found.unique().sort("p", "i").iter_rows()
    }


def _in_rhythm(pool: Pool, against: pl.DataFrame, pending: pl.DataFrame) -> pl.DataFrame:
    """(`p`, `i`) of citations that the payer's own days of payment confirm (`series`)."""
    claims = dated_claims(pool)
    key = ["party", "currency", "amount"]
    cited = against.join(claims.select("i", *key), on="i")
    alike = claims.filter("is_alike").join(cited.select(key).unique(), on=key)
    asked = (
        pending.filter(pl.col("booked_date").is_not_null())
        .select("p", "currency", "booked_date", pl.col("open").alias("amount"), party="payers")
        .explode("party")
        .join(alike.select(key).unique(), on=key)
    )
    if asked.is_empty():
        return against.clear()
    found = probabilities(pool, claims, alike, asked)
    sure = found.filter(pl.col("probability") >= pool.rules.due_order.pardon)
    return against.join(sure, on=["p", "i"], how="semi")

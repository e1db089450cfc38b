"""Mistyped citations: a number that is another customer's invoice, one slip away from the payer's own.

What does not belong here: numbers that are no invoice's at all (`silent`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.cash.hypotheses import Cited, Hypothesis, Reader
from crm_hygiene.cash.plain import in_window
from crm_hygiene.cash.pool import Pool, claims_of, payments_of

STAGE = "mistyped_reference"


def read_mistyped(pool: Pool, hits: pl.DataFrame, claims: pl.DataFrame) -> list[Hypothesis]:
    """Readings of payments that cite one invoice of somebody else's, whose amount it is not.

    The payer is known, was invoiced exactly this amount once only, and that on the one invoice of its own
    whose number differs by no more than `references.max_edits` slips (`Pool.slips`).

    Parameters
    ----------
    hits
        citations of pending payments with `open` and `booked_date` of the payment, `owed` of the invoice.
    claims
        `Pool.owed`.
    """
    single = hits.filter((pl.len().over("p") == 1) & pl.col("is_specific") & ~pl.col("agrees"))
    single = single.filter(pl.col("owed").is_null() | (pl.col("open") != pl.col("owed")))
    asked = single.select("p", "token", "open", "booked_date").join(
        pool.entries.filter(~pl.col("is_payer_unclear")).select("p", "currency", party="payers"), on="p"
    )
    open_now = claims.filter("is_matchable").select(
        "party", "currency", "i", "issue_date", "due_date", "is_blocked", open="owed"
    )
    near = (
        asked.explode("party")
        .drop_nulls("party")
        .join(open_now, on=["party", "currency", "open"])
        .filter(in_window(pool.rules.windows.reference) & ~pl.col("is_blocked"))
        .sort("p", "i")
    )
    rows = [
        (p, i, token)
        for p, i, token in near.select("p", "i", "token").iter_rows()
        if pool.slips.get(p) == frozenset([i]) and i not in pool.recurring
    ]
    known = claims_of(claims.filter(pl.col("i").is_in([i for _, i, _ in rows])))
    paid = payments_of(pool.pending().filter(pl.col("p").is_in([p for p, _, _ in rows])))
    found: list[Hypothesis] = []
    for p, i, token in rows:
        reader = Reader(paid[p], pool.rules)
        cited = [Cited(known[i], "mistyped", f"{known[i].number} mistyped as {token}")]
        reader.read(cited, payer_by=paid[p].payer_by, stage=STAGE)
        found += [h for h in reader.found if h.kind == "one_to_one"]
    return found

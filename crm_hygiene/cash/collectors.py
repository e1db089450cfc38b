"""Collectors: factors and agents who pay for so many customers that they name none of them.

What they pay without a reference is read by the amount alone, over all their customers: it must be one open
invoice's only, and finer than chance. What does not belong here: payers of a few customers (`silent`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from crm_hygiene.cash.coincidence import chance
from crm_hygiene.cash.hypotheses import Cited, Hypothesis, Reader, settle_whole
from crm_hygiene.cash.money import coin
from crm_hygiene.cash.plain import in_window
from crm_hygiene.cash.pool import Pool, claims_of, payments_of

STAGE = "collector_and_amount"


def read_collected(pool: Pool, silent: pl.DataFrame, busy: set[int]) -> list[Hypothesis]:
    """Readings of payments of `silent` whose payer is known to pay for many customers.

    `busy` invoices are claimed by other payments already.
    """
    nobody = silent.filter(
        (pl.col("payers").list.len() == 0)
        & ~pl.col("p").is_in(list(pool.names))
        & ~pl.col("p").is_in(list(pool.other_purpose))
    )
    asked = pool.who.stated.join(nobody.select("p", "currency", "open"), on="p")
    keys = pool.who.known.join(asked.select("key").unique(), on="key")
    owed = pool.owed().filter((pl.col("owed") > 0) & pl.col("is_matchable") & ~pl.col("is_blocked"))
    owed = owed.filter(pl.col("party").is_not_null())
    owing = keys.join(
        owed.select("party", "i", "currency", "issue_date", "due_date", open="owed"), on="party"
    ).sort("key", "currency", "open", "i")
    day = pl.col("booked_date")
    valid = (pl.col("valid_from").is_null() | (pl.col("valid_from") <= day)) & (
        pl.col("valid_to").is_null() | (pl.col("valid_to") >= day)
    )
    hits = (
        asked.join(owing, on=["key", "currency", "open"])
        .filter(valid.fill_null(value=True) & in_window(pool.rules.windows.payer))
        .unique(["p", "i"])
        .filter((pl.len().over("p") == 1) & (pl.len().over("i") == 1) & ~pl.col("i").is_in(list(busy)))
        .sort("p")
    )
    if hits.is_empty():
        return []
    opens = {key: group["open"].to_numpy() for key, group in owing.group_by(["key", "currency"])}
    known = claims_of(owed.join(hits.select("i"), on="i", how="semi"))
    paid = payments_of(silent.join(hits.select("p"), on="p", how="semi"))
    found: list[Hypothesis] = []
    for p, i, key, currency, amount in hits.select("p", "i", "key", "currency", "open").iter_rows():
        odds = chance(amount, np.asarray(opens[key, currency]), [amount], coin(currency))
        if odds > pool.rules.chances.sum or i in pool.recurring:
            continue
        reader = Reader(paid[p], pool.rules)
        reader.add(
            "one_to_one",
            "improbable",
            settle_whole([known[i]]),
            [Cited(known[i], "none", "")],
            f"the only open invoice of this amount of all customers it pays for, by chance in {odds:.1e}",
            payer_by="relation",
            stage=STAGE,
        )
        found += reader.found
    return found

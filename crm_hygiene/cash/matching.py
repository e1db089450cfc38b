"""Matching: tonight's rounds, from the plain case to the weighed one, until nothing more follows.

Running the night again on its own result therefore adds nothing. What does not belong here: any of the
stages (`mistyped`, `citation_doubts`, `plain`, `citing`, `silent`, `posting`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.cash import plain
from crm_hygiene.cash.citation_doubts import doubtful_citations, repeated_citations
from crm_hygiene.cash.citing import read_cited
from crm_hygiene.cash.doubts import Doubt
from crm_hygiene.cash.mistyped import read_mistyped
from crm_hygiene.cash.pool import Pool
from crm_hygiene.cash.posting import post_the_choice
from crm_hygiene.cash.silent import read_silent
from crm_hygiene.progress import tell


def match(pool: Pool) -> dict[int, Doubt]:
    """Post what is certain; doubts by payment row for what could not be."""
    for number in range(1, pool.rules.limits.rounds + 1):
        before = pool.ledger.line_count
        tell(f"round {number} of at most {pool.rules.limits.rounds}: {before:,} lines posted")
        pool.doubts, pool.afterwards = {}, None
        _round(pool)
        if pool.ledger.line_count == before:
            break
    if pool.afterwards is not None:
        pool.afterwards()
    return pool.doubts


def _round(pool: Pool) -> None:
    pool.readings.begin(pool.ledger)
    pending, claims = pool.pending(), pool.owed()
    facts = claims.select("i", "owed", "issue_date", "due_date", "is_blocked")
    hits = (
        pool.hits.join(pending.select("p", "open", "booked_date", "payer_by"), on="p")
        .join(facts, on="i", how="left")
        .sort("p", "i")
    )
    mistyped = read_mistyped(pool, hits, claims)
    hits = hits.filter(~pl.col("p").is_in([h.p for h in mistyped]))
    doubtful = repeated_citations(pool, hits)
    for p, doubt in doubtful_citations(pool, hits, pending, claims).items():
        if p not in doubtful and p not in pool.advised:
            doubtful[p] = doubt
    apart = pl.DataFrame({"p": [*doubtful, *pool.advised]}, schema={"p": pl.Int64})
    posted = plain.plain_references(hits, apart, pool.rules)
    pool.ledger.post_plain(posted)
    pool.doubts.update(doubtful)
    rest = hits.join(posted, on="p", how="anti").filter(~pl.col("p").is_in(list(doubtful)))
    advised = pending.filter(
        pl.col("p").is_in(list(pool.advised)) & ~pl.col("p").is_in(posted["p"].implode())
    )
    found = mistyped + read_cited(pool, rest, advised, pending, claims)
    contested = {i for h in found for i in h.net} | {
        i for d in pool.doubts.values() for i in d.invoices if pool.ledger.invoice_open[i] > 0
    }
    silent = (
        pending.filter(~pl.col("is_touched") & ~pl.col("p").is_in(list(pool.advised)))
        .join(pool.hits, on="p", how="anti")
        .join(pool.orders, on="p", how="anti")
    )
    found += read_silent(pool, silent, contested)
    post_the_choice(pool, found)

"""Equal invoices of a payer: posts payments that cite nothing to the one they are for beyond doubt.

What does not belong here: the probability itself (`series`).
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.cash.hypotheses import Cited, Hypothesis, Reader
from crm_hygiene.cash.plain import date_weight
from crm_hygiene.cash.pool import Pool, claims_of, days, payments_of
from crm_hygiene.cash.series import Series, in_likely_order, pair_probabilities

STAGE = "payer_and_due_order"
_KEY = ["party", "currency", "amount"]


def post_equal(pool: Pool, clear: pl.DataFrame, silent: pl.DataFrame, contested: set[int]) -> pl.DataFrame:
    """Post or doubt every payment of `clear` whose payer has more than one invoice of its amount.

    Parameters
    ----------
    clear
        payments that cite nothing and come from a known payer.
    silent
        all that cite nothing, `clear` among them: any of them may be for one of the invoices.
    contested
        invoices that payments with a citation claim.

    Returns
    -------
    polars.DataFrame
        `p` of all so judged.
    """
    claims = dated_claims(pool)
    alike = claims.filter("is_alike")
    dated = silent.filter(pl.col("booked_date").is_not_null())
    asked = dated.select(
        "p", "currency", pl.col("open").alias("amount"), "booked_date", party="payers"
    ).explode("party").drop_nulls("party").join(alike.select(_KEY).unique(), on=_KEY)  # fmt: skip
    mine = dated.join(clear.select("p"), on="p", how="semi").join(asked.select("p"), on="p", how="semi")
    if mine.is_empty():
        return mine.select("p")
    found = probabilities(pool, claims, alike, asked)
    found = found.join(mine.select("p"), on="p", how="semi")
    best = mine.select("p", "open", "payer_by", "booked_date", "customers").join(
        found.group_by("p", maintain_order=True).agg(
            pl.col("i", "probability").first(), pl.col("i").head(pool.rules.max_suggestions).alias("fitting")
        ),
        on="p",
        how="left",
    )
    best = best.join(claims.select("i", "issue_date", "due_date", "owed"), on="i", how="left")
    barred = list(contested | set(pool.blocks))
    several = (
        mine.select("p", "currency", "booked_date", pl.col("open").alias("amount"), party="payers")
        .explode("party")
        .join(claims.filter(pl.col("owed") == pl.col("amount")).select(*_KEY, "issue_date"), on=_KEY)
        .filter(pl.col("issue_date") <= pl.col("booked_date"))
        .group_by("p")
        .agg(pl.col("party").n_unique())
        .filter(pl.col("party") > 1)
    )
    is_named = pl.col("p").is_in(list(pool.names)) | pl.col("p").is_in(list(pool.other_purpose))
    payer = pl.col("payer_by").replace_strict(pool.rules.evidence.payer, return_dtype=pl.Int64)
    best = best.with_columns(
        (payer + pool.rules.evidence.amount["exact"] + date_weight(pool.rules)).alias("score"),
        pl.when(pl.col("i").is_in(barred))
        .then(pl.lit("the equal invoice it is likely for is cited by another payment, or blocked"))
        .when((pl.col("customers") > 1) | pl.col("p").is_in(several["p"].implode()))
        .then(pl.lit("the payer pays for several customers, and another may be invoiced this amount"))
        .when(is_named)
        .then(pl.lit("the text names something that is not known"))
        .when(pl.col("i").is_null())
        .then(pl.lit("none of the payer's equal invoices fits the day it was paid"))
        .when(pl.col("probability") < pool.rules.due_order.certainty)
        .then(
            pl.format(
                "of the payer's equal invoices the likeliest has only {} %",
                (pl.col("probability") * 100).round(1),
            )
        )
        .alias("why"),
    )
    is_sure = pl.col("why").is_null() & (pl.col("score") >= pool.rules.minimum)
    # Certainties of one payment or one invoice cannot both be near 1, so this drops nothing but ties.
    sure = best.filter(is_sure).filter((pl.len().over("i") == 1) & (pl.col("open") == pl.col("owed")))
    words = pl.format(
        "payer by {}; of the payer's equal invoices the one that fits the days it pays at, {} %",
        "payer_by",
        (pl.col("probability") * 100).round(3),
    )
    pool.ledger.post_plain(
        sure.select(
            "p",
            "i",
            pl.col("open").alias("amount"),
            pl.lit(STAGE).alias("stage_name"),
            pl.lit("one_to_one").alias("hypothesis_kind"),
            "score",
            words.alias("evidence"),
        ).sort("p")
    )
    rest = best.join(sure, on="p", how="anti")
    for p, why, fitting in rest.select("p", "why", "fitting").sort("p").iter_rows():
        pool.doubt(p, "AMBIGUOUS", why or "the payer is not certain", tuple(fitting or ()))
    pool.afterwards = lambda: _explain_the_rest(pool, rest, mine)
    return mine.select("p")


def dated_claims(pool: Pool) -> pl.DataFrame:
    """`Pool.dated` with what is open on them now, as `owed`."""
    return pool.dated.with_columns(pl.Series("owed", pool.ledger.invoice_open[pool.dated["i"].to_numpy()]))


def probabilities(pool: Pool, claims: pl.DataFrame, alike: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """`p`, `i`, `probability` of payments and the invoices open in full that they may be for.

    Parameters
    ----------
    claims, alike
        all invoices, and those of whose amount their customer has several; due dates filled.
    asked
        `p`, `party`, `currency`, `amount`, `booked_date` of the payments, by each party they may be of.
    """
    order = pool.rules.due_order
    alike = alike.join(asked.select(_KEY).unique(), on=_KEY)
    paid = (
        pool.paid_so_far()
        .unique()
        .join(pool.entries.select("p", "amount", "currency", "booked_date").drop_nulls(), on="p")
        .join(claims.select("i", "party", "amount", "currency", "due_date"), on=["i", "amount", "currency"])
        .with_columns((pl.col("booked_date") - pl.col("due_date")).dt.total_days().alias("lag"))
        .sort("party", "booked_date", "p")
    )
    customer = pl.struct("source", "customer_record_id").alias("customer")
    # A customer number has a habit of its own, as a branch or department may be behind it; and what was
    # itself inferred from a rhythm says nothing of the rhythm.
    lags = {
        (one["source"], one["customer_record_id"]): found
        for one, found in paid.join(alike.select("party").unique(), on="party", how="semi")
        .join(claims.filter("is_alike").select(_KEY).unique(), on=_KEY, how="anti")
        .join(claims.select("i", customer), on="i")
        .group_by("customer")
        .agg(pl.col("lag").sort().tail(order.most_lags))
        .iter_rows()
    }
    pinned = paid.join(alike.select(_KEY).unique(), on=_KEY, how="semi")
    invoices = (
        alike.sort("due_date", "i")
        .group_by(_KEY, maintain_order=True)
        .agg(
            "i",
            days("issue_date"),
            days("due_date"),
            (pl.col("owed") == pl.col("amount")).alias("open"),
            customer.unique().alias("customers"),
        )
    )
    known = pinned.select("p", *_KEY, "booked_date")
    payments = (
        pl.concat([asked.select("p", *_KEY, "booked_date"), known])
        .unique()
        .sort("booked_date", "p")
        .group_by(_KEY, maintain_order=True)
        .agg("p", days("booked_date"))
    )
    taken = dict(pinned.select("p", "i").iter_rows())
    series: list[Series] = []
    for _, _, _, i, issued, due, is_open, customers, p, booked in (
        invoices.join(payments, on=_KEY).sort(_KEY).iter_rows()
    ):
        if len(i) > order.most or len(p) > order.most:
            continue
        at = {invoice: k for k, invoice in enumerate(i)}
        series.append(
            Series(
                list(zip(i, issued, due, is_open, strict=True)),
                list(zip(p, booked, strict=True)),
                {k: at[taken[q]] for k, q in enumerate(p) if taken.get(q) in at},
                _lags_of(customers, lags),
            )
        )
    last = pool.entries.select(days("booked_date").max()).item()
    return _told_pairs(pool, series, int(last))


def _told_pairs(pool: Pool, series: list[Series], today: int) -> pl.DataFrame:
    """`pair_probabilities` of series of which no two share an invoice; most are as in the last round."""
    told = [one.told for one in series]
    unknown = [one for one, key in zip(series, told, strict=True) if key not in pool.pairs]
    of_invoice: dict[int, list[tuple[int, int, float]]] = {}
    for one in unknown:
        pairs = pool.pairs[one.told] = []
        of_invoice.update((row[0], pairs) for row in one.invoices)
    for p, i, probability in pair_probabilities(unknown, today, pool.rules.due_order).iter_rows():
        of_invoice[i].append((p, i, probability))
    return in_likely_order([pair for key in told for pair in pool.pairs[key]])


def _lags_of(customers: list[dict[str, str]], lags: dict[tuple[str, str], list[int]]) -> list[int]:
    """Lags of the one customer number of a series; none where several share its amount."""
    if len(customers) != 1:
        return []
    return lags.get((customers[0]["source"], customers[0]["customer_record_id"]), [])


def _explain_the_rest(pool: Pool, rest: pl.DataFrame, mine: pl.DataFrame) -> None:
    """Readings to suggest for what was not posted, and which of it may have been paid twice."""
    near = rest.select("p", i="fitting").explode("i").drop_nulls()
    known = claims_of(pool.owed().join(near.select("i").unique(), on="i", how="semi"))
    paid = payments_of(mine.join(rest.select("p"), on="p", how="semi"))
    recent = pool.paid_alike(mine.join(rest.select("p"), on="p", how="semi"))
    for p, i, fitting, why in rest.select("p", "i", "fitting", "why").sort("p").iter_rows():
        if i is None and p in recent:
            pool.doubt(p, "DUPLICATE", "the payer already paid its invoices of this amount", (recent[p],))
            continue
        readings: list[Hypothesis] = []
        for other in fitting or []:
            if known[other].is_open == paid[p].amount:
                reader = Reader(paid[p], pool.rules)
                reader.read([Cited(known[other], "none", "")], payer_by=paid[p].payer_by, stage=STAGE)
                readings += [h for h in reader.found if h.kind == "one_to_one"]
        pool.doubt(p, "AMBIGUOUS", why or "the payer is not certain", tuple(fitting or ()), readings)

"""Silent payments: those that cite nothing, read by payer and amount.

What does not belong here: payments that cite (`citing`), equal invoices of a payer (`equal_invoices`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from crm_hygiene.cash import candidates, plain
from crm_hygiene.cash.coincidence import is_round
from crm_hygiene.cash.collectors import read_collected
from crm_hygiene.cash.equal_invoices import post_equal
from crm_hygiene.cash.hypotheses import Cited, Claim, Hypothesis, Paid, Reader
from crm_hygiene.cash.ledger import Line
from crm_hygiene.cash.money import coin
from crm_hygiene.cash.pool import CERTAIN, Pool, by_payment, claims_of, payments_of
from crm_hygiene.cash.sums import STAGE, many_to_one, one_to_many, one_to_one


def read_silent(pool: Pool, silent: pl.DataFrame, contested: set[int]) -> list[Hypothesis]:
    """Post the plain ones of `silent`, say what is doubtful, and give the readings that must be weighed."""
    for p in silent.filter("is_payer_unclear")["p"].to_list():
        pool.doubt(p, "PAYER", "cites nothing known, and the payer may be more than one customer", ())
    collected = read_collected(pool, silent, contested)
    clear = silent.filter(~pl.col("is_payer_unclear") & (pl.col("payers").list.len() > 0))
    for p in clear.filter(pl.col("p").is_in(list(pool.other_purpose)))["p"].to_list():
        pool.doubt(p, "UNKNOWN", "the text says that it is for something else than an invoice", ())
    clear = clear.filter(~pl.col("p").is_in(list(pool.doubts)))
    if clear.is_empty():
        return collected
    judged = post_equal(pool, clear, silent, contested)
    clear = clear.join(judged, on="p", how="anti")
    owed = _open_claims(pool)
    edges, repeats = _amount_edges(pool, clear, owed, contested)
    posted, weighed = plain.plain_payers(edges, pool.rules)
    pool.ledger.post_plain(posted)
    for p, i in repeats.items():
        if pool.ledger.payment_open[p] > 0 and p not in pool.doubts:
            pool.doubt(p, "DUPLICATE", "the payer already paid an invoice of this amount", (i,))
    odd = weighed.filter("is_odd").group_by("p", "is_of_several").agg(pl.col("i").sort()).sort("p")
    for p, is_of_several, fitting in odd.iter_rows():
        if p in pool.doubts:
            continue
        if is_of_several:
            reason = "a round amount, of a payer for several customers: another may owe it too"
            pool.doubt(p, "PAYER", reason, fitting)
        else:
            pool.doubt(p, "DATE", "a round amount, far from the day the invoice is due", fitting)
    weighed = weighed.filter(~pl.col("p").is_in(list(pool.doubts)))
    known = claims_of(owed.join(weighed.select("i").unique(), on="i", how="semi"))
    paid = payments_of(clear.join(weighed.select("p").unique(), on="p", how="semi"))
    found = collected
    for p, rows in by_payment(weighed):
        found += _read_edges(pool, paid[p], rows, known)
    done = pl.concat([edges.select("p"), pl.DataFrame({"p": list(pool.doubts)}, schema={"p": pl.Int64})])
    left = clear.join(done, on="p", how="anti").filter(pl.col("payer_by").is_in([*CERTAIN, "name"]))
    busy = contested | {i for h in found for i in h.net} | set(posted["i"])
    return found + _read_unequal(pool, left, busy)


def _open_claims(pool: Pool) -> pl.DataFrame:
    """Invoices that are open, with what is `discounted` until when by their early-payment terms."""
    claims = pool.owed()
    owed = claims.filter((pl.col("owed") > 0) & pl.col("party").is_not_null() & pl.col("is_matchable"))
    coins = {c: coin(c) for c in owed["currency"].unique()}
    one = pl.col("currency").replace_strict(coins, return_dtype=pl.Int64)
    share = pl.col("owed").cast(pl.Decimal(38, 4)) * pl.col("discount_percent") / 100
    discount = (share / one).round(0, mode="half_away_from_zero").cast(pl.Int64) * one
    has_terms = (pl.col("discount_percent") > 0) & pl.col("discount_days").is_not_null()
    return owed.with_columns(
        pl.when(has_terms).then(pl.col("owed") - discount).alias("discounted"),
        pl.when(has_terms)
        .then(pl.col("issue_date") + pl.duration(days=pl.col("discount_days")))
        .alias("discount_until"),
    )


def _amount_edges(
    pool: Pool, clear: pl.DataFrame, owed: pl.DataFrame, contested: set[int]
) -> tuple[pl.DataFrame, dict[int, int]]:
    """Candidates by the exact amount, without those of payments that are doubtful already; and repeats."""
    edges, crowd = candidates.amount_edges(clear, owed, pool.rules)
    for p, n, first in crowd.select("p", "crowd", "i").iter_rows():
        pool.doubt(p, "AMBIGUOUS", f"{n} open invoices of the payer have this amount", first)
    repeats = pool.paid_alike(clear)
    several = clear.filter(pl.col("customers") > 1)
    edges = edges.with_columns(
        pl.col("i").is_in(list(contested)).alias("is_contested"),
        pl.col("p").is_in(list(repeats)).alias("is_repeat_risk"),
        pl.col("p").is_in(list(pool.names)).alias("has_stranger"),
        pl.struct("open", "currency").is_in(_round_amounts(pool, edges).implode()).alias("is_round"),
        pl.col("p").is_in(several["p"].implode()).alias("is_of_several"),
    )
    discounted = owed.filter(pl.col("discounted").is_not_null()).select(
        "party", "currency", pl.col("discounted").alias("want"), pl.col("i").alias("other"),
        pl.col("issue_date").alias("since"),
    )  # fmt: skip
    # An older equal invoice may be meant, its discount taken too late.
    either = (
        edges.filter(pl.col("way") == "discount")
        .join(discounted, on=["party", "currency", "want"])
        .filter((pl.col("other") != pl.col("i")) & (pl.col("since") <= pl.col("booked_date")))
    )
    for p, i, other in either.select("p", "i", "other").sort("p", "i", "other").iter_rows():
        pool.doubt(p, "AMBIGUOUS", "several equal invoices of the payer, each with a discount", (i, other))
    edges = edges.filter(~pl.col("p").is_in(either["p"].implode()))
    # One invoice, several payments: which of them is for it no weight of the payer's name can say.
    rivals = edges.filter(pl.col("p").n_unique().over("i") > 1)
    for p, fitting in rivals.group_by("p").agg(pl.col("i").unique().sort()).sort("p").iter_rows():
        pool.doubt(p, "AMBIGUOUS", "another payment fits as well", fitting)
    return edges.join(rivals, on="p", how="anti"), repeats


def _round_amounts(pool: Pool, edges: pl.DataFrame) -> pl.Series:
    """(`open`, `currency`) of the payments whose amount many others may be equal to."""
    distinct = edges.select("open", "currency").unique().sort("open", "currency")
    is_known = [is_round(a, coin(c), pool.rules.chances.sum) for a, c in distinct.iter_rows()]
    return distinct.filter(pl.Series(is_known, dtype=pl.Boolean)).to_struct("amount")


def _read_edges(
    pool: Pool, paid: Paid, rows: list[dict[str, Any]], known: Mapping[int, Claim]
) -> list[Hypothesis]:
    tokens = pool.names.get(paid.p, [])
    reader = Reader(paid, pool.rules)
    fitting = frozenset(row["i"] for row in rows)
    if tokens and (pool.slips.get(paid.p) != fitting or fitting & pool.recurring):
        reason = "the payment names a document that is not known"
        pool.doubt(paid.p, "AMBIGUOUS", reason, [r["i"] for r in rows])
        return []
    for row in rows:
        reference = "mistyped" if tokens else "none"
        cited = [Cited(known[row["i"]], reference, f"mistyped as {tokens[0]}" if tokens else "")]
        reader.read(cited, payer_by=paid.payer_by, stage=plain.PAYER)
    return [h for h in reader.found if h.kind in ("one_to_one", "discount", "fee")]


def _read_unequal(pool: Pool, left: pl.DataFrame, busy: set[int]) -> list[Hypothesis]:
    """Readings of payments whose amount is no open invoice's of their payer: sums, and near ones."""
    left = left.filter(~pl.col("p").is_in(list(pool.names)))
    open_now = pool.owed().filter(
        (pl.col("owed") != 0) & pl.col("party").is_not_null() & pl.col("is_matchable") & ~pl.col("is_blocked")
    )
    pairs = candidates.few_open(left, open_now, pool.rules)
    if pairs.is_empty():
        return []
    known = claims_of(open_now.join(pairs.select("i").unique(), on="i", how="semi"))
    paid = payments_of(left.join(pairs.select("p").unique(), on="p", how="semi"))
    fees = known_fees(pool)
    found: list[Hypothesis] = []
    grouped = pairs.group_by("p", "party", maintain_order=True).agg("i")
    for p, _, invoices in grouped.iter_rows():
        one = paid[p]
        claims = [known[i] for i in invoices if i not in busy]
        own = [c for c in claims if c.currency == one.currency]
        sums, doubtful = one_to_many(one, own, pool.recurring, one.payer_by, pool.rules)
        if doubtful:
            reason = "the sum holds an amount that the payer is invoiced again and again"
            pool.doubt(one.p, "AMBIGUOUS", reason, doubtful)
            continue
        found += sums + one_to_one(one, claims, pool.recurring, fees, one.payer_by, pool.rules)
    explained = {h.p for h in found} | set(pool.doubts)
    found += _post_joint(pool, pairs.filter(~pl.col("p").is_in(list(explained))), paid, known, busy)
    return found


def _post_joint(
    pool: Pool, pairs: pl.DataFrame, paid: Mapping[int, Paid], known: Mapping[int, Claim], busy: set[int]
) -> list[Hypothesis]:
    """Post payments that are one invoice together; the others as readings that are not certain."""
    suggested: list[Hypothesis] = []
    currency = {p: one.currency for p, one in paid.items()}
    keyed = pairs.with_columns(pl.col("p").replace_strict(currency, return_dtype=pl.String).alias("c"))
    grouped = keyed.group_by("party", "c", maintain_order=True).agg(
        pl.col("p").unique().sort(), pl.col("i").unique().sort()
    )
    several = grouped.filter(pl.col("p").list.len() > 1)
    for rows, invoices in several.select("p", "i").iter_rows():
        payments = [paid[p] for p in rows]
        claims = [known[i] for i in invoices if i not in busy]
        claims = [c for c in claims if c.currency == payments[0].currency]
        for joint in many_to_one(payments, claims, pool.recurring, pool.rules):
            rest = len(joint.payments) - 1
            for one in joint.payments:
                reader = Reader(one, pool.rules)
                reader.add(
                    "many_to_one",
                    "improbable" if joint.is_sure else "subset",
                    [Line(joint.claim.i, "payment", one.amount, one.amount)],
                    [Cited(joint.claim, "none", "")],
                    f"with {rest} other payment{'s' if rest > 1 else ''} of the payer the open amount",
                    payer_by=one.payer_by,
                    stage=STAGE,
                    is_certain=joint.is_sure,
                )
                suggested += reader.found
    return suggested


def known_fees(pool: Pool) -> dict[str, list[int]]:
    """Charges that enough payments of a currency were short by, where a reference or the bank said so."""
    rows = [(row[1], row[4]) for row in pool.ledger.rows if row[2] == "fee" and row[5] != STAGE]
    tonight = pl.DataFrame(rows, schema={"i": pl.Int64, "fee": pl.Int64}, orient="row")
    seen = (
        pl.concat([pool.fees_before.select("i", "fee"), tonight])
        .filter(pl.col("fee") > 0)
        .join(pool.claims.select("i", "currency"), on="i")
        .group_by("currency", "fee")
        .len()
        .filter(pl.col("len") >= pool.rules.fees.min_seen)
        .sort("currency", "fee")
    )
    # A rounding difference is told by tolerance.
    fees: dict[str, list[int]] = {}
    for currency, fee, _ in seen.iter_rows():
        if fee > pool.rules.tolerance(currency):
            fees.setdefault(currency, []).append(fee)
    return fees

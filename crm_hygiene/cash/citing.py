"""Citing: the readings of payments that cite an invoice, an order's invoices or a remittance advice.

What does not belong here: whether the cited number may be a wrong one (`citation_doubts`), and payments
that cite nothing (`silent`).
"""

from __future__ import annotations

from typing import Any

import polars as pl

from crm_hygiene.cash import plain
from crm_hygiene.cash.hypotheses import Cited, Claim, Hypothesis, Paid, Reader
from crm_hygiene.cash.money import text
from crm_hygiene.cash.pool import Pool, by_payment, claims_of, payments_of


def read_cited(
    pool: Pool, hits: pl.DataFrame, advised: pl.DataFrame, pending: pl.DataFrame, claims: pl.DataFrame
) -> list[Hypothesis]:
    """Readings of the pending payments of `hits` and `advised`; doubts for those that have none."""
    cited_rows = pl.concat([hits.select("p", "i"), pool.told.select("p", "i").drop_nulls()]).unique()
    credits = _credits(pool, claims, cited_rows.select("i").unique())
    pool.readings.drop_changed(pool.ledger, pool.hits, credits)
    asked = [p for p in hits["p"].unique().sort().to_list() if p not in pool.advised]
    unread = hits.filter(pl.col("p").is_in([p for p in asked if p not in pool.readings]))
    payments = pl.concat([unread.select("p"), advised.select("p")]).unique()
    wanted = cited_rows.join(payments, on="p", how="semi").select("i").unique()
    known = claims_of(claims.join(wanted, on="i", how="semi"))
    paid = payments_of(pending.join(payments, on="p", how="semi"))
    ways = dict(pending.join(payments, on="p", how="semi").select("p", "payer_by").iter_rows())
    late = plain.in_window(pool.rules.windows.reference).alias("in_time")
    for p, cited in by_payment(unread.with_columns(late, plain.citation_words().alias("words"))):
        read = _read(pool, paid[p], cited, known, credits, ways[p])
        pool.readings.keep(p, read, pool.doubts.get(p))
    found: list[Hypothesis] = []
    for p in sorted(set(advised["p"].to_list())):
        found += _read_advice(pool, paid[p], known, ways[p])
    for p in asked:
        read, doubt = pool.readings[p]
        found += read
        if doubt is not None:
            pool.doubts[p] = doubt
    return found


def _credits(pool: Pool, claims: pl.DataFrame, wanted: pl.DataFrame) -> dict[int, tuple[Claim, ...]]:
    """Open credit notes of the customer of each wanted invoice, or that correct it."""
    credits = claims.filter((pl.col("owed") < 0) & pl.col("is_matchable"))
    if credits.is_empty():
        return {}
    known = claims_of(credits)
    corrected = pl.col("corrects_invoice_number").str.to_uppercase().str.replace_all(r"[^\p{L}\p{N}]", "")
    pairs = (
        claims.join(wanted, on="i", how="semi")
        .select("i", "party", "currency", "number")
        .join(
            credits.select(pl.col("i").alias("c"), "party", "currency", corrected.alias("corrects")),
            on=["party", "currency"],
        )
        .filter(
            (pl.col("corrects") == pl.col("number")).fill_null(value=False)
            | (pl.len().over("i") <= pool.rules.max_parties)
        )
    )
    return {
        i: tuple(known[c] for c in cs) for i, cs in pairs.group_by("i").agg(pl.col("c").sort()).iter_rows()
    }


def _read_advice(pool: Pool, paid: Paid, known: dict[int, Claim], way: str | None) -> list[Hypothesis]:
    rows = pool.advised[paid.p]
    if any(row["i"] is None for row in rows):
        pool.doubt(
            paid.p,
            "AMOUNT",
            "the remittance advice names an invoice that is not known",
            [row["i"] for row in rows if row["i"] is not None],
        )
        return []
    cited = [
        Cited(known[row["i"]], "advice", f"{known[row['i']].number} in the remittance advice") for row in rows
    ]
    reader = Reader(paid, pool.rules)
    parts = [(row["paid"], row["discount"]) for row in rows]
    problem = reader.told(cited, parts, payer_by=way or "unknown", stage="remittance_advice")
    if problem:
        pool.doubt(paid.p, "AMOUNT", problem, [row["i"] for row in rows])
    return reader.found


def _read(
    pool: Pool,
    paid: Paid,
    hits: list[dict[str, Any]],
    known: dict[int, Claim],
    credits: dict[int, tuple[Claim, ...]],
    way: str | None,
) -> list[Hypothesis]:
    p = paid.p
    if len(hits) > pool.rules.references.max_cited:
        pool.doubt(p, "AMBIGUOUS", f"cites {len(hits)} invoices", [h["i"] for h in hits[:3]])
        return []
    own = [h for h in hits if h["same_currency"]]
    specific = [h for h in own or hits if h["is_specific"]]
    everything = [h["i"] for h in specific or own or hits]
    against = [h for h in specific if h["contradicts"]]
    if against:
        reason = f"cites {against[0]['words']}, but the account or tax number paid from is another customer's"
        pool.doubt(p, "PAYER", reason, everything)
        return []
    late = [h for h in specific if not h["in_time"]]
    if late:
        pool.doubt(p, "DATE", f"cites {late[0]['words']}, which is of another time", everything)
        return []
    if not own:
        return _read_foreign(pool, paid, specific, hits, known, way)
    if not specific:
        return _read_shared(pool, paid, own, known, way)
    live = [h for h in specific if h["owed"] != 0]
    if not any(h["owed"] > 0 for h in live):
        _nothing_open(pool, p, specific)
        return []
    strong = [h for h in live if h["is_strong"] or h["agrees"]]
    chosen = strong or live
    payer_by = _payer_of(chosen, way, is_stated=p not in pool.nameless)
    cited = [Cited(known[h["i"]], "specific" if h["is_strong"] else "digits", h["words"]) for h in chosen]
    reader = Reader(paid, pool.rules)
    noted = {c.i: c for h in chosen for c in credits.get(h["i"], ())}
    uncited = [c for i, c in sorted(noted.items()) if i not in {h["i"] for h in chosen}]
    problem = reader.read(cited, payer_by=payer_by, stage=plain.REFERENCE, credits=uncited)
    if problem:
        pool.doubt(p, "AMOUNT", problem, everything)
        return []
    if not reader.found:
        reason = "amount is less than the sum of the cited invoices and of no choice of them"
        pool.doubt(p, "AMOUNT", reason, everything)
    return reader.found


def _payer_of(hits: list[dict[str, Any]], way: str | None, *, is_stated: bool = True) -> str:
    if all(h["agrees"] for h in hits):
        return way or "unknown"
    if not is_stated:
        return "unstated"
    return "another name" if any(h["is_other_name"] for h in hits) else "unknown"


def _nothing_open(pool: Pool, p: int, specific: list[dict[str, Any]]) -> None:
    invoices = [h["i"] for h in specific]
    if pool.ledger.is_touched[p]:
        currency = pool.entries["currency"][p]
        rest = text(int(pool.ledger.payment_open[p]), currency)
        pool.doubt(p, "AMOUNT", f"{rest} more than was open on what it cites", invoices)
    else:
        reason = f"cites {specific[0]['words']}, on which nothing is open any more"
        pool.doubt(p, "DUPLICATE", reason, invoices)


def _read_foreign(
    pool: Pool,
    paid: Paid,
    specific: list[dict[str, Any]],
    hits: list[dict[str, Any]],
    known: dict[int, Claim],
    way: str | None,
) -> list[Hypothesis]:
    reader = Reader(paid, pool.rules)
    if len(specific) == 1 and specific[0]["owed"] > 0:
        h = specific[0]
        cited = Cited(known[h["i"]], "specific" if h["is_strong"] else "digits", h["words"])
        reader.exchange(cited, payer_by=_payer_of(specific, way), stage=plain.REFERENCE)
    if not reader.found:
        reason = f"cites {hits[0]['words']}, which is not in {paid.currency}, no rate explains it"
        pool.doubt(paid.p, "CURRENCY", reason, [h["i"] for h in hits])
    return reader.found


def _read_shared(
    pool: Pool, paid: Paid, shared: list[dict[str, Any]], known: dict[int, Claim], way: str | None
) -> list[Hypothesis]:
    """A reference that several invoices carry names none of them; the exact amount may."""
    fitting = [h for h in shared if not h["contradicts"] and h["in_time"] and h["owed"] > 0]
    fitting = [h for h in fitting if h["agrees"]] or fitting
    reader = Reader(paid, pool.rules)
    equal = [h for h in fitting if h["owed"] == paid.amount]
    is_sum = not equal and len(fitting) > 1 and sum(h["owed"] for h in fitting) == paid.amount
    for chosen in [[h] for h in equal] or ([fitting] if is_sum else []):
        cited = [Cited(known[h["i"]], "shared", h["words"]) for h in chosen]
        reader.read(cited, payer_by=_payer_of(chosen, way), stage="shared_reference_and_amount")
    if not reader.found:
        is_order = all(h["kind"] == 2 for h in shared)
        reason = f"cites {shared[0]['words']}, which {len(shared)} invoices carry, and the amount names none"
        pool.doubt(paid.p, "ORDER" if is_order else "AMBIGUOUS", reason, [h["i"] for h in equal or shared])
    return reader.found

"""Reconciliation: the night's flow through the stages, from conformed tables to reconciled ones.

What does not belong here: any rule of matching; each is in the module named after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from crm_hygiene.cash import decided, entries, exceptions, ledger, payers, references, states
from crm_hygiene.cash.advices import told_by_advice
from crm_hygiene.cash.books import Books
from crm_hygiene.cash.conservation import check_conservation
from crm_hygiene.cash.decided_reversals import decided_reversals
from crm_hygiene.cash.doubts import Doubt
from crm_hygiene.cash.matching import match
from crm_hygiene.cash.payer_history import learned_accounts
from crm_hygiene.cash.pool import Pool
from crm_hygiene.cash.reversals import pair_reversals
from crm_hygiene.cash.rules import CashRules
from crm_hygiene.progress import tell


@dataclass(frozen=True)
class Reconciliation:
    """The tables of layer `reconciled`, each of its contract and sorted."""

    allocations: pl.DataFrame
    invoices: pl.DataFrame
    payments: pl.DataFrame
    exceptions: pl.DataFrame
    suggestions: pl.DataFrame


def reconcile(books: Books, rules: CashRules, today: date) -> Reconciliation:
    """Match payments to invoices; post what is certain, name the rest.

    Parameters
    ----------
    books
        what is known; see `Books`.
    rules
        see `rules.load_cash_rules`.
    today
        the day lines are posted as of and ages are counted to.

    Returns
    -------
    Reconciliation
        the same for any row order. Earlier allocations stay as they are; what is taken back has contra
        lines. Deleted and void invoices take part only where they hold earlier allocations.

    Raises
    ------
    GateStopped
        if money were not conserved (`conservation`); nothing is to be published then.
    """
    previous = books.allocations
    claims = entries.numbered_invoices(books.invoices, books.members, previous, rules)
    paid = entries.numbered_payments(books.payments, previous, rules)
    effects = ledger.with_effect(previous)
    book = ledger.open_ledger(paid, claims, effects)
    live = ledger.live_lines(effects, paid, claims)

    taken_back, doubts = pair_reversals(paid, rules.reversal_days, rules.return_days)
    taken_back, doubts = decided_reversals(books.decisions, paid, taken_back, doubts)
    gone = _take_back(book, live, taken_back, paid, effects)
    standing = _give_back_whole_batches(book, live.filter(~pl.col("p").is_in(list(gone))), paid)
    carried_out = set(previous["decision_id"].drop_nulls())
    done = decided.apply_decisions(book, books.decisions, paid, claims, standing, carried_out, today)

    undone = [row[-1] for row in book.rows if row[-1] is not None]
    standing = standing.filter(~pl.col("allocation_id").is_in(undone))

    doubts |= _refusals(paid, "refusal_type")
    matchable = claims.filter("is_matchable")
    book.invoice_open[claims.filter("is_refused")["i"].to_numpy()] = 0
    # What is used up before tonight needs no reading, and an outgoing payment cites nothing of ours.
    held = done.parked | done.closed | gone
    pending = paid.with_columns(pl.Series("open", book.payment_open)).filter(
        (pl.col("open") > 0) & ~pl.col("p").is_in(list(held))
    )
    orders = books.orders.filter(~pl.col("is_deleted")).sort("source", "record_id").with_row_index("o")
    tell(f"{pending.height:,} payments with an open amount: what they cite")
    cited = references.find_references(pending, matchable, orders, rules.references)
    tell(f"{pending.height:,} payments with an open amount: who paid")
    who = payers.identify_payers(
        paid,
        claims,
        books.organisations,
        books.members,
        books.relations,
        learned_accounts(paid, claims, standing, cited.hits, rules),
        rules,
    )
    paid = paid.join(who.payment_parties.drop("strong", "named"), on="p", maintain_order="left", how="left")
    pool = Pool(
        ledger=book,
        entries=paid,
        claims=claims,
        who=who,
        hits=references.without_chance_serials(payers.judge_hits(cited.hits, who)),
        orders=cited.orders,
        strangers=cited.strangers,
        told=told_by_advice(books.advices, pending, matchable, rules.advice_days),
        held=held,
        blocks=_blocks(books.order_blocks, claims),
        paid_before=standing.filter(pl.col("allocation_kind") == "payment").select("p", "i"),
        fees_before=standing.filter(pl.col("allocation_kind") == "fee").select(
            "i", pl.col("allocated_amount").alias("fee")
        ),
        rules=rules,
    )
    doubts |= match(pool)
    doubts |= done.payment_doubts
    # What only matching needs is as large as the books: it goes before the states are counted.
    del pool, who, pending, effects, live, standing
    allocations = ledger.allocations_of(book, paid, claims, previous, today)
    doubts |= {p: d for p, d in exceptions.doubts_of_orders(cited.orders).items() if book.payment_open[p] > 0}
    rest = paid.with_columns(pl.Series("open", book.payment_open))
    unread = rest.filter((pl.col("open") > 0) & ~pl.col("p").is_in([*doubts, *gone, *done.parked]))
    owed = matchable.with_columns(pl.Series("open", book.invoice_open).gather(matchable["i"]))
    doubts |= exceptions.doubts_of_unknown(unread, owed, rules)
    duplicates = {p for p, d in doubts.items() if d.exception_type == "DUPLICATE"}
    found, suggestions = exceptions.exceptions_of(
        {p: d for p, d in doubts.items() if p not in done.parked},
        _refused_invoices(claims) | done.invoice_doubts,
        rest.with_columns(pl.when("is_matchable").then("open").otherwise("amount").alias("rest")),
        claims,
        book.invoice_open.tolist(),
        rules,
        today,
    )
    del rest, unread, owed
    after = ledger.with_effect(allocations)
    flagged = paid.with_columns(
        (pl.col("p").is_in(list(duplicates)) | pl.col("is_repeat")).alias("is_duplicate"),
        # Our own money that came back is settled with the entry it takes back.
        pl.col("p").is_in([*gone, *taken_back["by"]]).alias("is_taken_back"),
        pl.col("p").is_in(list(done.parked)).alias("is_parked"),
    )
    result = Reconciliation(
        allocations=allocations,
        invoices=states.invoice_states(claims, after, today),
        payments=states.payment_states(_with_account(flagged, claims, allocations), after),
        exceptions=found,
        suggestions=suggestions,
    )
    check_conservation(result.allocations, previous, result.invoices, result.payments)
    return result


def _take_back(
    book: ledger.Ledger,
    live: pl.DataFrame,
    taken_back: pl.DataFrame,
    paid: pl.DataFrame,
    effects: pl.DataFrame,
) -> set[int]:
    """Contra lines for payments that entries take back; rows of all payments so taken back, ever."""
    names = dict(paid.select("p", pl.format("{}/{}", "source", "record_id")).iter_rows())
    by = dict(taken_back.select("p", "by").iter_rows())
    lines = live.filter(pl.col("p").is_in(list(by)))
    said = taken_back.filter(pl.col("decision_id").is_not_null())
    told = {
        key: f"entry {names[by[p]]} takes the payment back"
        for key, p in lines.join(said, on="p", how="anti").select("allocation_id", "p").iter_rows()
    }
    book.reverse(lines.join(said, on="p", how="anti"), stage="reversal", evidence=told)
    # Not in the stage of reversals: a payment whose decision is revoked is a payment again.
    for p, decision, evidence in said.select("p", "decision_id", "evidence").sort("p").iter_rows():
        mine = lines.filter(pl.col("p") == p)
        why = dict.fromkeys(mine["allocation_id"], evidence)
        book.reverse(mine, stage=decided.STAGE, evidence=why, decision_id=decision)
    earlier = ledger.keyed(paid, ledger.used_by_payment(effects), ledger.PAYMENT_KEY)
    gone = {*by, *earlier.filter(pl.col("is_taken_back").fill_null(value=False))["p"].to_list()}
    for p in gone:
        book.payment_open[p] = 0
    return gone


def _give_back_whole_batches(book: ledger.Ledger, standing: pl.DataFrame, paid: pl.DataFrame) -> pl.DataFrame:
    """Contra lines for batches that have since come in parts; the lines that stand without them.

    A camt.054 may tell the parts (`B/1`, `B/2`) of an entry (`B`) that an earlier night knew as one: the
    entry is no payment any more, and what it settled is open to its parts.
    """
    parts = paid.select(
        pl.col("source").alias("payment_source"),
        pl.col("record_id").str.extract(r"^(.+)/\d+$").alias("payment_record_id"),
    ).drop_nulls()
    whole = standing.filter(pl.col("p") == ledger.NOBODY).join(
        parts.unique(), on=ledger.PAYMENT_KEY, how="semi"
    )
    told = dict.fromkeys(whole["allocation_id"], "the entry came in parts, which are payments of their own")
    book.reverse(whole, stage="reversal", evidence=told)
    return standing.join(whole.select("allocation_id"), on="allocation_id", how="anti")


def _refusals(paid: pl.DataFrame, column: str) -> dict[int, Doubt]:
    refused = paid.filter(pl.col(column).is_not_null() & ~pl.col("is_repeat") & ~pl.col("is_taking_back"))
    return {p: Doubt(kind, why) for p, kind, why in refused.select("p", column, "refusal").iter_rows()}


def _refused_invoices(claims: pl.DataFrame) -> dict[int, Doubt]:
    refused = claims.filter(pl.col("is_refused") & pl.col("is_live"))
    kind = (
        pl.when(pl.col("currency_refusal").is_not_null()).then(pl.lit("CURRENCY")).otherwise(pl.lit("AMOUNT"))
    )
    return {
        i: Doubt(k, why, (i,)) for i, k, why in refused.select("i", kind.alias("k"), "refusal").iter_rows()
    }


def _blocks(order_blocks: pl.DataFrame, claims: pl.DataFrame) -> dict[int, str]:
    """Invoice row -> every reason for which nothing may be posted to it."""
    if order_blocks.is_empty():
        return {}
    keys = claims.select(
        "i", pl.col("source").alias("invoice_source"), pl.col("record_id").alias("invoice_record_id")
    )
    blocked = order_blocks.join(keys, on=ledger.INVOICE_KEY).group_by("i")
    return dict(blocked.agg(pl.col("reason").unique().sort().str.join("; ")).iter_rows())


def _with_account(paid: pl.DataFrame, claims: pl.DataFrame, allocations: pl.DataFrame) -> pl.DataFrame:
    """Add `account_entity_id`: the payer's entity, else the one customer of the invoices it settles."""
    customer = claims.filter(pl.col("entity_id").is_not_null()).select(
        pl.col("source").alias("invoice_source"), pl.col("record_id").alias("invoice_record_id"), "entity_id"
    )
    settled = (
        allocations.join(customer, on=ledger.INVOICE_KEY)
        .group_by(ledger.PAYMENT_KEY)
        .agg(pl.col("entity_id").unique().alias("customers"))
        .filter(pl.col("customers").list.len() == 1)
        .select(
            pl.col("payment_source").alias("source"),
            pl.col("payment_record_id").alias("record_id"),
            pl.col("customers").list.first().alias("customer"),
        )
    )
    own = pl.when(pl.col("payer").str.starts_with("entity:")).then(
        pl.col("payer").str.strip_prefix("entity:")
    )
    return paid.join(settled, on=["source", "record_id"], how="left", maintain_order="left").with_columns(
        pl.coalesce(own, "customer").alias("account_entity_id")
    )

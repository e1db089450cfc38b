"""Reconciliation: the night's flow through the stages, from conformed tables to reconciled ones.

What does not belong here: any rule of matching; each is in the module named after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from crm_hygiene.cash import exceptions, ledger, payers, references, stages
from crm_hygiene.cash.money import to_units
from crm_hygiene.cash.rules import CashRules

_INVOICE_COLUMNS = [
    "source", "record_id", "is_deleted", "invoice_number", "customer_record_id", "customer_name",
    "organisation_name_normalised", "tax_id", "iban", "purchase_order_number", "payment_reference",
    "issue_date", "due_date", "currency", "amount", "document_status",
]  # fmt: skip
_PAYMENT_COLUMNS = [
    "source", "record_id", "booked_date", "currency", "amount", "payer_name", "organisation_name_normalised",
    "payer_iban", "payer_tax_id", "remittance_text", "end_to_end_id", "creditor_reference", "is_reversal",
]  # fmt: skip


@dataclass(frozen=True)
class Reconciliation:
    """The tables of layer `reconciled`, each of its contract and sorted."""

    allocations: pl.DataFrame
    invoices: pl.DataFrame
    payments: pl.DataFrame
    exceptions: pl.DataFrame


def reconcile(
    invoices: pl.DataFrame,
    payments: pl.DataFrame,
    purchase_orders: pl.DataFrame,
    organisation_members: pl.DataFrame,
    organisations: pl.DataFrame,
    previous_allocations: pl.DataFrame,
    rules: CashRules,
    as_of: date,
) -> Reconciliation:
    """Match payments to invoices; post what is certain, name the rest.

    Parameters
    ----------
    invoices, payments, purchase_orders, organisations
        the conformed tables; amounts Decimal(18,4) in the row's currency.
    organisation_members
        `linked.organisation_members`; ties (source, customer_record_id) to an entity.
    previous_allocations
        `reconciled.allocations` of the last night; they stay as they are.
    rules
        see `rules.load_cash_rules`.
    as_of
        the day overdue days are counted to.

    Returns
    -------
    Reconciliation
        the same for any row order. Deleted and void invoices take part only where they hold earlier
        allocations. Per payment the allocations other than fees, and per invoice all allocations,
        never exceed the amount.
    """
    claims = _numbered_invoices(invoices, organisation_members, previous_allocations, rules)
    entries = _numbered_payments(payments)
    book = ledger.open_ledger(entries, claims, previous_allocations)
    who = payers.identify_payers(entries, claims, organisations, organisation_members, rules.max_parties)
    entries = entries.join(who.payment_parties.drop("strong", "named"), on="p", maintain_order="left")
    # What is used up before tonight needs no reading, and an outgoing payment cites nothing of ours.
    pending = entries.with_columns(pl.Series("open", book.payment_open, dtype=pl.Int64)).filter(
        pl.col("open") > 0
    )
    citable = claims.filter(pl.col("is_matchable"))
    orders = purchase_orders.filter(~pl.col("is_deleted")).sort("source", "record_id").with_row_index("o")
    cited = references.find_references(pending, citable, orders, rules.references)
    days = stages.Days(
        booked=entries["booked_date"].to_list(),
        issued=claims["issue_date"].to_list(),
        due=claims["due_date"].to_list(),
    )
    by_reference = stages.ReferenceStage(book, days, entries["currency"].to_list(), rules)
    by_reference.run(payers.judge_hits(cited.hits, who))

    doubts = {p: d for p, d in by_reference.doubts.items() if book.payment_open[p] > 0}
    contested = {i for d in doubts.values() for i in d.invoices if book.invoice_open[i] > 0}
    silent = (
        pending.with_columns(
            pl.Series("is_touched", [book.is_touched[p] for p in pending["p"]], dtype=pl.Boolean)
        )
        .filter(~pl.col("is_touched"))
        .join(cited.hits, on="p", how="anti")
        .join(cited.orders, on="p", how="anti")
        .sort("p")
    )
    doubts |= stages.settle_by_payer(
        book, silent, _with_open(citable, book), cited.strangers, contested, rules
    )
    allocations = ledger.allocations_of(book, entries, claims, previous_allocations)
    reversals = exceptions.doubts_of_reversals(entries)
    doubts |= {p: doubt for p, (doubt, _) in reversals.items()}
    doubts |= exceptions.doubts_of_orders(cited.orders)
    rest = pl.Series("open", book.payment_open, dtype=pl.Int64)
    unread = entries.with_columns(rest).filter((pl.col("open") > 0) & ~pl.col("p").is_in([*doubts]))
    repeats = exceptions.doubts_of_repeats(
        unread, _with_open(claims, book), allocations, rules.duplicate_days
    )
    doubts |= repeats
    unread = unread.filter(~pl.col("p").is_in([*repeats]))
    doubts |= exceptions.doubts_of_unknown(unread, _with_open(citable, book), rules)
    remaining = pl.when(pl.col("is_reversal").fill_null(value=False)).then(pl.col("amount")).otherwise(rest)
    return Reconciliation(
        allocations=allocations,
        invoices=ledger.invoice_states(claims, allocations, as_of),
        payments=ledger.payment_states(_with_account(entries, claims, allocations), allocations),
        exceptions=exceptions.exceptions_of(
            doubts,
            {p: lines for p, (_, lines) in reversals.items()},
            entries.with_columns(remaining.alias("rest")),
            claims,
            book.invoice_open,
            rules,
        ),
    )


def _numbered_invoices(
    invoices: pl.DataFrame, members: pl.DataFrame, previous: pl.DataFrame, rules: CashRules
) -> pl.DataFrame:
    """Invoices in key order with row number `i`, amount in ten-thousandths, `party` and `entity_id`."""
    is_void = pl.col("document_status").str.to_lowercase().str.strip_chars().is_in(list(rules.void_statuses))
    held = previous.select(
        pl.col("invoice_source").alias("source"), pl.col("invoice_record_id").alias("record_id")
    )
    held = held.unique().with_columns(pl.lit(value=True).alias("is_held"))
    known = (
        invoices.select(_INVOICE_COLUMNS)
        .filter(pl.col("amount").is_not_null() & pl.col("currency").is_not_null())
        .join(held, on=["source", "record_id"], how="left")
        .with_columns((~pl.col("is_deleted") & ~is_void.fill_null(value=False)).alias("is_matchable"))
        .filter(pl.col("is_matchable") | pl.col("is_held").fill_null(value=False))
        .with_columns(to_units("amount"))
        .sort("source", "record_id")
    )
    known = payers.parties_of_documents(known, members).with_row_index("i")
    return known.with_columns(
        pl.col("i").cast(pl.Int64), references.normalised("invoice_number").alias("number")
    )


def _numbered_payments(payments: pl.DataFrame) -> pl.DataFrame:
    """Payments in booking order with row number `p` and amount in ten-thousandths."""
    known = payments.select(_PAYMENT_COLUMNS).filter(
        pl.col("amount").is_not_null() & pl.col("currency").is_not_null()
    )
    known = known.with_columns(to_units("amount")).sort("booked_date", "source", "record_id", nulls_last=True)
    return known.with_row_index("p").with_columns(pl.col("p").cast(pl.Int64))


def _with_open(invoices: pl.DataFrame, book: ledger.Ledger) -> pl.DataFrame:
    opens = pl.Series("open", book.invoice_open, dtype=pl.Int64)
    return invoices.with_columns(opens.gather(invoices["i"]))


def _with_account(entries: pl.DataFrame, claims: pl.DataFrame, allocations: pl.DataFrame) -> pl.DataFrame:
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
    return entries.join(settled, on=["source", "record_id"], how="left", maintain_order="left").with_columns(
        pl.coalesce(own, "customer").alias("account_entity_id")
    )

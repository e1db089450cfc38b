"""Exceptions: what a finance clerk has to look at, typed, in words, with ranked suggestions.

Every payment in that is not wholly applied has exactly one row here; none is left in silence. What
does not belong here: finding the doubts (`stages`).
"""

from __future__ import annotations

import hashlib

import polars as pl

from crm_hygiene.cash.money import from_units, text
from crm_hygiene.cash.rules import CashRules
from crm_hygiene.cash.stages import Doubt
from crm_hygiene.contract import contract_of

_CROWD = 50


def doubts_of_reversals(payments: pl.DataFrame) -> dict[int, tuple[Doubt, list[str]]]:
    """A REVERSAL for every reversing entry, suggesting the entries it may reverse.

    The original has the opposite amount in the same currency and the same end-to-end id or account.
    """
    reversing = payments.filter(pl.col("is_reversal").fill_null(value=False))
    originals = payments.filter(~pl.col("is_reversal").fill_null(value=False)).with_columns(-pl.col("amount"))
    found = [
        reversing.select("p", "amount", "currency", key)
        .join(
            originals.select("source", "record_id", "amount", "currency", key), on=["amount", "currency", key]
        )
        .select("p", "source", "record_id", pl.lit(rank).alias("rank"))
        for rank, key in enumerate(("end_to_end_id", "payer_iban"))
    ]
    suggested: dict[int, list[str]] = {p: [] for p in reversing["p"].to_list()}
    for p, source, record_id, _ in pl.concat(found).sort("p", "rank", "source", "record_id").iter_rows():
        line = f"reverses payment {source}/{record_id}"
        if line not in suggested[p]:
            suggested[p].append(line)
    doubt = Doubt("REVERSAL", "the entry reverses an earlier one")
    return {p: (doubt, lines) for p, lines in suggested.items()}


def doubts_of_repeats(
    payments: pl.DataFrame, invoices: pl.DataFrame, allocations: pl.DataFrame, days: int
) -> dict[int, Doubt]:
    """A DUPLICATE where the payer already paid an invoice of exactly this amount within `days`.

    `payments`: `p`, `payer`, `currency`, `open`, `booked_date`; `invoices`: `i`, `party`, `currency`,
    `amount`, `open`, `source`, `record_id`.
    """
    paid_on = (
        allocations.filter(pl.col("allocation_kind") == "payment")
        .group_by("invoice_source", "invoice_record_id")
        .agg(pl.col("booked_date").max().alias("paid_on"))
    )
    paid = invoices.filter((pl.col("open") == 0) & pl.col("party").is_not_null()).join(
        paid_on, left_on=["source", "record_id"], right_on=["invoice_source", "invoice_record_id"]
    )
    paid = paid.select(
        "i", "currency", "paid_on", pl.col("party").alias("payer"), pl.col("amount").alias("open")
    )
    near = (pl.col("booked_date") - pl.col("paid_on")).dt.total_days().abs()
    repeats = (
        payments.filter(pl.col("payer").is_not_null())
        .join(paid, on=["payer", "currency", "open"])
        .filter(near <= days)
        .sort("p", near, "i")
        .unique("p", keep="first", maintain_order=True)
    )
    reason = "the payer already paid an invoice of this amount"
    return {p: Doubt("DUPLICATE", reason, (i,)) for p, i in repeats.select("p", "i").iter_rows()}


def doubts_of_orders(orders_named: pl.DataFrame) -> dict[int, Doubt]:
    """An ORDER for every payment that names an order without an invoice (`p`, `token`)."""
    reason = "names order {}, of which no invoice is known"
    return {p: Doubt("ORDER", reason.format(t)) for p, t in orders_named.select("p", "token").iter_rows()}


def doubts_of_unknown(payments: pl.DataFrame, invoices: pl.DataFrame, rules: CashRules) -> dict[int, Doubt]:
    """An UNKNOWN for every other payment, suggesting the payer's open invoices, else those of the amount."""
    live = invoices.filter(pl.col("open") > 0).sort("due_date", "i", nulls_last=True)
    top = rules.max_suggestions
    owed = (
        live.filter(pl.col("party").is_not_null())
        .group_by("party", "currency", maintain_order=True)
        .agg(pl.col("i").head(top).alias("owed"))
    )
    # An amount that a crowd of invoices shares suggests none of them.
    alike = live.filter(pl.len().over("currency", "open") <= _CROWD)
    alike = alike.group_by("currency", "open", maintain_order=True).agg(pl.col("i").head(top).alias("alike"))
    joined = (
        payments.select("p", "payer", "currency", "open")
        .join(owed, left_on=["payer", "currency"], right_on=["party", "currency"], how="left")
        .join(alike, on=["currency", "open"], how="left")
        .sort("p")
    )
    doubts = {}
    for p, payer, of_payer, of_amount in joined.select("p", "payer", "owed", "alike").iter_rows():
        if payer is None:
            reason = "cites nothing known, and the payer is not known"
        elif of_payer:
            reason = "cites nothing known, and no open invoice of the payer has this amount"
        else:
            reason = "cites nothing known, and nothing is open of the payer in this currency"
        ranked = dict.fromkeys([*(of_payer or []), *(of_amount or [])])
        doubts[p] = Doubt("UNKNOWN", reason, tuple(ranked))
    return doubts


def exceptions_of(
    doubts: dict[int, Doubt],
    extra_suggestions: dict[int, list[str]],
    payments: pl.DataFrame,
    invoices: pl.DataFrame,
    invoice_open: list[int],
    rules: CashRules,
) -> pl.DataFrame:
    """`reconciled.exceptions`, one row per doubt, sorted by key.

    `amount` is what of the payment is not applied; `payments` are in row order with `rest` in
    ten-thousandths, `invoices` in row order with `amount` in ten-thousandths.
    """
    contract = contract_of("reconciled.exceptions")
    if not doubts:
        return contract.empty()
    rows = sorted(doubts)
    about = payments[rows].select(
        "source", "record_id", pl.col("rest").alias("amount"), "currency", "booked_date"
    )
    mentioned = sorted({i for d in doubts.values() for i in d.invoices})
    named = dict(
        zip(
            mentioned,
            invoices[mentioned].select("source", "record_id", "invoice_number", "currency").iter_rows(),
            strict=True,
        )
    ) if mentioned else {}  # fmt: skip
    ids, kinds, reasons, suggestions = [], [], [], []
    invoice_source: list[str | None] = []
    invoice_record: list[str | None] = []
    for p, (source, record_id) in zip(rows, about.select("source", "record_id").iter_rows(), strict=True):
        doubt = doubts[p]
        first = named[doubt.invoices[0]] if doubt.invoices else (None, None, None, None)
        lines = list(extra_suggestions.get(p, []))
        for i in doubt.invoices:
            its_source, its_record, number, currency = named[i]
            lines.append(
                f"invoice {number} ({its_source}/{its_record}), open {text(invoice_open[i], currency)}"
            )
        # Only what a clerk is pointed at by name is part of the question; an unknown payer's ranked
        # suggestions change nightly and must not make it a new one.
        is_named = bool(doubt.invoices) and doubt.exception_type not in ("UNKNOWN", "AMBIGUOUS", "ORDER")
        its = first[:2] if is_named else (None, None)
        invoice_source.append(its[0])
        invoice_record.append(its[1])
        key = "\x1f".join([doubt.exception_type, source, record_id, its[0] or "", its[1] or ""])
        ids.append(hashlib.sha256(key.encode()).hexdigest()[:32])
        kinds.append(doubt.exception_type)
        reasons.append(doubt.reason)
        suggestions.append(lines[: rules.max_suggestions])
    table = about.rename({"source": "payment_source", "record_id": "payment_record_id"}).with_columns(
        from_units("amount"),
        pl.Series("exception_id", ids, dtype=pl.String),
        pl.Series("exception_type", kinds, dtype=pl.String),
        pl.Series("reason", reasons, dtype=pl.String),
        pl.Series("suggestions", suggestions, dtype=pl.List(pl.String)),
        pl.Series("invoice_source", invoice_source, dtype=pl.String),
        pl.Series("invoice_record_id", invoice_record, dtype=pl.String),
    )
    return contract.shape(table).sort(contract.key)

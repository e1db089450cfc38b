"""Exceptions: what a finance clerk has to look at, typed, in words, with ranked suggestions.

Every payment in that is not wholly applied has exactly one row here, unless it is the same bank entry
delivered again; none is left in silence. What does not belong here: finding the doubts (`matching`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from crm_hygiene.cash.doubts import Doubt
from crm_hygiene.cash.money import from_units, text
from crm_hygiene.cash.rules import CashRules
from crm_hygiene.contract import contract_of

_CROWD = 50
# What a clerk is pointed at by name is part of the question; ranked suggestions change nightly and must
# not make it a new one.
_ABOUT_PAYMENT = ("UNKNOWN", "AMBIGUOUS", "ORDER", "REVERSAL")


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
    doubts: Mapping[int, Doubt],
    about_invoices: Mapping[int, Doubt],
    payments: pl.DataFrame,
    invoices: pl.DataFrame,
    invoice_open: Sequence[int],
    rules: CashRules,
    today: date,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`reconciled.exceptions`, one row per doubt, and `reconciled.suggestions`, both sorted by key.

    `amount` is what of the payment is not applied, or the invoice's; `payments` are in row order with
    `rest` in ten-thousandths, `invoices` in row order with `amount` in ten-thousandths.
    """
    contract, ranked = contract_of("reconciled.exceptions"), contract_of("reconciled.suggestions")
    mentioned = {i for d in doubts.values() for i in d.invoices} | {*about_invoices}
    mentioned |= {line.i for d in doubts.values() for h in d.alternatives for line in h.lines}
    rows = sorted(mentioned)
    told = ["source", "record_id", "invoice_number", "currency", "amount", "issue_date"]
    named = dict(zip(rows, invoices[rows].select(told).iter_rows(), strict=True)) if rows else {}
    wanted = sorted(doubts)
    known = ["source", "record_id", "rest", "currency", "booked_date"]
    paid = dict(zip(wanted, payments[wanted].select(known).iter_rows(), strict=True)) if wanted else {}
    found: list[tuple[object, ...]] = []
    suggested: list[tuple[object, ...]] = []
    for p in wanted:
        doubt, (source, record_id, rest, currency, booked) = doubts[p], paid[p]
        is_named = bool(doubt.invoices) and doubt.exception_type not in _ABOUT_PAYMENT
        its = named[doubt.invoices[0]][:2] if is_named else (None, None)
        key = _key(doubt.exception_type, source, record_id, *its)
        lines = list(doubt.notes)
        for i in doubt.invoices:
            of, number, owed_in = named[i][:2], named[i][2], named[i][3]
            lines.append(f"invoice {number} ({of[0]}/{of[1]}), open {text(int(invoice_open[i]), owed_in)}")
        found.append(
            (
                key,
                doubt.exception_type,
                source,
                record_id,
                *its,
                rest,
                currency,
                abs(rest),
                booked,
                booked,
                _age(booked, today),
                doubt.reason,
                lines[: rules.max_suggestions],
            )
        )
        for rank, h in enumerate(doubt.alternatives, 1):
            for place, line in enumerate(h.lines, 1):
                of = named[line.i]
                suggested.append(
                    (
                        key,
                        rank,
                        place,
                        h.kind,
                        line.kind,
                        of[0],
                        of[1],
                        of[2],
                        line.allocated,
                        of[3],
                        h.score,
                        list(h.reasons),
                    )
                )
        if not doubt.alternatives:
            for rank, i in enumerate(doubt.invoices[: rules.max_suggestions], 1):
                of, owed = named[i], int(invoice_open[i])
                if owed > 0 and of[3] == currency and rest > 0:
                    suggested.append(
                        (
                            key,
                            rank,
                            1,
                            "candidate",
                            "payment",
                            of[0],
                            of[1],
                            of[2],
                            min(rest, owed),
                            currency,
                            0,
                            [doubt.reason],
                        )
                    )
    for i, doubt in sorted(about_invoices.items()):
        source, record_id, _, currency, amount, issued = named[i]
        key = _key(doubt.exception_type, "", "", source, record_id)
        found.append(
            (
                key,
                doubt.exception_type,
                None,
                None,
                source,
                record_id,
                amount,
                currency,
                abs(amount),
                None,
                issued,
                _age(issued, today),
                doubt.reason,
                list(doubt.notes),
            )
        )
    units = pl.Int64()
    schema = {c: units if c in ("amount", "amount_at_stake") else t for c, t in contract.schema.items()}
    table = pl.DataFrame(found, schema=schema, orient="row")
    table = table.with_columns(from_units("amount"), from_units("amount_at_stake"))
    lists = {c: units if c == "suggested_amount" else t for c, t in ranked.schema.items()}
    alternatives = pl.DataFrame(suggested, schema=lists, orient="row").with_columns(
        from_units("suggested_amount")
    )
    return (
        contract.shape(table).sort(contract.key),
        ranked.shape(alternatives).sort(ranked.key),
    )


def _key(*parts: str | None) -> str:
    return hashlib.sha256("\x1f".join(part or "" for part in parts).encode()).hexdigest()[:32]


def _age(opened: date | None, today: date) -> int | None:
    return None if opened is None else max((today - opened).days, 0)

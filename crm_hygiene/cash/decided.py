"""Decided: what clerks decided about cash, carried out before any matching.

A decision binds. It comes before automation, undoes automatic lines of its payment that stand against it
by contra lines, and is carried out once; a revoked decision's lines are taken back. What cannot be
carried out as decided is said. What does not belong here: taking decisions down (`review`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from crm_hygiene.cash.doubts import Doubt
from crm_hygiene.cash.ledger import INVOICE_KEY, NOBODY, PAYMENT_KEY, Ledger, Line
from crm_hygiene.cash.money import to_units

STAGE = "decision"


@dataclass(frozen=True)
class Decided:
    """`parked` and `closed` payments are not for automation; `doubts` by payment and by invoice row."""

    parked: set[int]
    closed: set[int]
    payment_doubts: dict[int, Doubt]
    invoice_doubts: dict[int, Doubt]


def apply_decisions(
    ledger: Ledger,
    decisions: pl.DataFrame,
    payments: pl.DataFrame,
    invoices: pl.DataFrame,
    live: pl.DataFrame,
    carried_out: set[str],
    today: date,
) -> Decided:
    """Carry out what is decided and not yet done.

    Parameters
    ----------
    ledger
        as it stands before tonight's matching.
    decisions
        `stewardship.cash_decisions`.
    payments, invoices
        numbered, with `currency`.
    live
        `ledger.live_lines` of earlier nights.
    carried_out
        decisions that have lines already, taken back or not.
    today
        a payment parked until an earlier day is parked no more.
    """
    revoked = set(decisions["revokes_decision_id"].drop_nulls())
    key = pl.col("decision_id").is_in(list(revoked)) & ~pl.col("allocation_kind").is_in(["reversal"])
    back = live.filter(key.fill_null(value=False))
    for (decision,), lines in back.sort("decision_id").group_by("decision_id", maintain_order=True):
        told = dict.fromkeys(lines["allocation_id"], f"decision {decision} was revoked")
        ledger.reverse(lines, stage=STAGE, evidence=told, decision_id=str(decision))
    gone = set(back["allocation_id"])
    found = Decided(set(), set(), {}, {})
    # What is decided about a reversal is no posting (`decided_reversals`), parking aside.
    reversing = payments.filter("is_taking_back").select(_PAYMENT_KEY_HERE)
    in_force = (
        decisions.filter(
            (pl.col("decision_kind") != "revoke") & ~pl.col("cash_decision_id").is_in(list(revoked))
        )
        .join(reversing.with_columns(pl.lit(value=True).alias("reverses")), on=PAYMENT_KEY, how="left")
        .filter((pl.col("decision_kind") == "park") | pl.col("reverses").is_null())
        .join(
            payments.select(*_PAYMENT_KEY_HERE, "p", pl.col("currency").alias("paid_in")),
            on=PAYMENT_KEY,
            how="left",
        )
        .join(
            invoices.select(*_INVOICE_KEY_HERE, "i", pl.col("currency").alias("owed_in")),
            on=INVOICE_KEY,
            how="left",
        )
        .with_columns(*(to_units(c) for c in _MONEY), pl.col("p", "i").fill_null(NOBODY))
        .sort("decided_at", "cash_decision_id")
    )
    automatic = live.filter(pl.col("decision_id").is_null() & ~pl.col("allocation_id").is_in(list(gone)))
    undone: set[int] = set()
    for row in in_force.iter_rows(named=True):
        p, kind = int(row["p"]), row["decision_kind"]
        if kind == "park":
            if p != NOBODY and (row["until_date"] is None or row["until_date"] >= today):
                found.parked.add(p)
            continue
        if p != NOBODY:
            found.closed.add(p)
        if row["cash_decision_id"] in carried_out:
            continue
        if p != NOBODY and p not in undone and kind in ("apply", "split", "refund"):
            undone.add(p)
            mine = automatic.filter(pl.col("p") == p)
            asked = in_force.filter(
                (pl.col("p") == p) & pl.col("decision_kind").is_in(["apply", "split", "refund"])
            )
            new = asked.filter(~pl.col("cash_decision_id").is_in(list(carried_out)))
            wanted = new.select(pl.coalesce("used_amount", "amount").sum()).item()
            if mine.height and (row["amount"] is None or wanted > int(ledger.payment_open[p])):
                told = dict.fromkeys(
                    mine["allocation_id"], f"decision {row['cash_decision_id']} settles the payment otherwise"
                )
                ledger.reverse(mine, stage=STAGE, evidence=told, decision_id=row["cash_decision_id"])
        refusal = _carry_out(ledger, row)
        if refusal:
            reason = f"decision {row['cash_decision_id']} cannot be carried out: {refusal}"
            if p != NOBODY:
                found.payment_doubts[p] = Doubt("AMOUNT", reason, (row["i"],) if row["i"] != NOBODY else ())
            elif row["i"] != NOBODY:
                found.invoice_doubts[int(row["i"])] = Doubt("AMOUNT", reason, (row["i"],))
    return found


_MONEY = ("amount", "used_amount", "exchange_amount")
_PAYMENT_KEY_HERE = [pl.col("source").alias("payment_source"), pl.col("record_id").alias("payment_record_id")]
_INVOICE_KEY_HERE = [pl.col("source").alias("invoice_source"), pl.col("record_id").alias("invoice_record_id")]


def _carry_out(ledger: Ledger, row: dict[str, object]) -> str | None:
    """Post one decision; why not, where it cannot be."""
    p, i, kind = int(row["p"]), int(row["i"]), str(row["decision_kind"])  # type: ignore[call-overload]
    have = int(ledger.payment_open[p]) if p != NOBODY else 0
    owed = int(ledger.invoice_open[i]) if i != NOBODY else 0
    given = row["amount"]
    if kind == "refund":
        amount = have if given is None else int(given)  # type: ignore[call-overload]
        if p == NOBODY or not 0 < amount <= have:
            return "the payment has not so much left"
        lines = [Line(NOBODY, "refund", amount, amount)]
    elif kind == "write_off":
        of_payment = i == NOBODY and row["invoice_record_id"] is None
        most = have if of_payment else owed
        amount = most if given is None else int(given)  # type: ignore[call-overload]
        if of_payment and not 0 < amount <= have:
            return "the payment has not so much left"
        if not of_payment and (i == NOBODY or not 0 < amount <= owed):
            return "the invoice has not so much open"
        lines = [Line(i, "write_off", amount if of_payment else 0, amount)]
    else:
        same = row["paid_in"] == row["owed_in"]
        amount = min(have, owed) if given is None else int(given)  # type: ignore[call-overload]
        if p == NOBODY or i == NOBODY:
            return "the payment or the invoice is not known"
        if not same and (given is None or row["currency"] != row["owed_in"]):
            return "the amount has to be told in the invoice's currency"
        if amount <= 0 or amount > owed:
            return "the invoice has not so much open"
        if have <= 0 or (same and amount > have):
            return "the payment has not so much left"
        if same:
            lines = [Line(i, "payment", amount, amount)]
        else:
            # Older decisions say only what all that is left of the payment is worth.
            used = have if row["used_amount"] is None else int(row["used_amount"])  # type: ignore[call-overload]
            gap = int(row["exchange_amount"] or 0)  # type: ignore[call-overload]
            if used > have or used <= 0:
                return "the payment has not so much left"
            lines = [Line(i, "payment", used, amount - gap)]
            lines += [Line(i, "exchange", 0, gap)] if gap else []
    who = f"decided by {row['decided_by']}" + (f": {row['reason']}" if row["reason"] else "")
    ledger.post(
        p, lines, stage=STAGE, kind=kind, score=None, evidence=who, decision_id=str(row["cash_decision_id"])
    )
    return None

"""Decided reversals: which payment a reversal takes back where a clerk has said so.

What does not belong here: pairing them by what they tell (`reversals`) and the contra lines (`ledger`).
"""

from __future__ import annotations

from typing import Any

import polars as pl

from crm_hygiene.cash.doubts import Doubt

PAIRS = pl.Schema({"p": pl.Int64(), "by": pl.Int64(), "decision_id": pl.String(), "evidence": pl.String()})


def decided_reversals(
    decisions: pl.DataFrame, entries: pl.DataFrame, pairs: pl.DataFrame, doubts: dict[int, Doubt]
) -> tuple[pl.DataFrame, dict[int, Doubt]]:
    """`pairs` and `doubts` of `reversals.pair_reversals` as the standing decisions change them.

    Parameters
    ----------
    decisions
        `stewardship.cash_decisions`; of an entry that takes back, `apply` names the payment and `refund`
        says that the books have nothing to take back.
    entries
        numbered payments.

    Returns
    -------
    pairs
        `p`, `by`, and for decided ones `decision_id` and `evidence`. A decision wins over what was paired.
    doubts
        by the row of the reversing entry; those that are decided are gone, those whose decision no longer
        fits say so.
    """
    revoked = set(decisions["revokes_decision_id"].drop_nulls())
    of = {
        (source, record_id): (p, amount, currency)
        for p, source, record_id, amount, currency in entries.select(
            "p", "source", "record_id", "amount", "currency"
        ).iter_rows()
    } if decisions.height else {}  # fmt: skip
    standing = decisions.filter(
        pl.col("decision_kind").is_in(["apply", "refund"]) & ~pl.col("cash_decision_id").is_in(list(revoked))
    )
    reversing = set(entries.filter("is_taking_back")["p"])
    doubts = dict(doubts)
    made: list[tuple[int, int, str, str]] = []
    silent: set[int] = set()
    for row in standing.sort("decided_at", "cash_decision_id").iter_rows(named=True):
        entry = of.get((row["payment_source"], row["payment_record_id"]))
        if entry is None or entry[0] not in reversing:
            continue
        by = entry[0]
        silent.add(by)
        if row["decision_kind"] == "refund":
            doubts.pop(by, None)
            continue
        payment = of.get((row["taken_back_source"], row["taken_back_record_id"]))
        refusal = _refusal(entry, payment, {p for p, _, _, _ in made})
        if refusal or payment is None:
            reason = f"decision {row['cash_decision_id']} cannot be carried out: {refusal}"
            doubts[by] = Doubt("REVERSAL", reason)
            continue
        doubts.pop(by, None)
        made.append((payment[0], by, row["cash_decision_id"], _evidence(row)))
    decided = pl.DataFrame(made, schema=PAIRS, orient="row")
    taken = pl.col("p").is_in(decided["p"].implode()) | pl.col("by").is_in(list(silent))
    names = {p: f"{source}/{record_id}" for (source, record_id), (p, _, _) in of.items()}
    for p, by in pairs.filter(taken).select("p", "by").iter_rows():
        if by not in silent:
            doubts[by] = Doubt("REVERSAL", f"a decision says that another entry takes back {names[p]}")
    found = pairs.filter(~taken).with_columns(pl.lit(None, pl.String).alias(c) for c in PAIRS.names()[2:])
    return pl.concat([found.select(PAIRS.names()), decided]), doubts


def _refusal(entry: tuple[Any, ...], payment: tuple[Any, ...] | None, taken: set[int]) -> str | None:
    """Why the entry cannot take the payment back, by the books of tonight."""
    if payment is None:
        return "the payment that is taken back is not known any more"
    if payment[0] in taken:
        return "another decision has the payment taken back already"
    if payment[2] != entry[2] or entry[1] * payment[1] >= 0 or abs(entry[1]) < abs(payment[1]):
        return "the entry and the payment that it takes back do not fit each other any more"
    return None


def _evidence(row: dict[str, Any]) -> str:
    said = f": {row['reason']}" if row["reason"] else ""
    return (
        f"entry {row['payment_source']}/{row['payment_record_id']} takes the payment back, "
        f"decided by {row['decided_by']}{said}"
    )

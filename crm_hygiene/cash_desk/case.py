"""A case: one exception with its payment, the suggestions, the invoices that may be meant, what was decided.

What does not belong here: the order in which cases wait (`worklist`) and deciding (`deciding`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from crm_hygiene.cash.money import units
from crm_hygiene.cash_desk.balances import INVOICES, PAYMENTS, Balances, rows_of
from crm_hygiene.cash_desk.decision_log import CashLog
from crm_hygiene.cash_desk.reversing import REVERSAL, PaymentCandidate, payments_taken_back
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.records import Record
from crm_hygiene.stewardship.suggestions import UnknownTarget, by_prefix
from crm_hygiene.stewardship.targets import parse_record

EXCEPTIONS = "reconciled.exceptions"
SUGGESTIONS = "reconciled.suggestions"
_LONGEST_TEXT = 600
_CANDIDATES = 12


def printable(text: str | None, longest: int = _LONGEST_TEXT) -> str:
    """Text from outside as one line: no control or formatting characters, cut where it is too long.

    Such characters (Unicode's Cc, Cf, Co, Cs) move the cursor or turn the reading direction of a terminal.
    """
    start = (text or "")[: 4 * longest]
    kept = "".join(
        " " if c.isspace() else c for c in start if c.isspace() or unicodedata.category(c)[0] != "C"
    )
    line = " ".join(kept.split())
    more = len(text or "") > len(start) or len(line) > longest
    return line[:longest] + (f"… ({len(text or ''):,} characters)" if more else "")


@dataclass(frozen=True)
class SuggestedLine:
    """One line of a suggestion; `amount` in ten-thousandths."""

    allocation_kind: str
    invoice: Record | None
    invoice_number: str | None
    amount: int
    currency: str


@dataclass(frozen=True)
class Suggestion:
    """One way to settle the payment; rank 1 is the best."""

    rank: int
    hypothesis_kind: str
    score: int
    reasons: tuple[str, ...]
    lines: tuple[SuggestedLine, ...]


def suggestions_of(lake: Lake, exception_ids: Iterable[str]) -> dict[str, tuple[Suggestion, ...]]:
    """The suggestions for each exception, best first; exceptions without any are left out."""
    contract = contract_of(SUGGESTIONS)
    wanted = pl.Series(sorted(set(exception_ids)), dtype=pl.String).implode()
    rows = lake.scan(contract).filter(pl.col("exception_id").is_in(wanted)).collect().sort(contract.key)
    found: dict[str, list[Suggestion]] = {}
    for (exception_id, rank), part in rows.group_by("exception_id", "rank", maintain_order=True):
        first = part.row(0, named=True)
        lines = tuple(
            SuggestedLine(
                row["allocation_kind"] or "payment",
                (row["invoice_source"], row["invoice_record_id"]) if row["invoice_record_id"] else None,
                row["invoice_number"],
                units(row["suggested_amount"] or Decimal(0)),
                row["currency"] or "",
            )
            for row in part.iter_rows(named=True)
        )
        reasons = tuple(dict.fromkeys(r for row in part.iter_rows(named=True) for r in row["reasons"] or ()))
        found.setdefault(str(exception_id), []).append(
            Suggestion(int(str(rank)), first["hypothesis_kind"], int(first["score"]), reasons, lines)
        )
    return {exception_id: tuple(ranked) for exception_id, ranked in found.items()}


def payment_of(row: dict[str, Any]) -> Record | None:
    """The payment an exception or decision is about, if it is about one."""
    return (row["payment_source"], row["payment_record_id"]) if row["payment_record_id"] else None


def invoice_of(row: dict[str, Any]) -> Record | None:
    """The invoice an exception or decision names, if it names one."""
    return (row["invoice_source"], row["invoice_record_id"]) if row["invoice_record_id"] else None


def find_exception(lake: Lake, word: str) -> dict[str, Any]:
    """The exception with the id `word`, or the only one that begins with it; `source:record_id` is a payment.

    Raises
    ------
    UnknownTarget
        if there is none, or more than one.
    """
    exceptions = lake.scan(contract_of(EXCEPTIONS))
    if ":" in word:
        record = parse_record(word)
        found = exceptions.filter(
            (pl.col("payment_source") == record[0]) & (pl.col("payment_record_id") == record[1])
        ).collect()
        if found.height == 1:
            return found.row(0, named=True)
        if found.height:
            ids = ", ".join(sorted(found["exception_id"]))
            raise UnknownTarget(f"payment {word} has {found.height} exceptions: {ids}; name one of them")
        raise UnknownTarget(_gone(f"no exception about a payment {word}"))
    known = exceptions.select("exception_id").collect()["exception_id"]
    try:
        exception_id = by_prefix(word.removeprefix("E-"), known, "exception")
    except UnknownTarget as error:
        raise UnknownTarget(_gone(str(error))) from None
    return exceptions.filter(pl.col("exception_id") == exception_id).collect().row(0, named=True)


def _gone(message: str) -> str:
    return (
        f"{message}. It may have been settled by a later night: `crm-hygiene review cash list` has the open "
        "ones; payments are written source:record_id"
    )


@dataclass(frozen=True)
class Candidate:
    """An invoice that may be meant; `open` in ten-thousandths, less what is decided already."""

    record: Record
    row: dict[str, Any]
    open: int
    why: str


@dataclass(frozen=True)
class Case:
    """An exception and all that helps to decide it.

    Attributes
    ----------
    row
        row of reconciled.exceptions.
    payment
        row of reconciled.payments; None for an exception about an invoice alone.
    entry
        row of conformed.payments: what the bank says.
    unapplied
        what the payment has left, in ten-thousandths, less what is decided already.
    suggestions, candidates, payments
        the best first; `payments` are those that a reversal may take back.
    decisions
        standing decisions about the payment or, without one, the invoice.
    """

    row: dict[str, Any]
    payment: dict[str, Any] | None
    entry: dict[str, Any]
    unapplied: int
    suggestions: tuple[Suggestion, ...]
    candidates: tuple[Candidate, ...]
    decisions: tuple[dict[str, Any], ...]
    payments: tuple[PaymentCandidate, ...] = ()


def read_case(lake: Lake, row: dict[str, Any], log: CashLog) -> Case:
    """Everything about one exception."""
    record, invoice = payment_of(row), invoice_of(row)
    suggestions = suggestions_of(lake, [row["exception_id"]]).get(row["exception_id"], ())
    why: dict[Record, str] = {} if invoice is None else {invoice: "named"}
    for suggestion in suggestions:
        for line in suggestion.lines:
            if line.invoice is not None:
                why.setdefault(line.invoice, f"suggestion {suggestion.rank}")
    payment = rows_of(lake, PAYMENTS, [record]).get(record) if record else None
    for of_customer in _of_same_customer(lake, payment):
        why.setdefault(of_customer, "same customer")
    payments = [record] if record else []
    balances = Balances.read(lake, payments, why, log.standing, log.waiting)
    candidates = tuple(
        Candidate(key, balances.invoices[key], balances.open(key), text)
        for key, text in why.items()
        if key in balances.invoices
    )
    about = ("payment", record) if record else ("invoice", invoice)
    decisions = [
        decision
        for decision in log.standing.iter_rows(named=True)
        if about[1] is not None
        and (decision[f"{about[0]}_source"], decision[f"{about[0]}_record_id"]) == about[1]
    ]
    entry = rows_of(lake, "conformed.payments", payments).get(record, {}) if record else {}
    unapplied = balances.unapplied(record) if record in balances.payments and record else 0
    back = payments_taken_back(lake, payment) if row["exception_type"] == REVERSAL else ()
    return Case(row, payment, entry, unapplied, suggestions, candidates, tuple(decisions), back)


def _of_same_customer(lake: Lake, payment: dict[str, Any] | None) -> list[Record]:
    """Open invoices of the payer in the payment's currency, those nearest in amount first."""
    if payment is None or payment["account_entity_id"] is None:
        return []
    away = (pl.col("open_amount") - pl.lit(payment["unapplied_amount"])).abs()
    rows = (
        lake.scan(contract_of(INVOICES))
        .filter(
            (pl.col("account_entity_id") == payment["account_entity_id"])
            & (pl.col("currency") == payment["currency"])
            & (pl.col("open_amount") > 0)
        )
        .select("source", "record_id", away.alias("away"))
        .collect()
        .sort("away", "source", "record_id")
    )
    return [(source, record_id) for source, record_id, _ in rows.head(_CANDIDATES).iter_rows()]


def suggestion_of(suggestions: tuple[Suggestion, ...], rank: int) -> Suggestion:
    """The suggestion of a rank.

    Raises
    ------
    ConfigurationError
        if there is none.
    """
    for suggestion in suggestions:
        if suggestion.rank == rank:
            return suggestion
    have = f"it has 1 to {len(suggestions)}" if suggestions else "it has none"
    raise ConfigurationError(f"the exception has no suggestion {rank}; {have}")

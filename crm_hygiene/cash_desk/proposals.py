"""Proposals: what a clerk wants done with an exception, before anything is checked against the books."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from crm_hygiene.cash_desk.amounts import plain, read_amount
from crm_hygiene.cash_desk.case import Suggestion
from crm_hygiene.cash_desk.decision_log import DecisionKind
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.records import Record, written

# What is short of an invoice where the payment is taken for its settlement.
_SHORTFALLS = ("fee", "discount", "write_off")


@dataclass(frozen=True)
class Wish:
    """One thing to do; an `amount` (ten-thousandths) of None is all that can be.

    Attributes
    ----------
    amount
        in the invoice's currency, without an invoice in the payment's.
    used, rate, exchange
        where the currencies differ: what the payment gives, in its own; the rate, else the bank's; the gain
        or loss where a suggestion tells it.
    takes_back
        the payment that a reversal takes back.
    is_rest
        a write-off of the payment's rest, not of an invoice.
    """

    kind: DecisionKind
    invoice: Record | None = None
    amount: int | None = None
    used: int | None = None
    rate: Decimal | None = None
    exchange: int | None = None
    takes_back: Record | None = None
    is_rest: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the books have to fill in what it says."""
        return self.amount is None or any(v is not None for v in (self.used, self.rate, self.exchange))


@dataclass(frozen=True)
class Proposal:
    """What one decision says; at least one wish."""

    wishes: tuple[Wish, ...]
    reason: str | None = None
    until: date | None = None


def split_of(parts: Sequence[tuple[Record, int]], reason: str | None) -> Proposal:
    """A payment over several invoices.

    Raises
    ------
    ConfigurationError
        if there are fewer than two, or one is named twice.
    """
    if len(parts) < 2:
        raise ConfigurationError("a split needs two invoices or more; for one use apply")
    for at, (record, _) in enumerate(parts):
        if record in (other for other, _ in parts[:at]):
            raise ConfigurationError(f"{written(record)} is named twice; give it one amount")
    return Proposal(tuple(Wish("split", record, amount) for record, amount in parts), reason)


def proposal_of(suggestion: Suggestion, reason: str | None) -> Proposal:
    """What taking a suggestion amounts to; what falls short of an invoice is written off.

    Raises
    ------
    ConfigurationError
        if it needs more than applying and writing off, such as setting off a credit note.
    """
    paid = [line for line in suggestion.lines if line.allocation_kind == "payment"]
    short = [line for line in suggestion.lines if line.allocation_kind in _SHORTFALLS]
    gaps = [line for line in suggestion.lines if line.allocation_kind == "exchange"]
    others = {line.allocation_kind for line in suggestion.lines} - {"payment", *_SHORTFALLS}
    of = {line.invoice for line in suggestion.lines}
    if suggestion.hypothesis_kind == "exchange" and others <= {"exchange"} and len(paid) == len(of) == 1:
        gap = sum(line.amount for line in gaps)
        wish = Wish("apply", paid[0].invoice, paid[0].amount + gap, exchange=gap)
        return Proposal((wish,), reason or f"suggestion {suggestion.rank}: exchange")
    if others or not paid or any(line.invoice is None or line.amount <= 0 for line in suggestion.lines):
        named = ", ".join(sorted(kind.replace("_", " ") for kind in others)) or "nothing that can be applied"
        raise ConfigurationError(
            f"suggestion {suggestion.rank} has {named} in it and cannot be taken as a whole; decide with "
            "apply or split which invoices the payment is for"
        )
    kind: DecisionKind = "apply" if len(paid) == 1 else "split"
    why = reason or f"suggestion {suggestion.rank}: {suggestion.hypothesis_kind.replace('_', ' ')}"
    return Proposal(
        (
            *(Wish(kind, line.invoice, line.amount) for line in paid),
            *(Wish("write_off", line.invoice, line.amount) for line in short),
        ),
        why,
    )


def part_of(word: str) -> tuple[str, str]:
    """`INVOICE=AMOUNT`, split at the last equals sign.

    Raises
    ------
    ConfigurationError
        if it is written otherwise.
    """
    invoice, equals, amount = word.strip().rpartition("=")
    if not equals or not invoice.strip() or not amount.strip():
        raise ConfigurationError(f"'{word.strip()[:60]}' is not INVOICE=AMOUNT, as erp_invoices:4711=100.00")
    return invoice.strip(), amount.strip()


def parts_text(parts: Sequence[tuple[Record, int]]) -> str:
    """Invoices and amounts as one cell, read back by `parts_in`."""
    return "; ".join(f"{written(record)}={plain(amount)}" for record, amount in parts)


def parts_in(text: str, currency: str) -> list[tuple[str, int]]:
    """Words for invoices and amounts of a cell that holds `INVOICE=AMOUNT; ...`."""
    pairs = [part_of(word) for word in text.split(";") if word.strip()]
    return [(invoice, read_amount(amount, currency)) for invoice, amount in pairs]

"""Deciding: every check before a decision is written, and the writing.

A decision never takes more than a payment has left or an invoice is open for, decisions that wait for the
next night included; a write-off above the limit is for those whom the rules name. What does not belong
here: reading what the clerk typed (`proposals`), other currencies (`exchange`), reversals (`reversing`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from crm_hygiene.cash.money import text, units
from crm_hygiene.cash.rules import CashRules
from crm_hygiene.cash_desk.balances import Balances, written_off_of
from crm_hygiene.cash_desk.case import find_exception, invoice_of, payment_of
from crm_hygiene.cash_desk.decision_log import CashLog, Line, append, as_acts, row_of
from crm_hygiene.cash_desk.exchange import Exchanged, bank_rate, exchanged
from crm_hygiene.cash_desk.proposals import Proposal, Wish
from crm_hygiene.cash_desk.reversing import REVERSAL, reversal_line, settled_outside
from crm_hygiene.errors import ConfigurationError, HygieneError
from crm_hygiene.linkage.records import Record, written
from crm_hygiene.night import Night, cash_rules_of


class WriteOffRefused(HygieneError):  # noqa: N818 - named as what happened
    """A write-off is above what its author may write off; nothing was written."""


@dataclass(frozen=True)
class Decided:
    """What a decision came to.

    Attributes
    ----------
    rows
        rows added to stewardship.cash_decisions.
    repeated
        standing rows that said the same before; nothing was added for them.
    notes
        what the clerk should know, in words.
    """

    rows: pl.DataFrame
    repeated: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def group(self) -> str | None:
        """What `revoke` takes the whole decision back by."""
        return None if self.rows.is_empty() else str(self.rows["decision_group"][0])


_Taken = tuple[str, Record | None, Record | None]


def _taken(row: dict[str, Any]) -> _Taken:
    """What a row of the log does with which payment and invoice."""
    return row["decision_kind"], payment_of(row), invoice_of(row)


@dataclass
class Desk:
    """The books as decisions see them while they are made one after the other by one person.

    `acts` are the rows to be written, one list per decision, `made` the same by id; `taken` are decisions
    that wait for the next night, those of `acts` included.
    """

    log: CashLog
    balances: Balances
    rules: CashRules
    by: str
    at: datetime
    acts: list[list[dict[str, Any]]] = field(default_factory=list)
    made: dict[str, dict[str, Any]] = field(default_factory=dict)
    taken: dict[_Taken, list[dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def open(
        cls, night: Night, payments: Iterable[Record], invoices: Iterable[Record], by: str, now: datetime
    ) -> Desk:
        """The desk for decisions about the records named; the caller holds the night lock."""
        log = CashLog.read(night.lake)
        balances = Balances.read(night.lake, payments, invoices, log.standing, log.waiting)
        desk = cls(log, balances, cash_rules_of(night.config), by, log.moment(now))
        for row in log.waiting.iter_rows(named=True):
            desk.taken.setdefault(_taken(row), []).append(row)
        return desk

    @property
    def today(self) -> date:
        """The day of the decisions, UTC."""
        return self.at.date()

    def consider(self, exception: dict[str, Any], proposal: Proposal) -> tuple[int, list[dict[str, Any]]]:
        """Check a proposal and keep its rows for writing; how many, and the standing rows that say the same.

        Raises
        ------
        ConfigurationError
            if it does not fit the exception or the books as they are; nothing is kept then.
        WriteOffRefused
            if it writes off more than its author may.
        """
        payment = payment_of(exception)
        if payment is not None and payment not in self.balances.payments:
            raise ConfigurationError(
                f"payment {written(payment)} is not in the books any more; the next night drops the exception"
            )
        same = self._waiting_for(payment, proposal)
        if same:
            return 0, same
        several = len(proposal.wishes) > 1
        lines = [self._line(exception, payment, wish, proposal, several) for wish in proposal.wishes]
        said = [(line, *self._said_before(line)) for line in lines]
        repeated = [row for _, _, row in said if row is not None]
        fresh = [(line, decision_id) for line, decision_id, row in said if row is None]
        self._check_sums([line for line, _ in fresh])
        for line, _ in fresh:
            self._check_write_off(line, proposal.reason)
        rows = [
            row_of(line, decision_id, exception["exception_id"], proposal.reason, self.by, self.at)
            for line, decision_id in fresh
        ]
        if rows:
            self.acts.append(rows)
            for row in rows:
                self.made[row["cash_decision_id"]] = row
                self.taken.setdefault(_taken(row), []).append(row)
            for line, _ in fresh:
                self.balances.take(line)
                if line.kind == "write_off":
                    self.balances.write_off(line)
        return len(rows), repeated

    def write(self, night: Night) -> pl.DataFrame:
        """Append all that was kept in one commit, and return it."""
        rows = as_acts(self.acts)
        append(night, rows)
        return rows

    def _waiting_for(self, payment: Record | None, proposal: Proposal) -> list[dict[str, Any]]:
        """Where all that can be is asked for: the waiting decision that took all there was."""
        (wish, *more) = proposal.wishes
        if more or wish.amount is not None or wish.kind not in ("apply", "refund") or wish.takes_back:
            return []
        return self.taken.get((wish.kind, payment, wish.invoice), [])

    def _said_before(self, line: Line) -> tuple[str, dict[str, Any] | None]:
        decision_id, row, _ = self.log.said_before(line)
        return decision_id, row or self.made.get(decision_id)

    def _line(
        self,
        exception: dict[str, Any],
        payment: Record | None,
        wish: Wish,
        proposal: Proposal,
        several: bool = False,
    ) -> Line:
        """What a wish says once all that was left open is filled in."""
        if wish.kind == "park":
            until = proposal.until
            latest = self.today + timedelta(days=self.rules.max_park_days)
            if until is None or until <= self.today:
                raise ConfigurationError("say until when, with a day after today: --until 2026-12-31")
            if until > latest:
                raise ConfigurationError(
                    f"{until} is too far away; an exception is parked until {latest} at most (max_park_days)"
                )
            about = invoice_of(exception) if payment is None else None
            return Line("park", payment, about, until=until)
        if payment is not None and (wish.takes_back or exception.get("exception_type") == REVERSAL):
            return self._reversal(exception, payment, wish, proposal.reason)
        invoice = wish.invoice
        if wish.kind == "write_off" and invoice is None and not wish.is_rest:
            invoice = invoice_of(exception)
        if payment is None and wish.kind != "write_off":
            raise ConfigurationError(
                f"the exception is about an invoice without a payment: there is nothing to {wish.kind}; "
                "write it off or park it"
            )
        if wish.kind == "write_off" and invoice is None and (payment is None or not wish.is_rest):
            raise ConfigurationError(
                "the exception names no invoice: say what is written off with --invoice, or --rest for what "
                "is left of the payment"
            )
        if invoice is not None and invoice not in self.balances.invoices:
            raise ConfigurationError(f"invoice {written(invoice)} is not in the books any more")
        if wish.kind in ("apply", "split") and payment is not None and invoice is not None:
            crossed = self._crossed(payment, invoice, wish, several)
            if crossed is not None:
                return crossed
        if wish.used is not None or wish.rate is not None or wish.exchange is not None:
            raise ConfigurationError("--paid and --rate are for an invoice in another currency")
        currency = self._currency(payment, invoice, wish)
        amount = wish.amount
        if amount is None:
            amount = self._most(payment, invoice)
        return Line(wish.kind, payment, invoice, amount, currency)

    def _reversal(self, exception: dict[str, Any], entry: Record, wish: Wish, reason: str | None) -> Line:
        """What a wish about a reversal says."""
        if wish.kind == "apply" and wish.takes_back is not None:
            made = list(self.made.values())
            books = self.balances.payments
            return reversal_line(exception, entry, wish.takes_back, books, self.log, made, self.rules, reason)
        if wish.kind == "refund" and wish.amount is None:
            return settled_outside(entry, self.balances.payments)
        raise ConfigurationError(
            "the entry takes an earlier payment back: name it with apply --payment source:record_id; or "
            "refund, where the books have nothing to take back; or park it"
        )

    def _crossed(self, payment: Record, invoice: Record, wish: Wish, several: bool) -> Line | None:
        """The line between two currencies; None where they are the same."""
        paid_in = str(self.balances.payments[payment]["currency"])
        billed_in = str(self.balances.invoices[invoice]["currency"])
        if paid_in == billed_in:
            return None
        if several or wish.kind == "split":
            raise ConfigurationError(
                f"the payment is in {paid_in}, invoice {written(invoice)} in {billed_in}: decide it invoice "
                "by invoice, with apply --amount and --paid"
            )
        left, is_open = self.balances.unapplied(payment), self.balances.open(invoice)
        if wish.exchange is not None and wish.amount is not None:
            found = Exchanged(left, wish.amount, wish.exchange)
        else:
            rate = wish.rate or bank_rate(self.balances.entries.get(payment, {}))
            found = exchanged(paid_in, billed_in, left, is_open, wish.used, wish.amount, rate, self.rules)
        return Line(
            "apply",
            payment,
            invoice,
            found.amount,
            billed_in,
            used=found.used,
            used_currency=paid_in,
            exchange=found.gap or None,
        )

    def _currency(self, payment: Record | None, invoice: Record | None, wish: Wish) -> str:
        paid = self.balances.payments[payment]["currency"] if payment else None
        billed = self.balances.invoices[invoice]["currency"] if invoice else None
        # A write-off takes nothing from the payment, so the invoice's currency alone counts.
        return str(billed if wish.kind == "write_off" and billed else paid or billed)

    def _most(self, payment: Record | None, invoice: Record | None) -> int:
        """All of a payment that an invoice can take."""
        left = [] if payment is None else [self.balances.unapplied(payment)]
        left += [] if invoice is None else [self.balances.open(invoice)]
        return max(min(left), 0)

    def _check_sums(self, lines: list[Line]) -> None:
        """Refuse what takes more than there is, all lines of the decision together."""
        trial = Balances(
            self.balances.payments,
            self.balances.invoices,
            dict(self.balances.used),
            dict(self.balances.settled),
        )
        for line in lines:
            if line.kind == "park" or line.takes_back or self._is_back(line):
                continue
            assert line.amount is not None
            asked = text(line.amount, line.currency or "")
            if line.payment and not (line.kind == "write_off" and line.invoice):
                left, paid_in = trial.unapplied(line.payment), line.used_currency or line.currency or ""
                if left <= 0 or line.taken > left:
                    raise ConfigurationError(
                        f"{text(line.taken, paid_in)} is more than payment {written(line.payment)} has left: "
                        f"{_left(left, paid_in, trial.used.get(line.payment, 0))}"
                    )
            if line.invoice:
                opened = trial.open(line.invoice)
                if opened < 0:
                    raise ConfigurationError(f"{written(line.invoice)} is a credit, nothing is owed on it")
                if opened == 0 or line.amount > opened:
                    raise ConfigurationError(
                        f"{asked} is more than invoice {written(line.invoice)} is open for: "
                        f"{_left(opened, line.currency or '', trial.settled.get(line.invoice, 0))}"
                    )
            if line.amount <= 0:
                raise ConfigurationError("the amount must be above 0")
            trial.take(line)

    def _is_back(self, line: Line) -> bool:
        """Whether a line says that a reversal has nothing of the books to take back."""
        row = self.balances.payments.get(line.payment) if line.payment else None
        return line.kind == "refund" and row is not None and row["amount"] < 0

    def _check_write_off(self, line: Line, reason: str | None) -> None:
        if line.kind != "write_off":
            return
        if not (reason or "").strip():
            raise ConfigurationError("a write-off needs its reason: --reason '...'")
        currency = line.currency or ""
        limit = units(self.rules.write_off_limit.get(currency, Decimal(0)))
        before = max((self.balances.written_off.get(key, 0) for key in written_off_of(line)), default=0)
        total = before + (line.amount or 0)
        if total <= limit or self.by in self.rules.write_off_approvers:
            return
        so_far = f" ({text(before, currency)} was written off of it before)" if before else ""
        named = ", ".join(self.rules.write_off_approvers)
        who = (
            f"those who may write off more: {named}"
            if named
            else "nobody is named who may write off more; write_off_approvers in the rules of cash names them"
        )
        raise WriteOffRefused(
            f"{text(line.amount or 0, currency)}{so_far} is above the limit of {text(limit, currency)} "
            f"for {self.by}; {who}"
        )


def _left(amount: int, currency: str, decided: int) -> str:
    """What is left in words, and why it is less than the books say."""
    told = f"; decided and waiting, or in this decision: {text(decided, currency)}" if decided else ""
    return (text(amount, currency) if amount > 0 else "nothing") + told


def decide(night: Night, word: str, proposal: Proposal, by: str, now: datetime | None = None) -> Decided:
    """Decide one exception; the caller holds the night lock. Said a second time it adds nothing.

    Parameters
    ----------
    word
        an exception's id or its beginning, or its payment as `source:record_id`.
    now
        when (UTC); a moment not after the last row of the log is moved to just after it.

    Raises
    ------
    ConfigurationError
        if what is named is not there (`UnknownTarget`), or does not fit the books; nothing is written.
    WriteOffRefused
        if it writes off more than `by` may; nothing is written.
    LakeError
        if the lake cannot be written; nothing is written then.
    """
    exception = find_exception(night.lake, word)
    payment = payment_of(exception)
    invoices = [wish.invoice for wish in proposal.wishes if wish.invoice is not None]
    named = invoice_of(exception)
    others = [wish.takes_back for wish in proposal.wishes if wish.takes_back is not None]
    desk = Desk.open(
        night,
        [*([payment] if payment else []), *others],
        [*invoices, *([named] if named else [])],
        by,
        now or datetime.now(UTC),
    )
    _, repeated = desk.consider(exception, proposal)
    rows = desk.write(night)
    return Decided(rows, tuple(repeated), tuple(notes_on(desk.balances, rows)))


def notes_on(balances: Balances, rows: pl.DataFrame) -> list[str]:
    """What a clerk may have overlooked: an invoice of somebody else than the payer, money that stays."""
    notes: dict[str, None] = {}
    for row in rows.iter_rows(named=True):
        payment, invoice = payment_of(row), invoice_of(row)
        if row["decision_kind"] not in ("apply", "split") or payment is None or invoice is None:
            continue
        payer, owes = balances.payments[payment], balances.invoices[invoice]
        known = (payer["account_entity_id"], owes["account_entity_id"])
        if None not in known and known[0] != known[1]:
            notes[f"{written(invoice)} is an invoice of {owes['customer_name']}, not of the payer"] = None
        left, opened = balances.unapplied(payment), balances.open(invoice)
        if opened > 0:
            notes[f"{written(invoice)} stays open for {text(opened, row['currency'])}"] = None
        if left > 0:
            notes[f"the payment keeps {text(left, payer['currency'])} unapplied"] = None
    return list(notes)

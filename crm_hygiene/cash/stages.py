"""Stages: exact reference first, then amount and payer, each only where no alternative stands.

A stage posts or leaves a doubt with its type and the invoices in question; it never guesses. Payments
are taken in booking order, and the reference stage runs until nothing more follows, so that running
the night again on its own result adds nothing. What does not belong here: wording and ranking of
exceptions (`exceptions`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

import polars as pl
from rapidfuzz.distance import OSA

from crm_hygiene.cash.hypotheses import EQUALS_OPEN, read_amount
from crm_hygiene.cash.ledger import Ledger
from crm_hygiene.cash.money import text
from crm_hygiene.cash.references import INVOICE_FIELDS, PAYMENT_FIELDS
from crm_hygiene.cash.rules import CashRules, Window

REFERENCE = "exact_reference"
SHARED_REFERENCE = "shared_reference_and_amount"
PAYER = "payer_and_amount"

_SLICE = 50_000

_KIND_WORDS = [name.replace("_", " ") for name in INVOICE_FIELDS]
_FIELD_WORDS = [name.replace("_", " ") for name in PAYMENT_FIELDS]


@dataclass(frozen=True)
class Doubt:
    """Why a payment was not, or not wholly, posted; `invoices` are row numbers, best first."""

    exception_type: str
    reason: str
    invoices: tuple[int, ...] = ()


class Hit(NamedTuple):
    """One cited invoice of one payment, as judged against the payer."""

    i: int
    token: str
    field: int
    kind: int
    same_currency: bool
    is_specific: bool
    is_strong: bool
    agrees: bool
    contradicts: bool
    is_other_name: bool

    @property
    def words(self) -> str:
        """`invoice number INV1 in remittance text`."""
        return f"{_KIND_WORDS[self.kind]} {self.token} in {_FIELD_WORDS[self.field]}"


@dataclass(frozen=True)
class Days:
    """Booking dates by payment, issue and due dates by invoice; a missing date never contradicts."""

    booked: list[date | None]
    issued: list[date | None]
    due: list[date | None]

    def allow(self, p: int, i: int, window: Window) -> bool:
        """Whether payment `p` lies within the window of invoice `i`."""
        booked, issued, due = self.booked[p], self.issued[i], self.due[i]
        if booked is None:
            return True
        if issued is not None and (issued - booked).days > window.before_issue:
            return False
        last = due if due is not None else issued
        return last is None or (booked - last).days <= window.after_due


@dataclass
class ReferenceStage:
    """Settles payments that cite invoices; doubts by payment row."""

    ledger: Ledger
    days: Days
    currencies: list[str]
    rules: CashRules
    doubts: dict[int, Doubt] = field(default_factory=dict)

    def run(self, judged: pl.DataFrame) -> None:
        """Work through all citations (`payers.judge_hits`) until no posting follows from another."""
        waiting: Iterable[tuple[int, list[Hit]]] = _grouped(judged)
        while True:
            before = len(self.ledger.postings)
            still: list[tuple[int, list[Hit]]] = []
            for p, hits in waiting:
                self._settle(p, hits)
                if self.ledger.payment_open[p] > 0:
                    still.append((p, hits))
                else:
                    self.doubts.pop(p, None)
            if len(self.ledger.postings) == before:
                break
            waiting = still

    def _doubt(self, p: int, kind: str, reason: str, hits: list[Hit]) -> None:
        self.doubts[p] = Doubt(kind, reason, tuple(h.i for h in hits))

    def _settle(self, p: int, hits: list[Hit]) -> None:
        if len(hits) == 1 and self._settle_plainly(p, hits[0]):
            return
        own = [h for h in hits if h.same_currency]
        if not own:
            paid = self.currencies[p]
            self._doubt(p, "CURRENCY", f"cites {hits[0].words}, which is not in {paid}", hits)
            return
        specific = [h for h in own if h.is_specific]
        if not specific:
            self._settle_shared(p, own)
            return
        against = [h for h in specific if h.contradicts]
        if against:
            reason = (
                f"cites {against[0].words}, but the account or tax number paid from is another customer's"
            )
            self._doubt(p, "PAYER", reason, specific)
            return
        late = [h for h in specific if not self.days.allow(p, h.i, self.rules.windows.reference)]
        if late:
            self._doubt(p, "DATE", f"cites {late[0].words}, which is of another time", specific)
            return
        live = [h for h in specific if self.ledger.invoice_open[h.i] > 0]
        if not live:
            self._nothing_open(p, specific)
            return
        sure = [h for h in live if h.is_strong or h.agrees]
        if sure:
            self._settle_cited(p, sure, must_be_exact=False)
        else:
            self._settle_cited(p, live, must_be_exact=True)

    def _settle_plainly(self, p: int, hit: Hit) -> bool:
        """The common case, one sure citation of exactly the open amount, without the detours."""
        amount = self.ledger.payment_open[p]
        if (
            amount != self.ledger.invoice_open[hit.i]
            or not (hit.same_currency and hit.is_specific)
            or hit.contradicts
            or not self.days.allow(p, hit.i, self.rules.windows.reference)
        ):
            return False
        self.ledger.post(p, hit.i, amount, 0, REFERENCE, f"{hit.words}; {EQUALS_OPEN}")
        return True

    def _nothing_open(self, p: int, specific: list[Hit]) -> None:
        if self.ledger.is_touched[p]:
            rest = text(self.ledger.payment_open[p], self.currencies[p])
            self._doubt(p, "AMOUNT", f"{rest} more than was open on what it cites", specific)
        else:
            self._doubt(
                p, "DUPLICATE", f"cites {specific[0].words}, on which nothing is open any more", specific
            )

    def _settle_cited(self, p: int, live: list[Hit], *, must_be_exact: bool) -> None:
        opens = [self.ledger.invoice_open[h.i] for h in live]
        amount = self.ledger.payment_open[p]
        reading = read_amount(amount, opens, self.currencies[p], self.rules)
        if must_be_exact and not (reading.is_exact and len(live) == 1):
            reason = f"cites {live[0].words}, digits alone, and neither the amount nor the payer confirms it"
            self._doubt(p, "AMOUNT", reason, live)
            return
        if not reading.postings:
            self._doubt(p, "AMOUNT", reading.name, live)
            return
        misnamed = [h for h in live if h.is_other_name]
        if misnamed and not reading.is_exact:
            reason = (
                f"cites {misnamed[0].words}, but another customer's name and another amount speak against it"
            )
            self._doubt(p, "PAYER", reason, live)
            return
        for posting in reading.postings:
            hit = live[posting.position]
            evidence = f"{hit.words}; {reading.name}"
            self.ledger.post(p, hit.i, posting.paid, posting.fee, REFERENCE, evidence)
        if self.ledger.payment_open[p] > 0:
            rest = text(self.ledger.payment_open[p], self.currencies[p])
            self._doubt(p, "AMOUNT", f"{rest} more than was open on what it cites", live)

    def _settle_shared(self, p: int, shared: list[Hit]) -> None:
        """A reference that several invoices carry names none of them; the exact amount may."""
        amount = self.ledger.payment_open[p]
        window = self.rules.windows.reference
        fitting = [h for h in shared if not h.contradicts and self.days.allow(p, h.i, window)]
        fitting = [h for h in fitting if h.agrees] or fitting
        opens = [(h, self.ledger.invoice_open[h.i]) for h in fitting if self.ledger.invoice_open[h.i] > 0]
        equal = [h for h, o in opens if o == amount]
        if len(equal) == 1:
            chosen, how = equal, "the only one of them with this open amount"
        elif not equal and len(opens) > 1 and sum(o for _, o in opens) == amount:
            chosen, how = [h for h, _ in opens], "the amount is the sum of all of them"
        else:
            kind = "ORDER" if all(_KIND_WORDS[h.kind].startswith("purchase") for h in shared) else "AMBIGUOUS"
            reason = f"cites {shared[0].words}, which {len(shared)} invoices carry, and the amount names none"
            self._doubt(p, kind, reason, equal or shared)
            return
        for h in chosen:
            self.ledger.post(p, h.i, self.ledger.invoice_open[h.i], 0, SHARED_REFERENCE, f"{h.words}; {how}")


def _grouped(judged: pl.DataFrame) -> Iterator[tuple[int, list[Hit]]]:
    """Citations payment by payment; a slice at a time, for a million of them as objects is a burden."""
    ordered = judged.sort("p", "i").select("p", *Hit._fields)
    current, hits = -1, list[Hit]()
    for part in ordered.iter_slices(_SLICE):
        for p, *values in part.iter_rows():
            if p != current:
                if hits:
                    yield current, hits
                current, hits = p, []
            hits.append(Hit(*values))
    if hits:
        yield current, hits


def settle_by_payer(
    ledger: Ledger,
    payments: pl.DataFrame,
    invoices: pl.DataFrame,
    strangers: pl.DataFrame,
    contested: set[int],
    rules: CashRules,
) -> dict[int, Doubt]:
    """Post where payer and exact amount name one invoice, and that invoice names one payment.

    Parameters
    ----------
    payments
        candidates that cite nothing known: `p`, `currency`, `open`, `payer`, `payer_by`, `booked_date`.
    invoices
        every invoice: `i`, `currency`, `amount`, `open`, `party`, `issue_date`, `due_date`,
        `number` (normalised).
    strangers
        `p`, `token`: what looks like an invoice number and is none we know.
    contested
        open invoices that a payment in doubt cites.
    """
    window = rules.windows.payer
    booked, issued = pl.col("booked_date"), pl.col("issue_date")
    last = pl.coalesce("due_date", "issue_date")
    in_time = ((issued - booked).dt.total_days() <= window.before_issue).fill_null(value=True) & (
        (booked - last).dt.total_days() <= window.after_due
    ).fill_null(value=True)
    same_amount = invoices.select(
        "i", "currency", "open", "issue_date", "due_date", "number", pl.col("party").alias("payer"),
        pl.len().over("party", "currency", "amount").alias("alike"),
    )  # fmt: skip
    edges = (
        payments.filter(pl.col("payer").is_not_null() & (pl.col("open") > 0))
        .join(same_amount.filter(pl.col("open") > 0), on=["payer", "currency", "open"])
        .filter(in_time)
        .with_columns(pl.len().over("p").alias("choices"), pl.len().over("i").alias("claims"))
        .sort("p", "due_date", "i", nulls_last=True)
    )
    token_of = dict(strangers.group_by("p").agg(pl.col("token").sort()).iter_rows())
    doubts: dict[int, Doubt] = {}
    by_payment: dict[int, list[int]] = {}
    for p, i in edges.select("p", "i").iter_rows():
        by_payment.setdefault(p, []).append(i)
    columns = ["p", "i", "choices", "claims", "alike", "number", "payer_by"]
    for p, i, choices, claims, alike, number, payer_by in edges.select(columns).iter_rows():
        if p in doubts:
            continue
        if choices > 1:
            reason = f"{choices} open invoices of the payer have this amount"
        elif claims > 1:
            reason = f"{claims} payments of the payer fit the one open invoice of this amount"
        elif i in contested:
            reason = "the payer's one open invoice of this amount is cited by another payment in doubt"
        elif not _is_same_number(token_of.get(p, []), number, alike, rules):
            reason = "the payment names a document that is not known"
        else:
            evidence = f"payer by {payer_by}; the only open invoice of the payer with this amount"
            ledger.post(p, i, ledger.invoice_open[i], 0, PAYER, evidence)
            continue
        doubts[p] = Doubt("AMBIGUOUS", reason, tuple(by_payment[p]))
    return doubts


def _is_same_number(tokens: list[str], number: str | None, alike: int, rules: CashRules) -> bool:
    """Whether unknown numbers in the text can only be a mistyped number of the invoice.

    Where the payer was invoiced the same amount more than once, a number one digit off is the next one.
    """
    if not tokens:
        return True
    if alike > 1 or not number:
        return False
    return all(OSA.distance(t, number) <= rules.references.max_edits for t in tokens)

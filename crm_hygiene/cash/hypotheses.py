"""Hypotheses: the ways a payment may settle invoices, each with its lines and its evidence as a score.

Pure functions over whole ten-thousandths. What does not belong here: finding the cited invoices
(`references`), choosing between hypotheses (`choice`) and posting (`ledger`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

from crm_hygiene.cash.ledger import Line
from crm_hygiene.cash.money import coin, in_coins, units
from crm_hygiene.cash.rules import CashRules

_NOT_THEIRS = ("unknown", "another name")


class Claim(NamedTuple):
    """An invoice as matching sees it; `is_open` is negative for a credit note."""

    i: int
    is_open: int
    amount: int
    currency: str
    number: str
    issued: date | None
    due: date | None
    discount_days: int | None
    discount_percent: Decimal | None
    late_interest_percent: Decimal | None
    corrects: str | None

    def discount(self) -> int:
        """Early-payment discount on what is open, in whole coins, 0 without terms."""
        if not self.discount_percent or self.discount_days is None or self.is_open <= 0:
            return 0
        return in_coins(Decimal(self.is_open) * self.discount_percent / 100, self.currency)

    def is_in_discount(self, booked: date | None) -> bool:
        """Whether a payment booked then is early enough by the invoice's own terms."""
        if booked is None or self.issued is None or self.discount_days is None:
            return False
        return booked <= self.issued + timedelta(days=self.discount_days)

    def late_interest(self, booked: date | None) -> tuple[int, ...]:
        """Interest from the due date to the booking, in years of 365 and of 360 days."""
        if not self.late_interest_percent or booked is None or self.due is None or booked <= self.due:
            return ()
        owed = Decimal(self.is_open) * self.late_interest_percent / 100 * (booked - self.due).days
        return tuple(in_coins(owed / year, self.currency) for year in (365, 360))


class Cited(NamedTuple):
    """A claim with what speaks for it: `reference` is a key of the rules' weights."""

    claim: Claim
    reference: str
    words: str


class Paid(NamedTuple):
    """A payment as matching sees it; amounts in ten-thousandths."""

    p: int
    amount: int
    currency: str
    booked: date | None
    payer_by: str
    instructed: int | None
    instructed_currency: str | None
    charges: int | None
    rate: Decimal | None


@dataclass(frozen=True)
class Hypothesis:
    """One way to read a payment. `is_certain` says that it may be posted if it wins; else only suggested."""

    p: int
    kind: str
    lines: tuple[Line, ...]
    score: int
    reasons: tuple[str, ...]
    stage: str
    is_certain: bool = True

    @cached_property
    def net(self) -> dict[int, int]:
        """What each invoice is settled by."""
        net: dict[int, int] = {}
        for line in self.lines:
            if line.kind != "interest":
                net[line.i] = net.get(line.i, 0) + line.allocated
        return net


def settle_whole(claims: Sequence[Claim]) -> list[Line]:
    """Each claim in full; credit notes take their part back from the claims before them."""
    credit = -sum(c.is_open for c in claims if c.is_open < 0)
    lines: list[Line] = []
    for c in sorted(claims, key=lambda c: (-c.is_open, c.i)):
        if c.is_open < 0:
            lines.append(Line(c.i, "credit_note", 0, c.is_open))
            continue
        netted = min(credit, c.is_open)
        credit -= netted
        if netted:
            lines.append(Line(c.i, "credit_note", 0, netted))
        if c.is_open > netted:
            lines.append(Line(c.i, "payment", c.is_open - netted, c.is_open - netted))
    return lines


def _take(lines: list[Line], i: int, amount: int, kind: str) -> list[Line]:
    """`amount` of what is paid to invoice `i` becomes a line of `kind` that uses nothing."""
    return [
        part
        for line in lines
        for part in (
            [Line(i, "payment", line.used - amount, line.allocated - amount), Line(i, kind, 0, amount)]
            if line.i == i and line.kind == "payment"
            else [line]
        )
    ]


class Reader:
    """Makes the hypotheses of one payment; the score is the sum of the declared weights."""

    def __init__(self, paid: Paid, rules: CashRules) -> None:
        self.paid = paid
        self.rules = rules
        self.found: list[Hypothesis] = []

    def add(
        self,
        kind: str,
        amount: str,
        lines: Sequence[Line],
        cited: Sequence[Cited],
        words: str,
        *,
        payer_by: str,
        stage: str,
        is_certain: bool = True,
    ) -> None:
        """A hypothesis with the weakest reference of those it rests on."""
        weights = self.rules.evidence
        reference = min(cited, key=lambda c: weights.reference[c.reference]) if cited else None  # type: ignore[index]
        near = all(self._is_near(c.claim) for c in cited)
        score = (
            weights.amount[amount]
            + (weights.reference[reference.reference] if reference else 0)  # type: ignore[index]
            + weights.payer[payer_by]
            + (weights.date if near else 0)
        )
        reasons = [c.words for c in cited if c.words][:3]
        if payer_by not in (*_NOT_THEIRS, "unstated"):
            reasons.append(f"payer by {payer_by}")
        self.found.append(
            Hypothesis(self.paid.p, kind, tuple(lines), score, (*reasons, words), stage, is_certain)
        )

    def _is_near(self, claim: Claim) -> bool:
        booked = self.paid.booked
        if booked is None:
            return False
        after = claim.issued is None or booked >= claim.issued
        last = claim.due or claim.issued
        return after and (last is None or booked <= last + timedelta(days=30))

    def read(
        self, cited: Sequence[Cited], *, payer_by: str, stage: str, credits: Sequence[Claim] = ()
    ) -> str | None:
        """All hypotheses of the payment for the claims it cites; why none is plain, if so.

        `credits` are credit notes of the same customer that the payment does not cite.
        """
        amount = self.paid.amount
        claims = [c.claim for c in cited]
        total = sum(c.is_open for c in claims)
        given: dict[str, Any] = {"payer_by": payer_by, "stage": stage}
        several = "one_to_many" if len(claims) > 1 else "one_to_one"
        if total <= 0:
            return "credit notes alone are cited"
        if any(c.is_open < 0 for c in claims) and amount == total:
            self.add(
                "credit_note", "credit_note", settle_whole(claims), cited, "net of the credit note", **given
            )
        elif amount == total:
            words = (
                "amount equals the open amount"
                if len(claims) == 1
                else "amount equals the sum of the open amounts"
            )
            exact = "shared_exact" if any(c.reference == "shared" for c in cited) else "exact"
            self.add(several, exact, settle_whole(claims), cited, words, **given)
        late = self._discounts(cited, total, given)
        if late:
            return late
        for credit in credits:
            if amount == total + credit.is_open:
                words = "net of the credit note " + credit.number
                certain = credit.corrects in {c.number for c in claims} or payer_by != "unknown"
                self.add(
                    "credit_note",
                    "credit_note",
                    settle_whole([*claims, credit]),
                    cited,
                    words,
                    is_certain=certain,
                    **given,
                )
        if amount < total:
            self._short(cited, total, given)
        elif amount > total:
            self._more(cited, total, given)
        return None

    def _discounts(self, cited: Sequence[Cited], total: int, given: dict[str, Any]) -> str | None:
        terms = [c.claim for c in cited if c.claim.discount()]
        if not terms or self.paid.amount >= total:
            return None
        early = [c for c in terms if c.is_in_discount(self.paid.booked)]
        # Programs round half a coin up or to even: a single invoice may differ by one.
        slack = coin(self.paid.currency) if len(cited) == 1 else 0
        taken = sum(c.discount() for c in early)
        if early and abs(self.paid.amount - (total - taken)) <= slack:
            lines = settle_whole([c.claim for c in cited])
            for c in early:
                amount = c.discount() if len(cited) > 1 else total - self.paid.amount
                lines = _take(lines, c.i, amount, "discount")
            days = ", ".join(f"{c.discount_percent:f} % within {c.discount_days} days" for c in early[:3])
            self.add("discount", "discount", lines, cited, f"early-payment discount of {days}", **given)
            return None
        if len(early) < len(terms) and self.paid.amount == total - sum(c.discount() for c in terms):
            return "takes an early-payment discount after its date"
        return None

    def _short(self, cited: Sequence[Cited], total: int, given: dict[str, Any]) -> None:
        paid, amount, rules = self.paid, self.paid.amount, self.rules
        gap = total - amount
        claims = [c.claim for c in cited]
        is_ours = given["payer_by"] not in _NOT_THEIRS
        largest = max(claims, key=lambda c: (c.is_open, -c.i))
        lines = _take(settle_whole(claims), largest.i, gap, "fee") if gap < largest.is_open else []
        has_credit = any(c.is_open < 0 for c in claims)
        told = paid.charges == gap or (paid.instructed == total and paid.instructed_currency == paid.currency)
        if lines and not has_credit:
            if told:
                self.add(
                    "fee", "stated_fee", lines, cited, "short by the charge that the bank states", **given
                )
            elif gap <= rules.tolerance(paid.currency):
                if len(claims) == 1:
                    self.add("rounding", "rounding", lines, cited, "short by a rounding difference", **given)
            elif rules.is_fee(gap, total, paid.currency):
                self.add("fee", "fee", lines, cited, "short by a bank charge", is_certain=is_ours, **given)
        if len(claims) == 1:
            part = [Line(claims[0].i, "payment", amount, amount)]
            # So small a gap may be a charge or a discount too, of whatever agreement.
            is_clear = (
                is_ours
                and gap > max(rules.fee_ceiling(paid.currency), rules.tolerance(paid.currency))
                and Decimal(gap) > rules.fees.max_share * total
            )
            words = "part of the open amount"
            self.add("partial", "partial", part, cited, words, is_certain=is_clear, **given)
            return
        for subset in subsets_of_sum(amount, [c.is_open for c in claims], rules.references.max_combination):
            chosen = [cited[k] for k in subset]
            words = "amount equals the sum of a choice of the cited invoices"
            self.add(
                "subset",
                "subset_cited",
                settle_whole([c.claim for c in chosen]),
                chosen,
                words,
                is_certain=is_ours,
                **given,
            )

    def _more(self, cited: Sequence[Cited], total: int, given: dict[str, Any]) -> None:
        paid, amount = self.paid, self.paid.amount
        claims = [c.claim for c in cited]
        if len(claims) == 1:
            rounding = units(self.rules.interest.rounding)
            if any(abs(amount - total - due) <= rounding for due in claims[0].late_interest(paid.booked)):
                lines = [*settle_whole(claims), Line(claims[0].i, "interest", amount - total, amount - total)]
                words = f"late interest of {claims[0].late_interest_percent:f} % a year"
                self.add("interest", "interest", lines, cited, words, **given)
        if all(c.is_open > 0 for c in claims):
            is_slip = Decimal(amount - total) <= self.rules.overpaid_share * total
            words = "amount exceeds what is open"
            certain = is_slip and given["payer_by"] not in _NOT_THEIRS
            self.add("overpaid", "overpaid", settle_whole(claims), cited, words, is_certain=certain, **given)

    def exchange(self, cited: Cited, *, payer_by: str, stage: str) -> None:
        """The payment in another currency than the invoice's, by what the bank says of it."""
        paid, claim = self.paid, cited.claim
        amount, owed = paid.amount, claim.is_open
        given: dict[str, Any] = {"payer_by": payer_by, "stage": stage}
        if owed <= 0:
            return
        if paid.instructed_currency == claim.currency and paid.instructed == owed:
            line = [Line(claim.i, "payment", amount, owed)]
            self.add(
                "exchange", "exchange", line, [cited], "the instructed amount is the open amount", **given
            )
            return
        if not paid.rate or paid.rate <= 0 or paid.instructed_currency == claim.currency:
            return
        rated = {
            in_coins(worth, claim.currency)
            for worth in (Decimal(amount) * paid.rate, Decimal(amount) / paid.rate)
        }
        worth = min(rated, key=lambda w: (abs(w - owed), w))
        gap = owed - worth
        if worth <= 0 or Decimal(abs(gap)) > self.rules.exchange.max_share * owed:
            return
        lines = [Line(claim.i, "payment", amount, worth)]
        if gap:
            lines.append(Line(claim.i, "exchange", 0, gap))
        words = f"at the bank's rate of {paid.rate.normalize():f}" + (
            ", the rest is exchange loss" if gap > 0 else ", the rest is exchange gain" if gap < 0 else ""
        )
        self.add("exchange", "exchange", lines, [cited], words, **given)

    def told(
        self, cited: Sequence[Cited], parts: Sequence[tuple[int, int]], *, payer_by: str, stage: str
    ) -> str | None:
        """As the payer's remittance advice says: (paid, discount) of each cited invoice."""
        lines: list[Line] = []
        for c, (amount, discount) in zip(cited, parts, strict=True):
            if amount + discount > c.claim.is_open or amount < 0 or discount < 0:
                return "the remittance advice pays more of an invoice than is open"
            if discount and not (c.claim.is_in_discount(self.paid.booked) and discount <= c.claim.discount()):
                return "the remittance advice takes a discount that the invoice's terms do not give"
            if amount:
                lines.append(Line(c.claim.i, "payment", amount, amount))
            if discount:
                lines.append(Line(c.claim.i, "discount", 0, discount))
        self.add(
            "remittance_advice",
            "advice",
            lines,
            cited,
            "as the remittance advice says",
            payer_by=payer_by,
            stage=stage,
        )
        return None


def subsets_of_sum(
    amount: int, opens: Sequence[int], limit: int, sizes: int | None = None
) -> list[tuple[int, ...]]:
    """Proper subsets with the sum `amount`, at most two: one is a match, two are an ambiguity."""
    found: list[tuple[int, ...]] = []
    if not 2 <= len(opens) <= limit:
        return found
    for size in range(1, min(sizes or len(opens), len(opens) - 1) + 1):
        for subset in combinations(range(len(opens)), size):
            if sum(opens[k] for k in subset) == amount:
                found.append(subset)
                if len(found) == 2:
                    return found
    return found

"""Sums: payments without a reference whose amount is explained by a sum or a difference too exact for chance.

One payment for several invoices, less credit notes; several payments of one payer for one invoice; and one
invoice less a known fee or a rounding difference, plus late interest, or in another currency. Tolerance is
for single invoices only, never for sums. What does not belong here: posting (`silent`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crm_hygiene.cash.coincidence import chance
from crm_hygiene.cash.hypotheses import Cited, Claim, Hypothesis, Paid, Reader, settle_whole
from crm_hygiene.cash.ledger import Line
from crm_hygiene.cash.money import coin, units
from crm_hygiene.cash.rules import CashRules

STAGE = "payer_and_sum"
Ints = npt.NDArray[np.int64]


class Joint(NamedTuple):
    """Payments that settle one invoice together: `payments` rows with their amounts, and the claim."""

    payments: tuple[Paid, ...]
    claim: Claim
    is_sure: bool


@cache
def _choices(n: int, largest: int) -> Ints:
    """Every choice of 2 to `largest` of `n` things, and all of them, as rows of 0 and 1."""
    rows = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1
    size = rows.sum(axis=1)
    kept: Ints = rows[(size >= 2) & ((size <= largest) | (size == n))].astype(np.int64)
    return kept


def one_to_many(
    paid: Paid, claims: Sequence[Claim], recurring: Collection[int], payer_by: str, rules: CashRules
) -> tuple[list[Hypothesis], tuple[int, ...]]:
    """Readings of the payment as the sum of several open claims of one customer, credit notes taken off.

    Returns
    -------
    tuple
        the readings, and the invoices of a sum that holds an amount which is invoiced again and again: an
        equal invoice, paid meanwhile by another payment, may have been meant, so it is no reading.
    """
    limits = rules.limits
    if not 2 <= len(claims) <= limits.subset_invoices:
        return [], ()
    opens = np.array([c.is_open for c in claims], dtype=np.int64)
    choices = _choices(len(claims), limits.subset_size)
    sums = choices @ opens
    hits = [
        [claims[k] for k in np.flatnonzero(choices[row]).tolist()]
        for row in np.flatnonzero(sums == paid.amount)[:3]
    ]
    hits = _without_equal_ones(hits, recurring)
    doubtful = tuple(c.i for hit in hits if _is_recurring(hit, recurring) for c in hit)
    reader = Reader(paid, rules)
    for hit in hits:
        if _is_recurring(hit, recurring):
            continue
        parts = [abs(c.is_open) for c in hit]
        odds = chance(paid.amount, sums, parts, coin(paid.currency))
        is_sure = len(hits) == 1 and odds <= rules.chances.sum
        reader.add(
            "credit_note" if any(c.is_open < 0 for c in hit) else "one_to_many",
            "improbable" if is_sure else "subset",
            settle_whole(hit),
            [Cited(c, "none", "") for c in hit],
            "amount equals the sum of only these open documents of the payer"
            + (f", by chance in {odds:.1e}" if is_sure else ""),
            payer_by=payer_by,
            stage=STAGE,
            is_certain=is_sure,
        )
    return reader.found, doubtful


def _without_equal_ones(hits: list[list[Claim]], recurring: Collection[int]) -> list[list[Claim]]:
    """The one hit whose credit note names its invoice, where the others are it with an equal invoice."""
    named = [hit for hit in hits if any(c.is_open < 0 for c in hit) and not _is_recurring(hit, recurring)]
    if len(named) != 1:
        return hits
    amounts = sorted(c.is_open for c in named[0])
    return named if all(sorted(c.is_open for c in hit) == amounts for hit in hits) else hits


def _is_recurring(hit: Sequence[Claim], recurring: Collection[int]) -> bool:
    """Whether an equal invoice may have been meant; a credit note that corrects one says which."""
    corrected = {c.corrects for c in hit if c.is_open < 0}
    return any(c.i in recurring and c.number not in corrected for c in hit)


def many_to_one(
    paid: Sequence[Paid], claims: Sequence[Claim], recurring: Collection[int], rules: CashRules
) -> list[Joint]:
    """Payments of one customer in one currency that are together what is open on one invoice.

    A hit is sure if chance is small, and no other hit shares a payment or the invoice with it.
    """
    limits = rules.limits
    claims = [c for c in claims if c.is_open > 0]
    if not 2 <= len(paid) <= limits.subset_invoices or not claims or len(claims) > limits.component_payments:
        return []
    amounts = np.array([p.amount for p in paid], dtype=np.int64)
    choices = _choices(len(paid), limits.subset_size)
    sums = choices @ amounts
    hits: list[tuple[tuple[Paid, ...], Claim, float]] = []
    for claim in claims:
        for row in np.flatnonzero(sums == claim.is_open)[:3]:
            chosen = tuple(paid[k] for k in np.flatnonzero(choices[row]).tolist())
            if all(_in_time(p, claim) and not _is_slight(p, claim, rules) for p in chosen):
                odds = chance(claim.is_open, sums, [p.amount for p in chosen], coin(claim.currency))
                hits.append((chosen, claim, odds))
    joints = []
    for chosen, claim, odds in hits:
        rows = {p.p for p in chosen}
        others = [h for h in hits if h[1].i == claim.i or rows & {p.p for p in h[0]}]
        is_sure = len(others) == 1 and odds <= rules.chances.sum and claim.i not in recurring
        joints.append(Joint(chosen, claim, is_sure))
    return joints


def _is_slight(paid: Paid, claim: Claim, rules: CashRules) -> bool:
    """Whether a part is so small that the rest may be the whole, short by a charge."""
    return rules.is_fee(paid.amount, claim.is_open, paid.currency)


def _in_time(paid: Paid, claim: Claim) -> bool:
    return paid.booked is None or claim.issued is None or paid.booked >= claim.issued


def one_to_one(
    paid: Paid,
    claims: Sequence[Claim],
    recurring: Collection[int],
    known_fees: Mapping[str, Sequence[int]],
    payer_by: str,
    rules: CashRules,
) -> list[Hypothesis]:
    """Readings of the payment as one open claim but for a known fee, a rounding difference, late interest or
    the exchange that the bank states; sure where one reading alone fits, chance is small and the customer has
    no equal invoice.
    """
    claims = [c for c in claims if c.is_open > 0]
    fees = [f for f in known_fees.get(paid.currency, ()) if f <= rules.fee_ceiling(paid.currency)]
    tolerance = rules.tolerance(paid.currency)
    slack = units(rules.interest.rounding)
    one = coin(paid.currency)
    opens = np.array([c.is_open for c in claims], dtype=np.int64)
    own = [c for c in claims if c.currency == paid.currency]
    found: list[tuple[str, Claim, list[Line], str, int, int]] = []
    for c in own:
        gap = c.is_open - paid.amount
        part = [Line(c.i, "payment", paid.amount, paid.amount), Line(c.i, "fee", 0, gap)]
        if gap in fees:
            found.append(("fee", c, part, "short by a fee that other payments are short by", len(fees), gap))
        elif 0 < gap <= tolerance:
            words = "short by a rounding difference"
            found.append(("rounding", c, part, words, 2 * tolerance // one, gap))
        elif gap < 0 and any(abs(-gap - due) <= slack for due in c.late_interest(paid.booked)):
            lines = [*settle_whole([c]), Line(c.i, "interest", -gap, -gap)]
            words = f"late interest of {c.late_interest_percent:f} % a year"
            found.append(("interest", c, lines, words, 2 * (2 * slack // one + 1), gap))
    for c in claims:
        if c.currency == paid.currency:
            continue
        if paid.instructed_currency == c.currency and paid.instructed == c.is_open:
            line = [Line(c.i, "payment", paid.amount, c.is_open)]
            found.append(("exchange", c, line, "the instructed amount is the open amount", 1, 0))
    reader = Reader(paid, rules)
    for kind, c, lines, words, ways, gap in found:
        amount = c.is_open if kind == "exchange" else paid.amount
        parts = [c.is_open] if kind in ("exchange", "interest") else [c.is_open, abs(gap)]
        odds = chance(amount, opens, parts, coin(c.currency), ways)
        most = rules.chances.sum if kind == "exchange" else rules.chances.difference
        is_sure = len(found) == 1 and odds <= most and c.i not in recurring
        reader.add(
            kind,
            "improbable" if is_sure else "fee" if kind == "fee" else "rounding",
            lines,
            [Cited(c, "none", "")],
            words + (f", by chance in {odds:.1e}" if is_sure else ""),
            payer_by=payer_by,
            stage=STAGE,
            is_certain=is_sure,
        )
    return reader.found

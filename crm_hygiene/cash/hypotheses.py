"""Hypotheses: how an amount may settle the invoices a payment cites.

One pure function over whole ten-thousandths: full, several, fee, a unique subset, partial,
overpayment; or a doubt where no reading beats every other. What does not belong here: finding the
cited invoices (`references`) and booking (`ledger`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from crm_hygiene.cash.rules import CashRules

#: The plainest reading there is.
EQUALS_OPEN = "amount equals the open amount"


@dataclass(frozen=True)
class Posting:
    """`paid` and `fee` (ten-thousandths) for the invoice at `position` of the cited ones."""

    position: int
    paid: int
    fee: int = 0


@dataclass(frozen=True)
class Reading:
    """How the amount is read: its name in words, and what it posts; no postings mean a doubt."""

    name: str
    postings: tuple[Posting, ...] = ()
    is_exact: bool = False


def read_amount(amount: int, opens: Sequence[int], currency: str, rules: CashRules) -> Reading:
    """The one reading of `amount` against the open amounts of the cited invoices.

    Parameters
    ----------
    amount
        what the payment still has, in ten-thousandths, above 0.
    opens
        open amount of each cited invoice, in ten-thousandths, each above 0.

    Returns
    -------
    Reading
        its postings never exceed `amount` in what is paid, nor any invoice's open amount in paid plus fee.
    """
    total = sum(opens)
    if amount == total:
        name = (
            "amount equals the open amount"
            if len(opens) == 1
            else "amount equals the sum of the open amounts"
        )
        return Reading(name, tuple(Posting(k, o) for k, o in enumerate(opens)), is_exact=True)
    if amount > total:
        return Reading("amount exceeds what is open", tuple(Posting(k, o) for k, o in enumerate(opens)))
    subsets = _subsets_of_sum(amount, opens, rules.references.max_combination)
    if len(subsets) == 1:
        chosen = tuple(Posting(k, opens[k]) for k in subsets[0])
        return Reading("amount equals the sum of exactly one choice of the cited invoices", chosen)
    if len(subsets) > 1:
        return Reading("several choices of the cited invoices have the amount as their sum")
    gap = total - amount
    largest = max(range(len(opens)), key=lambda k: (opens[k], -k))
    if rules.is_fee(gap, total, currency) and gap < opens[largest]:
        postings = tuple(
            Posting(k, o - gap, gap) if k == largest else Posting(k, o) for k, o in enumerate(opens)
        )
        rounding = gap <= rules.tolerance(currency)
        return Reading("short by a rounding difference" if rounding else "short by a bank charge", postings)
    if len(opens) == 1:
        return Reading("part of the open amount", (Posting(0, amount),))
    return Reading("amount is less than the sum of the cited invoices and of no choice of them")


def _subsets_of_sum(amount: int, opens: Sequence[int], limit: int) -> list[tuple[int, ...]]:
    """Proper subsets with the sum `amount`, at most two: one is a match, two are an ambiguity."""
    found: list[tuple[int, ...]] = []
    if not 2 <= len(opens) <= limit:
        return found
    for size in range(1, len(opens)):
        for subset in combinations(range(len(opens)), size):
            if sum(opens[k] for k in subset) == amount:
                found.append(subset)
                if len(found) == 2:
                    return found
    return found

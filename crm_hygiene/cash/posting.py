"""Posting: the best choice of tonight's readings is posted where it is clear, else left with a reason.

What does not belong here: which choice is best (`choice`), what a reading weighs (`hypotheses`).
"""

from __future__ import annotations

from crm_hygiene.cash.choice import choose
from crm_hygiene.cash.doubts import Doubt
from crm_hygiene.cash.hypotheses import Hypothesis
from crm_hygiene.cash.money import text
from crm_hygiene.cash.pool import Pool


def post_the_choice(pool: Pool, found: list[Hypothesis]) -> None:
    """Post the clear and certain readings among those of tonight; doubts for the payments of the others."""
    opens = {i: int(pool.ledger.invoice_open[i]) for h in found for i in h.net}
    choice = choose(found, opens, pool.rules)
    ranked: dict[int, list[Hypothesis]] = {}
    for h in sorted(found, key=lambda h: (h.p, -h.score, h.kind, h.lines)):
        ranked.setdefault(h.p, []).append(h)
    other = set(pool.hits.filter("is_other_name")["p"])
    for p, alternatives in ranked.items():
        top = tuple(alternatives[: pool.rules.max_suggestions])
        invoices = tuple(dict.fromkeys(line.i for h in top for line in h.lines))
        best = choice.chosen.get(p)
        if best is not None:
            top = (best, *(o for o in top if o != best))[: pool.rules.max_suggestions]
        if p in choice.beyond:
            pool.doubts[p] = Doubt("AMBIGUOUS", "too many payments and invoices hang together", invoices, top)
        elif best is None:
            pool.doubts[p] = Doubt(
                "AMBIGUOUS", "other payments settle the invoices it may be for", invoices, top
            )
        elif any(line.i in pool.blocks for line in best.lines):
            blocked = next(line.i for line in best.lines if line.i in pool.blocks)
            pool.doubts[p] = Doubt("ORDER", f"blocked: {pool.blocks[blocked]}", (blocked,), top)
        elif p not in choice.clear:
            reason = (
                f"{len(alternatives)} readings of the payment are too near to each other"
                if len(alternatives) > 1
                else "another payment fits as well"
            )
            pool.doubts[p] = Doubt("AMBIGUOUS", reason, invoices, top)
        elif best.score < alternatives[0].score:
            reason = f"{alternatives[0].reasons[-1]}, but other payments need the same documents"
            pool.doubts[p] = Doubt("AMBIGUOUS", reason, invoices, top)
        elif not best.is_certain or best.score < pool.rules.minimum:
            is_named = "another name" if best.score < pool.rules.minimum and p in other else None
            reason = (
                f"{best.reasons[-1]}, and neither the amount nor the payer confirms it"
                if not is_named
                else "cites an invoice, but another customer's name and another amount speak against it"
            )
            pool.doubts[p] = Doubt("PAYER" if is_named else "AMOUNT", reason, invoices, top)
        else:
            pool.ledger.post(
                p,
                best.lines,
                stage=best.stage,
                kind=best.kind,
                score=best.score,
                evidence="; ".join(best.reasons),
            )
            left = int(pool.ledger.payment_open[p])
            if left > 0:
                rest = text(left, pool.entries["currency"][p])
                pool.doubts[p] = Doubt("AMOUNT", f"{rest} more than was open on what it cites", invoices, top)

"""Choice: the best set of hypotheses per knot of payments and invoices, and how clearly it is the best.

A payment takes at most one hypothesis, an invoice no more than is open; the sum of scores is the
objective. What is chosen is certain only if every choice without it is worse by the margin. Knots beyond
the limits and solves that do not end are ambiguous. What does not belong here: scores (`hypotheses`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd

from crm_hygiene.cash.hypotheses import Hypothesis
from crm_hygiene.cash.rules import CashRules

_LARGEST = 2**55


@dataclass(frozen=True)
class Choice:
    """Chosen hypotheses by payment, those of them that are `clear`, and payments in too large a knot."""

    chosen: dict[int, Hypothesis]
    clear: set[int]
    beyond: set[int]


@dataclass
class _SolverTime:
    """What is left of a knot's deterministic time, for the best choice and all that prove its margin."""

    left: float


def choose(hypotheses: Sequence[Hypothesis], opens: Mapping[int, int], rules: CashRules) -> Choice:
    """The best choice over all knots; `opens` are the open amounts of the invoices in ten-thousandths."""
    result = Choice({}, set(), set())
    for knot in knots(hypotheses):
        payments = {h.p for h in knot}
        limits = rules.limits
        if len(payments) > limits.component_payments or len(knot) > limits.component_hypotheses:
            result.beyond.update(payments)
            continue
        time = _SolverTime(limits.solver_time)
        best = _best(knot, opens, frozenset(), rules, time)
        if best is None:
            result.beyond.update(payments)
            continue
        value = sum(knot[k].score for k in best)
        for k in best:
            h = knot[k]
            result.chosen[h.p] = h
            other = _best(knot, opens, frozenset([k]), rules, time)
            if other is not None and value - sum(knot[o].score for o in other) >= rules.margin:
                result.clear.add(h.p)
    return result


def knots(hypotheses: Sequence[Hypothesis]) -> list[list[Hypothesis]]:
    """Connected components: hypotheses that share a payment or an invoice, in a fixed order."""
    parent: dict[tuple[str, int], tuple[str, int]] = {}

    def root(x: tuple[str, int]) -> tuple[str, int]:
        parent.setdefault(x, x)
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    for h in hypotheses:
        for i in h.net:
            parent[root(("i", i))] = root(("p", h.p))
    grouped: defaultdict[tuple[str, int], list[Hypothesis]] = defaultdict(list)
    for h in sorted(hypotheses, key=lambda h: (h.p, -h.score, h.kind, h.lines)):
        grouped[root(("p", h.p))].append(h)
    return sorted(grouped.values(), key=lambda knot: knot[0].p)


def _best(
    knot: Sequence[Hypothesis],
    opens: Mapping[int, int],
    without: frozenset[int],
    rules: CashRules,
    time: _SolverTime,
) -> tuple[int, ...] | None:
    """Positions of the best choice that leaves `without` out; None if the solver does not end in time."""
    allowed = [k for k in range(len(knot)) if k not in without]
    if len({knot[k].p for k in allowed}) == 1:
        fitting = [k for k in allowed if _fits([knot[k]], opens)]
        return (max(fitting, key=lambda k: (knot[k].score, -k)),) if fitting else ()
    if len(allowed) <= rules.limits.enumerate:
        return _enumerated(knot, allowed, opens)
    return _solved(knot, allowed, opens, time)


def _fits(chosen: Sequence[Hypothesis], opens: Mapping[int, int]) -> bool:
    net: defaultdict[int, int] = defaultdict(int)
    for h in chosen:
        for i, n in h.net.items():
            net[i] += n
    return all(0 <= n <= opens[i] if opens[i] >= 0 else opens[i] <= n <= 0 for i, n in net.items())


def _enumerated(
    knot: Sequence[Hypothesis], allowed: Sequence[int], opens: Mapping[int, int]
) -> tuple[int, ...]:
    """Every choice; the first of the best in the knot's order."""
    options: dict[int, list[int]] = {}
    for k in allowed:
        options.setdefault(knot[k].p, []).append(k)
    best: tuple[int, tuple[int, ...]] = (0, ())
    stack: list[tuple[int, tuple[int, ...], int]] = [(0, (), 0)]
    payments = list(options)
    while stack:
        depth, chosen, value = stack.pop()
        if depth == len(payments):
            if value > best[0]:
                best = (value, chosen)
            continue
        stack.append((depth + 1, chosen, value))
        for k in reversed(options[payments[depth]]):
            if _fits([knot[c] for c in (*chosen, k)], opens):
                stack.append((depth + 1, (*chosen, k), value + knot[k].score))
    return best[1]


def _solved(
    knot: Sequence[Hypothesis], allowed: Sequence[int], opens: Mapping[int, int], time: _SolverTime
) -> tuple[int, ...] | None:
    """The best choice by CP-SAT: one worker, a fixed seed and deterministic time, so always the same."""
    if time.left <= 0:
        return None
    # Most knots never come here, and importing the solver takes longer than most commands.
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    is_chosen = {k: model.new_bool_var(f"h{k}") for k in allowed}
    by_payment: defaultdict[int, list[int]] = defaultdict(list)
    by_invoice: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for k in allowed:
        by_payment[knot[k].p].append(k)
        for i, n in knot[k].net.items():
            by_invoice[i].append((k, n))
    for ks in by_payment.values():
        model.add_at_most_one(is_chosen[k] for k in ks)
    for i, terms in by_invoice.items():
        unit = gcd(opens[i], *(n for _, n in terms)) or 1
        if max(abs(opens[i]), sum(abs(n) for _, n in terms)) // unit > _LARGEST:
            return None
        total = sum(is_chosen[k] * (n // unit) for k, n in terms)
        low, high = sorted((0, opens[i] // unit))
        model.add_linear_constraint(total, low, high)
    model.maximize(sum(is_chosen[k] * knot[k].score for k in allowed))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = time.left
    status = solver.solve(model)
    time.left -= solver.response_proto.deterministic_time
    if status != cp_model.OPTIMAL:
        return None
    return tuple(k for k in allowed if solver.value(is_chosen[k]))

"""Relaxation: what a condition may still be when its costly parts are not looked at.

A condition of `rules.yaml` is true, false or null. Of one with costly parts (an edit distance, say) the
cheap parts often tell already that it cannot hold, or that it must. Here SQL is rewritten into SQL that
asks for just that, without the costly functions. What does not belong here: what the answers are used for
(`pruning`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import expressions as sql

from crm_hygiene.linkage.letter_marks import MARKS, SIZE, START

DIALECT = "duckdb"
TRUE, FALSE = "true", "false"
# Sums of floats in another order differ by less.
SLACK = 1e-6

# Functions that cost next to nothing, and those that cost some.
_FREE = (
    sql.Connector, sql.Case, sql.If, sql.Cast, sql.Coalesce, sql.Length, sql.Left, sql.Right, sql.Substring,
    sql.StartsWith, sql.Abs, sql.Least, sql.Greatest,
)  # fmt: skip
_MEASURES = (sql.JarowinklerSimilarity, sql.ArrayOverlaps, sql.Contains, sql.SplitPart)
# Functions of texts: what a record can work out alone costs nothing, pair by pair they cost some.
_OF_TEXTS = (sql.Cast, sql.Length, sql.Left, sql.Right, sql.Substring, sql.StartsWith)


@dataclass(frozen=True)
class Relaxed:
    """Four conditions in SQL; where one is null it counts as false, as it does in CASE and WHERE.

    Attributes
    ----------
    may_hold, must_hold
        whether the condition can be true; whether it is.
    may_fail, must_fail
        whether it can be false; whether it is. A null is neither true nor false.
    """

    may_hold: str
    must_hold: str
    may_fail: str
    must_fail: str


def conjunction(parts: Sequence[str]) -> str:
    """All of the `parts`, constants left out."""
    open_parts = list(dict.fromkeys(p for p in parts if p != TRUE))
    if FALSE in open_parts:
        return FALSE
    return f"({' AND '.join(open_parts)})" if open_parts else TRUE


def disjunction(parts: Sequence[str]) -> str:
    """Any of the `parts`, constants left out."""
    open_parts = list(dict.fromkeys(p for p in parts if p != FALSE))
    if TRUE in open_parts:
        return TRUE
    return f"({' OR '.join(open_parts)})" if open_parts else FALSE


def negation(part: str) -> str:
    """The opposite of a condition that counts as false where it is null."""
    return {TRUE: FALSE, FALSE: TRUE}.get(part, f"(({part}) IS NOT TRUE)")


def parsed(condition: str) -> sql.Expression:
    """A condition as a tree."""
    tree: sql.Expression = sqlglot.parse_one(condition, read=DIALECT)  # type: ignore[assignment]
    return tree


def text(node: sql.Expression) -> str:
    """A tree as SQL."""
    return node.sql(dialect=DIALECT)


def cost_of(node: sql.Expression) -> int:
    """0 where nothing but equality, lengths and pieces of a record's texts is asked for, 1 for a measure of
    likeness of some 100 ns a pair, 2 for what takes more or is not known."""
    costs = [0]
    for call in node.find_all(sql.Func, sql.ArrayOverlaps):
        if not isinstance(call, _FREE):
            costs.append(1 if isinstance(call, _MEASURES) else 2)
        elif isinstance(call, _OF_TEXTS) and side_of(call) is None:
            costs.append(1)
    return max(costs)


def side_of(node: sql.Expression) -> str | None:
    """`l` or `r` where all columns are of that record."""
    sides = {column.name[-1] for column in node.find_all(sql.Column)}
    return sides.pop() if len(sides) == 1 else None


def relaxed(node: sql.Expression, most: int) -> Relaxed:
    """Relax a condition so that nothing in it costs more than `most` (as `cost_of` counts)."""
    if cost_of(node) <= most:
        holds, fails = f"({text(node)})", f"(NOT ({text(node)}))"
        if isinstance(node, sql.Boolean):
            holds, fails = text(node).lower(), negation(text(node).lower())
        return Relaxed(holds, holds, fails, fails)
    rule = _RULES.get(type(node))
    return rule(node, most) if rule else Relaxed(_reachable(node, most), FALSE, TRUE, FALSE)


def _nested(node: sql.Expression, most: int) -> Relaxed:
    return relaxed(node.this, most)


def _not(node: sql.Expression, most: int) -> Relaxed:
    inner = relaxed(node.this, most)
    return Relaxed(inner.may_fail, inner.must_fail, inner.may_hold, inner.must_hold)


def _and(node: sql.Expression, most: int) -> Relaxed:
    a, b = relaxed(node.this, most), relaxed(node.expression, most)
    return Relaxed(
        conjunction([a.may_hold, b.may_hold]),
        conjunction([a.must_hold, b.must_hold]),
        disjunction([a.may_fail, b.may_fail]),
        disjunction([a.must_fail, b.must_fail]),
    )


def _or(node: sql.Expression, most: int) -> Relaxed:
    a, b = relaxed(node.this, most), relaxed(node.expression, most)
    return Relaxed(
        disjunction([a.may_hold, b.may_hold]),
        disjunction([a.must_hold, b.must_hold]),
        conjunction([a.may_fail, b.may_fail]),
        conjunction([a.must_fail, b.must_fail]),
    )


def _coalesce(node: sql.Expression, most: int) -> Relaxed:
    others = node.expressions
    if len(others) != 1 or not isinstance(others[0], sql.Boolean):
        return Relaxed(TRUE, FALSE, TRUE, FALSE)
    inner = relaxed(node.this, most)
    if others[0].this:
        return Relaxed(negation(inner.must_fail), negation(inner.may_fail), inner.may_fail, inner.must_fail)
    return Relaxed(inner.may_hold, inner.must_hold, negation(inner.must_hold), negation(inner.may_hold))


def _case(node: sql.Expression, most: int) -> Relaxed:
    if node.this is not None:
        return Relaxed(TRUE, FALSE, TRUE, FALSE)
    default = node.args.get("default")
    passed: list[str] = []
    branches: list[tuple[str, Relaxed]] = []
    for branch in node.args["ifs"]:
        condition = relaxed(branch.this, most)
        branches.append((conjunction([*passed, condition.may_hold]), relaxed(branch.args["true"], most)))
        passed.append(negation(condition.must_hold))
    last = Relaxed(FALSE, FALSE, FALSE, FALSE) if default is None else relaxed(default, most)
    branches.append((conjunction(passed), last))
    return Relaxed(
        disjunction([conjunction([reached, value.may_hold]) for reached, value in branches]),
        conjunction([disjunction([negation(reached), value.must_hold]) for reached, value in branches]),
        disjunction([conjunction([reached, value.may_fail]) for reached, value in branches]),
        conjunction([disjunction([negation(reached), value.must_fail]) for reached, value in branches]),
    )


_RULES: dict[type[sql.Expression], Callable[[sql.Expression, int], Relaxed]] = {
    sql.Paren: _nested,
    sql.Not: _not,
    sql.And: _and,
    sql.Or: _or,
    sql.Coalesce: _coalesce,
    sql.Case: _case,
}


def _reachable(node: sql.Expression, most: int) -> str:
    """What must be so for a condition on a costly function to hold, told by lengths and marks."""
    if isinstance(node, sql.ArrayOverlaps):
        return _overlapping(node)
    if isinstance(node, sql.StartsWith):
        return _beginning(node)
    if isinstance(node, sql.LTE) and isinstance(node.this, sql.Levenshtein):
        a, b, limit = node.this.this, node.this.expression, node.expression
        if isinstance(a, sql.Column) and isinstance(b, sql.Column) and cost_of(limit) <= most:
            (n, marks), (other_n, other) = _size_and_marks(a), _size_and_marks(b)
            # Each letter put in or left out changes the length by one.
            near = f"may_be_near({marks}, {other}, {text(limit)})"
            return f"(abs({n} - {other_n}) <= {text(limit)} AND {near})"
    if isinstance(node, sql.GTE) and isinstance(node.this, sql.JarowinklerSimilarity):
        a, b, limit = node.this.this, node.this.expression, node.expression
        if isinstance(a, sql.Column) and isinstance(b, sql.Column) and isinstance(limit, sql.Literal):
            (n, marks), (other_n, other) = _size_and_marks(a), _size_and_marks(b)
            is_one_start = f"{_sided(a, START)} = {_sided(b, START)}"
            bound = f"jaro_winkler_bound({n}, {marks}, {other_n}, {other}, {is_one_start})"
            return f"({bound} >= {text(limit)} - {SLACK})"
    return TRUE


def _sided(column: sql.Expression, prefix: str) -> str:
    return f'"{prefix}_{column.name}"'


def _size_and_marks(column: sql.Expression) -> tuple[str, str]:
    return _sided(column, SIZE), _sided(column, MARKS)


def _overlapping(node: sql.ArrayOverlaps) -> str:
    a, b = node.this, node.expression
    if not (isinstance(a, sql.Column) and isinstance(b, sql.Column)):
        return TRUE
    return f"({_sided(a, MARKS)} & {_sided(b, MARKS)} <> 0)"


def _beginning(node: sql.StartsWith) -> str:
    whole, start = node.this, node.expression
    if isinstance(start, sql.DPipe) and isinstance(start.expression, sql.Literal):
        start = start.this
    if not (isinstance(whole, sql.Column) and isinstance(start, sql.Column)):
        return TRUE
    missing = f"missing_letters({_sided(start, MARKS)}, {_sided(whole, MARKS)})"
    is_one_start = f"{_sided(whole, START)} = {_sided(start, START)}"
    return f"({_sided(start, SIZE)} = 0 OR ({is_one_start} AND {missing} <= 0))"


@lru_cache(maxsize=256)
def guarded(condition: str) -> str:
    """A condition with what must be so for it in front, where that spares calls of a costly function."""
    tree = parsed(condition)
    if cost_of(tree) < 2:
        return condition
    needed = relaxed(tree, most=0).may_hold
    return condition if needed == TRUE else f"{needed} AND ({condition})"

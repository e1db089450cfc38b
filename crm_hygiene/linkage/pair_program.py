"""Pair programs: a weight on pairs, compiled from SQL to steps over arrays.

A bound asks the same few things of millions of pairs: equal codes, bits in common, sizes apart. A database
fetches a wide row for both records of each pair and answers what repeats anew; here each part is worked out
once per batch of pairs, on arrays that fit into the processor's cache. Nulls are those of SQL: a condition is
asked for where it is true or where it is false, and a number that is missing is NaN. Numbers have 24 bits:
what compares a sum of them leaves a margin of 0.001. What does not belong here: what the conditions say
(`relaxation`, `pruning`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlglot import expressions as sql

from crm_hygiene.linkage.letter_marks import jaro_winkler_bound, missing_letters

Rows = NDArray[np.int64]
Numbers = NDArray[np.float32]
_COMPARISONS: dict[type[sql.Expression], tuple[Any, Any]] = {
    sql.GT: (np.greater, np.less_equal),
    sql.GTE: (np.greater_equal, np.less),
    sql.LT: (np.less, np.greater_equal),
    sql.LTE: (np.less_equal, np.greater),
}
_ARITHMETIC: dict[type[sql.Expression], Any] = {
    sql.Add: np.add,
    sql.Sub: np.subtract,
    sql.Mul: np.multiply,
    sql.Div: np.divide,
}


class NotArithmeticError(Exception):
    """An expression asks for more than arrays of codes, bits and numbers can tell."""


@dataclass(frozen=True)
class _Step:
    """A function of earlier steps; without a function the values `held` of the pairs' records on `side`."""

    function: Callable[..., Any] | None
    inputs: tuple[int, ...] = ()
    held: Any = None
    side: str = ""


class PairProgram:
    """A sum per pair, from columns that each record has by itself.

    Parameters
    ----------
    terms
        SQL in which each column is named as in `columns` with `_l` or `_r` behind it.
    columns
        row by row of the records: UInt64 are codes, which can only be equal or not and of which 0 is null;
        Int64 are bits or numbers, all others numbers or truths.
    instead
        what stands for each term that asks for anything else.
    """

    def __init__(
        self, terms: Sequence[sql.Expression], columns: pl.DataFrame, instead: Sequence[float]
    ) -> None:
        self._columns = columns
        self._steps: list[_Step] = []
        self._known: dict[tuple[Any, ...], int] = {}
        self._result = self._constant(0.0)
        for term, otherwise in zip(terms, instead, strict=True):
            try:
                value = self._number(term)
            except NotArithmeticError:
                value = self._constant(otherwise)
            self._result = self._step("add", np.add, self._result, value)
        last = {number: place for place, step in enumerate(self._steps) for number in step.inputs}
        self._spent: list[list[int]] = [[] for _ in self._steps]
        for number, place in last.items():
            self._spent[place].append(number)

    def run(self, left: Rows, right: Rows) -> Numbers:
        """The sum for each pair of rows."""
        sides = {"l": left, "r": right}
        found: list[Any] = [None] * len(self._steps)
        with np.errstate(invalid="ignore", divide="ignore"):
            for place, step in enumerate(self._steps):
                if step.function is not None:
                    found[place] = step.function(*[found[number] for number in step.inputs])
                elif step.side:
                    found[place] = step.held.take(sides[step.side])
                else:
                    found[place] = step.held
                for number in self._spent[place]:
                    found[number] = None
        return np.broadcast_to(np.asarray(found[self._result], dtype=np.float32), left.shape)

    def _step(self, name: str, function: Callable[..., Any], *inputs: int) -> int:
        key = (name, *inputs)
        if key not in self._known:
            self._known[key] = len(self._steps)
            self._steps.append(_Step(function, inputs))
        return self._known[key]

    def _constant(self, value: Any) -> int:
        key = ("constant", type(value), value)
        if key not in self._known:
            self._known[key] = len(self._steps)
            self._steps.append(_Step(None, held=value))
        return self._known[key]

    def _gathered(self, node: sql.Expression, what: str, made: Callable[[pl.Series], Any]) -> int:
        """What `made` makes of a column, of the record on the column's side."""
        name, side = node.name[:-2], node.name[-1]
        key = (what, name, side)
        if key not in self._known:
            held = next((s.held for k, s in self._held() if k == (what, name)), None)
            self._known[key] = len(self._steps)
            made_of = made(self._columns[name]) if held is None else held
            self._steps.append(_Step(None, held=made_of, side=side))
        return self._known[key]

    def _held(self) -> list[tuple[tuple[str, str], _Step]]:
        return [((k[0], k[1]), self._steps[n]) for k, n in self._known.items() if self._steps[n].side]

    def _dtype(self, node: sql.Expression) -> pl.DataType | None:
        return self._columns.schema[node.name[:-2]] if isinstance(node, sql.Column) else None

    def _all(self, *masks: int) -> int:
        found = masks[0]
        for mask in masks[1:]:
            found = self._step("and", np.logical_and, found, mask)
        return found

    def _any(self, one: int, other: int) -> int:
        return self._step("or", np.logical_or, one, other)

    def _no(self, mask: int) -> int:
        return self._step("not", np.logical_not, mask)

    def _is(self, node: sql.Expression, wanted: bool) -> int:
        """Where a condition is true, or where it is false; neither where it is null."""
        if isinstance(node, sql.Paren):
            return self._is(node.this, wanted)
        if isinstance(node, sql.Boolean):
            return self._constant(bool(node.this) == wanted)
        if isinstance(node, sql.Not):
            return self._is(node.this, not wanted)
        if isinstance(node, sql.And | sql.Or):
            one, other = self._is(node.this, wanted), self._is(node.expression, wanted)
            return self._all(one, other) if isinstance(node, sql.And) == wanted else self._any(one, other)
        if isinstance(node, sql.Is) and isinstance(node.expression, sql.Boolean) and node.expression.this:
            truth = self._is(node.this, True)
            return truth if wanted else self._no(truth)
        if isinstance(node, sql.Coalesce) and self._has_boolean_default(node):
            default = bool(node.expressions[0].this)
            return (
                self._is(node.this, wanted)
                if default != wanted
                else self._no(self._is(node.this, default is False))
            )
        if isinstance(node, sql.Column) and self._dtype(node) == pl.Boolean:
            return self._gathered(node, f"is {wanted}", lambda s: (s == wanted).fill_null(False).to_numpy())
        if isinstance(node, sql.Case):
            return self._case(node, lambda n: self._is(n, wanted), self._constant(False))
        if isinstance(node, sql.Anonymous) and node.name.lower() == "may_be_near" and wanted:
            return self._near(*node.expressions)
        if isinstance(node, sql.EQ | sql.NEQ):
            return self._equal(node.this, node.expression, isinstance(node, sql.EQ) == wanted)
        if isinstance(node, sql.NullSafeEQ | sql.NullSafeNEQ):
            one, other = self._code(node.this), self._code(node.expression)
            same = isinstance(node, sql.NullSafeEQ) == wanted
            return (
                self._step("==", np.equal, one, other) if same else self._step("!=", np.not_equal, one, other)
            )
        if type(node) in _COMPARISONS:
            function = _COMPARISONS[type(node)][0 if wanted else 1]
            return self._step(
                function.__name__, function, self._number(node.this), self._number(node.expression)
            )
        raise NotArithmeticError(node.sql())

    @staticmethod
    def _has_boolean_default(node: sql.Coalesce) -> bool:
        return len(node.expressions) == 1 and isinstance(node.expressions[0], sql.Boolean)

    def _near(self, one: sql.Expression, other: sql.Expression, most: sql.Expression) -> int:
        a, b, edits = self._bits(one), self._bits(other), self._number(most)
        missing = [self._step("missing", missing_letters, *pair) for pair in ((a, b), (b, a))]
        near = [self._step("less_equal", np.less_equal, count, edits) for count in missing]
        return self._all(*near, self._is_known(one), self._is_known(other))

    def _equal(self, one: sql.Expression, other: sql.Expression, wanted: bool) -> int:
        if isinstance(one, sql.Paren):
            return self._equal(one.this, other, wanted)
        if isinstance(one, sql.BitwiseAnd):
            bits = self._step("&", np.bitwise_and, self._bits(one.this), self._bits(one.expression))
            value = self._number(other)
            if not wanted:
                # Bits of nothing are zeros.
                known = [self._is_known(one.this), self._is_known(one.expression)]
                return self._all(self._step("!=", np.not_equal, bits, value), *known)
            known = [self._is_known(one.this), self._is_known(one.expression)]
            return self._all(self._step("==", np.equal, bits, value), *known)
        if self._dtype(one) == pl.UInt64 and self._dtype(other) == pl.UInt64:
            a, b, zero = self._code(one), self._code(other), self._constant(0)
            here = self._step("!=", np.not_equal, a, zero)
            if wanted:
                return self._all(self._step("==", np.equal, a, b), here)
            return self._all(
                self._step("!=", np.not_equal, a, b), here, self._step("!=", np.not_equal, b, zero)
            )
        a, b = self._number(one), self._number(other)
        if wanted:
            return self._step("==", np.equal, a, b)
        known = [self._step("==", np.equal, x, x) for x in (a, b)]
        return self._all(self._step("!=", np.not_equal, a, b), *known)

    def _code(self, node: sql.Expression) -> int:
        if self._dtype(node) != pl.UInt64:
            raise NotArithmeticError(node.sql())
        return self._gathered(node, "code", lambda s: s.to_numpy())

    def _bits(self, node: sql.Expression) -> int:
        if self._dtype(node) != pl.Int64:
            raise NotArithmeticError(node.sql())
        return self._gathered(node, "bits", lambda s: s.fill_null(0).to_numpy())

    def _is_known(self, node: sql.Expression) -> int:
        if self._columns[node.name[:-2]].null_count() == 0:
            return self._constant(True)
        return self._gathered(node, "known", lambda s: s.is_not_null().to_numpy())

    def _number(self, node: sql.Expression) -> int:
        if isinstance(node, sql.Paren):
            return self._number(node.this)
        if isinstance(node, sql.Literal) and not node.is_string:
            return self._constant(float(node.this))
        if isinstance(node, sql.Neg):
            return self._step("negative", np.negative, self._number(node.this))
        if type(node) in _ARITHMETIC:
            function = _ARITHMETIC[type(node)]
            return self._step(
                function.__name__, function, self._number(node.this), self._number(node.expression)
            )
        if isinstance(node, sql.Abs):
            return self._step("abs", np.abs, self._number(node.this))
        if isinstance(node, sql.Greatest | sql.Least):
            function = np.fmax if isinstance(node, sql.Greatest) else np.fmin
            found = self._number(node.this)
            for part in node.expressions:
                found = self._step(function.__name__, function, found, self._number(part))
            return found
        if isinstance(node, sql.Coalesce) and not self._has_boolean_default(node):
            found = self._number(node.expressions[-1])
            for part in [*reversed(node.expressions[:-1]), node.this]:
                found = self._step("coalesce", _coalesced, self._number(part), found)
            return found
        if isinstance(node, sql.Case):
            return self._case(node, self._number, self._constant(math.nan))
        if isinstance(node, sql.Anonymous) and node.name.lower() == "jaro_winkler_bound":
            return self._alike(*node.expressions)
        if isinstance(node, sql.Anonymous) and node.name.lower() == "missing_letters":
            one, other = node.expressions
            missing = self._step("missing", missing_letters, self._bits(one), self._bits(other))
            known = self._all(self._is_known(one), self._is_known(other))
            return self._step("where", np.where, known, missing, self._constant(math.nan))
        dtype = self._dtype(node)
        if dtype is not None and dtype.is_numeric() and dtype != pl.UInt64:
            return self._gathered(node, "number", _numbers)
        raise NotArithmeticError(node.sql())

    def _alike(
        self,
        size: sql.Expression,
        marks: sql.Expression,
        other_size: sql.Expression,
        other: sql.Expression,
        is_one_start: sql.Expression,
    ) -> int:
        a, b = self._bits(marks), self._bits(other)
        return self._step(
            "jaro_winkler_bound",
            jaro_winkler_bound,
            self._number(size),
            self._step("missing", missing_letters, a, b),
            self._number(other_size),
            self._step("missing", missing_letters, b, a),
            self._is(is_one_start, True),
        )

    def _case(self, node: sql.Case, value_of: Callable[[sql.Expression], int], nothing: int) -> int:
        if node.this is not None:
            raise NotArithmeticError(node.sql())
        default = node.args.get("default")
        found = nothing if default is None else value_of(default)
        for branch in reversed(node.args["ifs"]):
            chosen, value = self._is(branch.this, True), value_of(branch.args["true"])
            found = self._step("where", np.where, chosen, value, found)
        return found


def _coalesced(values: Any, default: Any) -> Any:
    return np.where(np.isnan(values), default, values)


def _numbers(column: pl.Series) -> Numbers:
    return np.asarray(column.cast(pl.Float32).fill_null(math.nan).to_numpy(), dtype=np.float32)

"""Pruning: candidate pairs that cannot reach the weight worth keeping are dropped before scoring.

Most candidates share a block and nothing else. A pair's weight is a sum over comparisons; what a
comparison can add at most is told by its cheap conditions (`relaxation`), and pairs whose bounds sum to
less than `review_low` asks for are dropped. The bound is never below the weight, so the outcome is that of
scoring every pair. Texts are not looked at: each record brings hashes of what is compared for equality,
and marks of what is compared by likeness.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import polars as pl
from sqlglot import expressions as sql

from crm_hygiene.linkage.candidates import Candidates
from crm_hygiene.linkage.connection import fetch
from crm_hygiene.linkage.letter_marks import with_marks
from crm_hygiene.linkage.model import shares_of
from crm_hygiene.linkage.pair_program import PairProgram
from crm_hygiene.linkage.recipe import LEAST_FREQUENCY, Numbers, frequency_columns
from crm_hygiene.linkage.relaxation import FALSE, TRUE, parsed, relaxed, side_of, text
from crm_hygiene.linkage.settings import Comparison, Level

# Sums of floats in another order differ by less.
MARGIN = 0.01
_IMPOSSIBLE = "-1e9"
# Names of columns begin so that hold hashes of what is only compared for equality; 0 stands for no value.
HASH = "hash_"
_EQUALITIES = (sql.EQ, sql.NEQ, sql.NullSafeEQ, sql.NullSafeNEQ)


def _usual_shares(comparison: Comparison, numbers: dict[str, tuple[float, float]]) -> dict[str, float]:
    """u of the level that is the exact agreement of a column, by column: what Splink adjusts from."""
    wanted = {level.frequency_of for level in comparison.levels}
    found: dict[str, float] = {}
    for level in comparison.scored:
        sides = level.when.split(" = ")
        column = sides[0].removesuffix("_l")
        if column in wanted and sides == [f"{column}_l", f"{column}_r"]:
            found.setdefault(column, numbers[level.name][1])
    return found


def _weight(level: Level, numbers: dict[str, tuple[float, float]], usual: dict[str, float]) -> str:
    """SQL for the most that a level weighs, term frequencies included."""
    if level.is_null:
        return "0.0"
    m, u = numbers[level.name]
    column = level.frequency_of
    if column is None:
        return repr(math.log2(m / u))
    rarity = f'greatest("bits_{column}_l", "bits_{column}_r")'
    if level.told_apart_by:
        return f"({math.log2(m)!r} - greatest({math.log2(u)!r}, coalesce({rarity}, {math.log2(u)!r})))"
    if column not in usual:
        # Without the share that Splink adjusts from, the rarest value there can be.
        return repr(math.log2(m / u) - math.log2(LEAST_FREQUENCY))
    base = math.log2(usual[column])
    return f"({math.log2(m / u) + base!r} - coalesce({rarity}, {base!r}))"


def most_weight(comparison: Comparison, numbers: dict[str, tuple[float, float]]) -> float:
    """The most that a comparison can add to any pair's weight.

    Parameters
    ----------
    numbers
        m and u by level.
    """
    usual = _usual_shares(comparison, numbers)
    most = 0.0
    for level in comparison.scored:
        m, u = numbers[level.name]
        rarest = -math.log2(LEAST_FREQUENCY) if level.frequency_of and not level.told_apart_by else 0.0
        base = math.log2(usual[level.frequency_of]) if level.frequency_of in usual else 0.0
        most = max(most, math.log2(m / u) + base + rarest)
    return most


def weight_bound(comparison: Comparison, numbers: dict[str, tuple[float, float]]) -> str:
    """SQL for the most that a comparison can add to a pair's weight, from what costs next to nothing.

    Parameters
    ----------
    numbers
        m and u by level.
    """
    usual = _usual_shares(comparison, numbers)
    bound = _weight(comparison.levels[-1], numbers, usual)
    for level in reversed(comparison.levels[:-1]):
        condition = relaxed(parsed(level.when), most=0)
        if condition.may_hold == FALSE:
            continue
        weight = _weight(level, numbers, usual)
        if condition.may_hold == condition.must_hold:
            bound = f"CASE WHEN {condition.may_hold} THEN {weight} ELSE {bound} END"
            continue
        possible = weight
        if condition.may_hold != TRUE:
            possible = f"CASE WHEN {condition.may_hold} THEN {weight} ELSE {_IMPOSSIBLE} END"
        bound = f"greatest({possible}, {bound})"
        if condition.must_hold != FALSE:
            bound = f"CASE WHEN {condition.must_hold} THEN {weight} ELSE {bound} END"
    return bound


class _OwnColumns:
    """What each record can work out alone, taken out of conditions on pairs."""

    def __init__(self) -> None:
        self.columns: dict[str, str] = {}

    def rewritten(self, node: sql.Expression) -> sql.Expression:
        """`node` with each part that speaks of one record only replaced by a column of that record."""
        side = side_of(node)
        if side is not None:
            return self._own(node, side, is_hashed=False)
        if isinstance(node, _EQUALITIES):
            sides = [side_of(node.this), side_of(node.expression)]
            if None not in sides:
                node.set("this", self._own(node.this, str(sides[0]), is_hashed=True))
                node.set("expression", self._own(node.expression, str(sides[1]), is_hashed=True))
                return node
        for key, value in list(node.args.items()):
            if isinstance(value, sql.Expression):
                node.set(key, self.rewritten(value))
            elif isinstance(value, list):
                node.set(key, [self.rewritten(v) if isinstance(v, sql.Expression) else v for v in value])
        return node

    def _own(self, node: sql.Expression, side: str, is_hashed: bool) -> sql.Expression:
        bare = node.copy()
        for column in list(bare.find_all(sql.Column)):
            replaced = sql.column(column.name.removesuffix(f"_{side}"), quoted=True)
            if column is bare:
                bare = replaced
            else:
                column.replace(replaced)
        own = text(bare)
        if is_hashed:
            # Zero says that there is no value.
            own = f"CASE WHEN {own} IS NOT NULL THEN hash({own}) | 1 ELSE 0 END"
        name = self.columns.setdefault(own, f"{HASH if is_hashed else 'own_'}{len(self.columns)}")
        return sql.column(f"{name}_{side}", quoted=True)


def _with_bits(frame: pl.DataFrame, column: str, frequencies: dict[str, float], floor: float) -> pl.DataFrame:
    """`frame` with `bits_<column>`: log2 of the value's term frequency, null where there is none.

    A floor of 0 tells that nothing is known of any other value.
    """
    known = pl.DataFrame(
        {column: list(frequencies), "share": list(frequencies.values())},
        schema={column: pl.String, "share": pl.Float64},
    )
    share = pl.col("share")
    if floor:
        share = pl.max_horizontal(share.fill_null(floor), pl.lit(LEAST_FREQUENCY))
    return (
        frame.join(known, on=column, how="left", maintain_order="left")
        .with_columns(pl.when(pl.col(column).is_not_null()).then(share.log(2)).alias(f"bits_{column}"))
        .drop("share")
    )


@dataclass(frozen=True)
class Bound:
    """The most that a pair can weigh, prior left out: the sum of `parts`.

    Attributes
    ----------
    parts
        per comparison an SQL expression over `<column>_l` and `<column>_r` of the columns in `own`.
    own
        name by SQL of what each record works out alone: numbers, hashes (`HASH`) and marks.
    conditions
        the same before that was taken out; tells which marks a record needs.
    """

    parts: tuple[sql.Expression, ...]
    own: Mapping[str, str]
    conditions: str

    @property
    def total(self) -> str:
        """SQL of the sum."""
        return " + ".join(f"({text(part)})" for part in self.parts)


def pair_bound(comparisons: Sequence[Comparison], numbers: Numbers) -> Bound:
    """The bound of a pair, from m and u by comparison and level."""
    own = _OwnColumns()
    conditions = [weight_bound(c, numbers[c.name]) for c in comparisons]
    parts = tuple(own.rewritten(parsed(condition)) for condition in conditions)
    return Bound(parts, own.columns, " ".join(conditions))


def least_total(content: Mapping[str, Any], least_weight: float) -> float:
    """The bound from which a pair may weigh `least_weight`, by the prior of the model's `content`."""
    return least_weight - MARGIN - math.log2(content["prior"] / (1 - content["prior"]))


def register_records(
    con: duckdb.DuckDBPyConnection,
    name: str,
    frame: pl.DataFrame,
    comparisons: Sequence[Comparison],
    content: Mapping[str, Any],
    bound: Bound,
) -> str:
    """Register view `name`: `frame` with what the own columns are made of; returns their select list.

    Parameters
    ----------
    frame
        the columns that the comparisons read.
    content
        of the frozen model: its term frequencies.
    """
    for column in frequency_columns(comparisons):
        shares = shares_of(content, column)
        frame = _with_bits(frame, column, shares["values"], float(shares["floor"]))
    con.register(name, with_marks(frame, bound.conditions).to_arrow())
    return ", ".join(f'{expression} AS "{own}"' for expression, own in bound.own.items())


def prune(
    con: duckdb.DuckDBPyConnection,
    frame: pl.DataFrame,
    candidates: Candidates,
    comparisons: Sequence[Comparison],
    numbers: Numbers,
    content: Mapping[str, Any],
    least_weight: float,
    threads: int,
) -> Candidates:
    """The candidates whose weight may reach `least_weight`.

    Parameters
    ----------
    frame
        the columns that the comparisons read; the candidates number its rows.
    numbers
        m and u by comparison and level.
    content
        of the frozen model: its prior and term frequencies.
    """
    present = candidates.records(frame.height)
    place = np.cumsum(present) - 1
    frame = frame.filter(present)
    bound = pair_bound(comparisons, numbers)
    listed = register_records(con, "_records", frame, comparisons, content, bound)
    columns = fetch(con, f"SELECT {listed} FROM _records")
    con.unregister("_records")
    program = PairProgram(list(bound.parts), columns, [most_weight(c, numbers[c.name]) for c in comparisons])
    del columns
    least = least_total(content, least_weight)
    return candidates.where(lambda left, right: program.run(place[left], place[right]) >= least, threads)

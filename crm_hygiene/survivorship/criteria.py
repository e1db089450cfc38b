"""Criteria: each strategy as numbers to sort candidate values by, smaller is better.

Putting them in order and telling which one decided belongs to `choose`.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from crm_hygiene.survivorship.rules import GroupRule, Rules, ValidityTest

# Later than any time there is: a value of unknown age loses by recency and by being the earliest.
_NEVER = 2**62


@dataclass(frozen=True)
class Criterion:
    """One number per candidate; `decision` names the strategy, `test` the validity test if it is one."""

    number: pl.Expr
    decision: str
    test: str | None = None


def criteria_of(rule: GroupRule, rules: Rules) -> list[Criterion]:
    """The criteria of a rule, in order.

    They read the rule's columns, those of `columns_read`, and trust, changed_at, agreeing and stating as
    `choose` adds them.
    """
    found: list[Criterion] = []
    for strategy in rule.strategies:
        if strategy == "validity":
            found += _validity(rule, rules)
        else:
            found += [Criterion(number, strategy) for number in _numbers(strategy, rule)]
    return found


def columns_read(rule: GroupRule, rules: Rules) -> list[str]:
    """Columns of the records that the criteria look at, besides the rule's own."""
    found = ["created_at", "landed_at", "problems"]
    found += [rule.prefer.column] if rule.prefer is not None else []
    for _, test in rules.tests_of(rule):
        found += ["is_bounced"] if test.no_bounce else []
        found += [test.column] if test.column else []
    return list(dict.fromkeys(found))


def _failing(test: ValidityTest) -> pl.Expr:
    """True where a value fails; nothing is known against an empty cell."""
    value = pl.col(str(test.column)).cast(pl.String)
    if test.matches is not None:
        failing = ~value.str.contains(test.matches)
    elif test.one_of is not None:
        failing = ~value.is_in(list(test.one_of))
    elif test.none_of is not None:
        failing = value.is_in(list(test.none_of))
    elif test.no_bounce:
        failing = pl.col("is_bounced")
    else:
        failing = pl.col("problems").list.len() > 0
    return failing.fill_null(False)


def _validity(rule: GroupRule, rules: Rules) -> list[Criterion]:
    tests = rules.tests_of(rule)
    if not tests and rule.prefer is None:
        tests = [("without_problems", ValidityTest(no_problems=True))]
    found = [Criterion(_failing(test).cast(pl.Int64), "validity", name) for name, test in tests]
    if rule.prefer is not None:
        order = {v: i for i, v in enumerate(rule.prefer.order)}
        column = pl.col(rule.prefer.column).cast(pl.String)
        place = column.replace_strict(order, default=len(order), return_dtype=pl.Int64)
        found.append(Criterion(place.fill_null(len(order)), "validity"))
    return found


def _numbers(strategy: str, rule: GroupRule) -> list[pl.Expr]:
    length = pl.sum_horizontal(pl.col(c).cast(pl.String).str.len_chars().fill_null(0) for c in rule.columns)
    filled = pl.sum_horizontal(pl.col(c).is_not_null().cast(pl.Int64) for c in rule.columns)
    match strategy:
        case "trust":
            return [-pl.col("trust")]
        case "recency":
            return [(-pl.col("changed_at").dt.timestamp("us")).fill_null(_NEVER)]
        case "agreement":
            return [-pl.col("agreeing").cast(pl.Int64)]
        case "frequency":
            return [-pl.col("stating").cast(pl.Int64)]
        case "completeness":
            return [-filled, -length.cast(pl.Int64)]
        case "longest":
            return [-length.cast(pl.Int64)]
        case _:
            return [pl.coalesce("born_at", "changed_at").dt.timestamp("us").fill_null(_NEVER)]

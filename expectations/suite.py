"""From a contract to a Great Expectations suite.

Checks keep Great Expectations' own snake_case names, arguments and severities; here they become
expectation objects, and every mistake in them becomes a ConfigurationError before any data is read.
What does not belong here: running a suite (`expectations.engine`).
"""

from __future__ import annotations

import datetime as dt
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from crm_hygiene.contract import Check, Contract, nearest
from crm_hygiene.errors import ConfigurationError
from expectations.great_expectations_import import import_great_expectations

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation

# Arguments of an expectation that the contract sets elsewhere or that steer the engine, not the check.
_RESERVED = frozenset(
    [
        "batch_id",
        "catch_exceptions",
        "description",
        "id",
        "library_metadata",
        "meta",
        "notes",
        "rendered_content",
        "result_format",
        "severity",
        "windows",
    ]
)
_COMPARED = ("min_value", "max_value", "value", "value_set", "sum_total")


@cache
def expectation_classes() -> dict[str, type[Expectation]]:
    """Every core expectation of Great Expectations by its snake_case name.

    Imports great_expectations on first use, which takes seconds; nothing else here does.
    """
    import_great_expectations()
    import great_expectations.expectations as core
    from great_expectations.util import camel_to_snake

    return {
        camel_to_snake(name): getattr(core, name)
        for name in sorted(dir(core))
        if name.startswith("Expect") and name != "Expectation"
    }


def named_checks(contract: Contract) -> dict[str, Check]:
    """The checks of a contract in their order, by a name that is unique within it.

    Two checks that say the same of the same column (two regular expressions, say) are told apart
    by ` #2`, ` #3`, in the order of the contract.
    """
    named: dict[str, Check] = {}
    for check in contract.all_checks():
        name, ordinal = check.name, 1
        while name in named:
            ordinal += 1
            name = f"{check.name} #{ordinal}"
        named[name] = check
    return named


def columns_of(contract: Contract, check: Check) -> list[str]:
    """Columns whose values the check reads, in the order it names them; empty for the table's shape.

    A row condition counts as reading every column of the contract whose name occurs in it.
    """
    if check.expectation.startswith("expect_table_"):
        named: list[str] = []
    else:
        arguments = check.arguments
        named = [str(arguments[key]) for key in ("column", "column_A", "column_B") if arguments.get(key)]
        named += [str(name) for name in arguments.get("column_list") or []]
    condition = check.arguments.get("row_condition")
    if condition is not None:
        words = set(re.findall(r"\w+", str(condition)))
        named += [name for name in contract.column_names if name in words]
    return list(dict.fromkeys(named))


def is_row_level(contract: Contract, check: Check) -> bool:
    """True when the check judges rows one by one, so that a failing row can be named."""
    found = _class_of(contract, check)  # first: it imports Great Expectations without what no gate runs
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )

    return issubclass(found, ColumnMapExpectation | ColumnPairMapExpectation | MulticolumnMapExpectation)


def expectation_of(contract: Contract, name: str, check: Check) -> Expectation:
    """One check as an expectation object, its meta holding the check's name and its `because`.

    Raises
    ------
    ConfigurationError
        if the expectation, one of its arguments or one of its columns does not exist, or a value
        does not fit; the message names the contract and the nearest right name.
    """
    found = _class_of(contract, check)
    known = sorted(set(found.__fields__) - _RESERVED)
    for argument in check.arguments:
        if argument not in known:
            raise ConfigurationError(
                f"{contract.table}: {name} has no argument '{argument}'{nearest(argument, known)}"
            )
    for column in columns_of(contract, check):
        if column not in contract.schema:
            raise ConfigurationError(
                f"{contract.table}: {name} speaks of column '{column}', which the table lacks"
                f"{nearest(column, contract.column_names)}"
            )
    from great_expectations.expectations.metadata_types import FailureSeverity

    try:
        return found(
            **{key: _argument(contract, check, key, value) for key, value in check.arguments.items()},
            severity=FailureSeverity(check.severity),
            meta={"check": name, "because": check.because},
        )
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{contract.table}: {name} cannot be built: {error}") from error


def suite_of(contract: Contract) -> ExpectationSuite:
    """The whole contract as a Great Expectations suite; it round-trips through its JSON.

    Raises
    ------
    ConfigurationError
        as `expectation_of` does.
    """
    expectations = [expectation_of(contract, name, check) for name, check in named_checks(contract).items()]
    from great_expectations import ExpectationSuite

    return ExpectationSuite(name=contract.table, expectations=expectations)


def _class_of(contract: Contract, check: Check) -> type[Expectation]:
    classes = expectation_classes()
    if check.expectation not in classes:
        raise ConfigurationError(
            f"{contract.table}: Great Expectations has no '{check.expectation}'"
            f"{nearest(check.expectation, list(classes))}"
        )
    return classes[check.expectation]


def _argument(contract: Contract, check: Check, key: str, value: Any) -> Any:
    """The argument's value as something the column's values compare with."""
    if key not in _COMPARED or check.column is None:
        return value
    kind = next(c.type for c in contract.columns if c.name == check.column)
    if isinstance(value, list):
        return [_comparable(kind, item) for item in value]
    return _comparable(kind, value)


def _comparable(kind: str, value: Any) -> Any:
    if kind in ("date", "timestamp") and isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
    if isinstance(value, dt.date):
        # A date means its midnight in UTC; the engine hands dates over the same way.
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    return value

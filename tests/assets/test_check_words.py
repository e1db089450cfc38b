"""Checks in a steward's words."""

from __future__ import annotations

from typing import Any

import pytest

from assets.check_words import check_description, check_metadata
from crm_hygiene.contract import Check, load_contracts
from expectations.suite import named_checks


def check(expectation: str, severity: str = "info", because: str = "", **arguments: Any) -> Check:
    return Check.model_validate(
        {"expectation": expectation, "arguments": arguments, "severity": severity, "because": because}
    )


@pytest.mark.parametrize(
    ("severity", "follows"), [("critical", "not published"), ("warning", "quarantine"), ("info", "noted")]
)
def test_a_check_says_what_follows(severity: str, follows: str) -> None:
    told = check_description(
        check(
            "expect_column_values_to_be_between", severity, "Nobody owes less.", column="amount", min_value=0
        )
    )
    assert told.startswith("`amount` must be at least 0. Nobody owes less. ")
    assert follows in told


@pytest.mark.parametrize(
    ("expectation", "arguments", "demand"),
    [
        ("expect_column_values_to_not_be_null", {"column": "a"}, "`a` must be filled."),
        (
            "expect_column_values_to_be_in_set",
            {"column": "a", "value_set": [1, 2]},
            "`a` must be one of: 1, 2.",
        ),
        ("expect_column_values_to_be_between", {"column": "a", "max_value": 2}, "`a` must be at most 2."),
        (
            "expect_column_value_lengths_to_be_between",
            {"column": "a", "min_value": 1, "max_value": 2},
            "The length of `a` must be between 1 and 2.",
        ),
        (
            "expect_compound_columns_to_be_unique",
            {"column_list": ["a", "b"]},
            "No two rows may have the same `a`, `b`.",
        ),
        ("expect_table_row_count_to_equal", {"value": 3}, "Table row count must equal (value: 3)."),
    ],
)
def test_a_demand_is_a_sentence(expectation: str, arguments: dict[str, Any], demand: str) -> None:
    assert check_description(check(expectation, **arguments)).startswith(demand)


def test_every_check_has_words() -> None:
    for contract in load_contracts().values():
        for one in named_checks(contract).values():
            assert ". " in check_description(one)


ROW = {"observed": "5 of 9 rows", "row_count": 9, "severity": "warning", "table_name": "conformed.people"}


def test_failing_rows_are_shown_with_where_to_see_them() -> None:
    found = check_metadata({**ROW, "failed_count": 5, "examples": ["a", "b", "c", "d", "e"]})
    assert found["failed"] == 5
    assert found["failing rows"] == "a; b; c; and 2 more below"
    assert found["failing examples"].value == "- a\n- b\n- c\n- d\n- e"
    assert "where table_name = 'conformed.people'" in found["see them"]
    few = check_metadata({**ROW, "failed_count": 1, "examples": ["a"]})
    assert few["failing rows"] == "a"
    assert "failing examples" not in few


def test_a_check_that_holds_shows_no_rows() -> None:
    found = check_metadata({**ROW, "failed_count": 0, "examples": []})
    assert set(found) == {"observed", "rows", "failed"}
    assert "never been computed" in check_metadata(None)["observed"]

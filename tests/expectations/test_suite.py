from __future__ import annotations

import json
from typing import Any

import pytest
from gate_tables import check, contract
from great_expectations import ExpectationSuite

from crm_hygiene.contract import load_contracts
from crm_hygiene.errors import ConfigurationError
from expectations.suite import columns_of, named_checks, suite_of


@pytest.mark.parametrize("table", sorted(load_contracts()))
def test_every_contract_is_a_suite_that_round_trips_through_json(table: str) -> None:
    source = load_contracts()[table]
    suite = suite_of(source)
    document = json.loads(json.dumps(suite.to_json_dict()))
    again = ExpectationSuite(**document)
    assert again.to_json_dict() == suite.to_json_dict()
    assert [e.meta["check"] for e in suite.expectations] == list(named_checks(source))
    assert [e.severity for e in suite.expectations] == [c.severity for c in source.all_checks()]
    assert [e.meta["because"] for e in suite.expectations] == [c.because for c in source.all_checks()]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (check("expect_column_values_to_be_in_sett", column="channel"), "expect_column_values_to_be_in_set"),
        (check("expect_column_values_to_be_in_set", column="channel", value_sett=["a"]), "value_set"),
        (check("expect_column_values_to_not_be_null", column="chanel"), "channel"),
        (check("expect_compound_columns_to_be_unique", column_list=["source", "chanel"]), "channel"),
        (check("expect_column_pair_values_to_be_equal", column_A="chanel", column_B="email"), "channel"),
        (check("expect_column_values_to_not_be_null", column="email", severty="info"), ""),
    ],
)
def test_a_wrong_name_is_told_with_the_contract_and_the_nearest_right_one(wrong: Any, right: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        suite_of(contract(wrong))
    assert "tests.rows" in str(raised.value)
    assert right in str(raised.value)


@pytest.mark.parametrize(
    "wrong",
    [
        check("expect_column_values_to_match_regex", regex="@"),
        check("expect_column_values_to_be_between", column="born", min_value="yesterday"),
        check("expect_column_value_lengths_to_be_between", column="email", max_value="long"),
    ],
)
def test_an_argument_that_does_not_fit_is_a_configuration_error(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"tests\.rows: .*cannot be built"):
        suite_of(contract(wrong))


def test_checks_that_read_alike_keep_names_of_their_own() -> None:
    one = check("expect_column_values_to_match_regex", column="email", regex="@")
    two = check("expect_column_values_to_match_regex", column="email", regex="x")
    names = list(named_checks(contract(one, two)))
    assert names[-2:] == ["column_values_to_match_regex(email)", "column_values_to_match_regex(email) #2"]
    assert len(suite_of(contract(one, two)).expectations) == len(names)


def test_columns_of_includes_those_of_the_row_condition() -> None:
    conditional = check(
        "expect_column_values_to_not_be_null",
        column="email",
        row_condition="channel == 'email'",
        condition_parser="pandas",
    )
    assert columns_of(contract(), conditional) == ["email", "channel"]

"""However the checks of a table are put together, each finds what it finds by itself."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from typing import Any

import polars as pl
import pytest
from examples import examples
from gate_tables import check, contract
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_hygiene.contract import Check
from expectations import engine
from expectations.configurations_once import configurations_once
from expectations.engine import evaluate_by_row, evaluate_together, evaluate_whole

FILLED = "expect_column_values_to_not_be_null"
UNIQUE = "expect_column_values_to_be_unique"


def checks_of(*columns: str) -> dict[str, Check]:
    found = {f"{column} filled": check(FILLED, column=column) for column in columns}
    return {**found, "key": check(UNIQUE, column=columns[0])}


def as_lists(findings: dict[str, engine.Finding]) -> dict[str, Any]:
    return {n: (f.is_passed, None if f.rows is None else f.rows.tolist()) for n, f in findings.items()}


@settings(max_examples=examples(12), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "record_id": st.sampled_from(["a", "b", "c", None]),
                "source": st.sampled_from(["crm", None]),
                "channel": st.sampled_from(["f", None]),
            }
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([1, 5, 1_000]),
)
def test_together_or_alone_is_the_same(rows: list[dict[str, Any]], cells: int) -> None:
    frame = pl.DataFrame(rows, schema={"record_id": pl.String, "source": pl.String, "channel": pl.String})
    checks = checks_of("record_id", "source", "channel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_STACKED_CELLS", cells)
        together = evaluate_together(contract(), frame, checks)
        by_row = evaluate_by_row(contract(), frame, {n: c for n, c in checks.items() if n != "key"}, 5)
    assert together is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "configurations_once", nullcontext)  # as Great Expectations has it
        alone = evaluate_whole(contract(), frame, checks)
    assert as_lists(together) == as_lists(alone)
    assert as_lists(by_row) == {n: found for n, found in as_lists(alone).items() if n != "key"}


def test_filled_columns_are_one_expectation(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    outcome = engine._outcome

    def counting(*arguments: Any) -> Any:
        asked.append(len(arguments[-1]))
        return outcome(*arguments)

    monkeypatch.setattr(engine, "_outcome", counting)
    frame = pl.DataFrame({"record_id": ["a"], "source": ["crm"], "channel": ["f"]})
    evaluate_together(contract(), frame, checks_of("record_id", "source", "channel"))
    assert asked == [1, 1]


def test_a_large_table_is_not_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "TOGETHER_ROWS", 1)
    frame = pl.DataFrame({"record_id": ["a", "b"]})
    assert evaluate_together(contract(), frame, {"key": check(UNIQUE, column="record_id")}) is None


def test_no_batch_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    from great_expectations.execution_engine import pandas_execution_engine

    frame = pl.DataFrame({"record_id": ["a", "b"]})
    evaluate_whole(contract(), frame, {"key": check(UNIQUE, column="record_id")})
    hashed: list[Any] = []
    monkeypatch.setattr(pandas_execution_engine, "hash_pandas_dataframe", hashed.append)
    evaluate_whole(contract(), frame, {"key": check(UNIQUE, column="record_id")})
    assert not hashed


def test_engines_that_no_gate_runs_are_not_imported() -> None:
    code = (
        "import sys\n"
        "from crm_hygiene.contract import contract_of\n"
        "from expectations.suite import is_row_level\n"
        "contract = contract_of('golden.contacts')\n"
        "for check in contract.all_checks(): is_row_level(contract, check)\n"  # what a night asks first
        "assert 'great_expectations' in sys.modules\n"
        "found = {'pyspark', 'boto3', 'botocore', 'scipy.stats._stats_py'} & set(sys.modules)\n"
        "print(sorted(found))\n"
        "from scipy import stats\n"
        "print(round(float(stats.entropy([1, 1])), 3))\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.split("\n")[:2] == ["[]", "0.693"]


def test_a_configuration_is_kept_for_one_validation() -> None:
    expectation = engine.expectation_of(contract(), "n", check(FILLED, column="record_id"))
    with configurations_once():
        kept = expectation.configuration
        assert expectation.configuration is kept
        with configurations_once():
            assert expectation.configuration is not kept
        assert expectation.configuration is kept
    assert expectation.configuration is not expectation.configuration
    assert expectation.configuration == kept

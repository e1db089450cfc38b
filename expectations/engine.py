"""Running Great Expectations on a Polars frame: which rows fail which check.

Only the columns that checks read leave Polars. Checks that look at one row at a time run in chunks,
so memory does not grow with the table; uniqueness and aggregates see the whole table, but one check
and its columns at a time, unless the table is small. An expectation costs the same whatever it looks
at, so columns that must only be filled are stood on each other and asked as one. What does not belong
here: what a failure means (`expectations.gate`).
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from crm_hygiene.contract import Check, Contract, nearest
from crm_hygiene.errors import ConfigurationError
from expectations.configurations_once import configurations_once
from expectations.great_expectations_import import import_great_expectations
from expectations.suite import columns_of, expectation_classes, expectation_of, is_row_level

if TYPE_CHECKING:
    import pandas as pd

CHUNK_ROWS = 500_000

# Up to here all checks of a table share one validation.
TOGETHER_ROWS = 100_000

# Cells of columns that are asked as one column; they are 4 bytes each.
_STACKED_CELLS = 2_000_000

Positions = npt.NDArray[np.int64]

# Expectations whose verdict on a row needs that row only, so that chunks give the whole's verdicts.
_ROW_LOCAL = frozenset(
    f"expect_{name}"
    for name in [
        "column_pair_values_a_to_be_greater_than_b",
        "column_pair_values_to_be_equal",
        "column_pair_values_to_be_in_set",
        "column_value_lengths_to_be_between",
        "column_value_lengths_to_equal",
        "column_values_to_be_between",
        "column_values_to_be_dateutil_parseable",
        "column_values_to_be_in_set",
        "column_values_to_be_json_parseable",
        "column_values_to_be_null",
        "column_values_to_match_json_schema",
        "column_values_to_match_like_pattern",
        "column_values_to_match_like_pattern_list",
        "column_values_to_match_regex",
        "column_values_to_match_regex_list",
        "column_values_to_match_strftime_format",
        "column_values_to_not_be_in_set",
        "column_values_to_not_be_null",
        "column_values_to_not_match_like_pattern",
        "column_values_to_not_match_like_pattern_list",
        "column_values_to_not_match_regex",
        "column_values_to_not_match_regex_list",
        "multicolumn_sum_to_equal",
        "multicolumn_values_to_be_equal",
        "select_column_values_to_be_unique_within_record",
    ]
)

_FILLED = "expect_column_values_to_not_be_null"
_CELL = "cell"

_RESULT_FORMAT = {
    # COMPLETE is the only format that is not capped; what it would repeat of the data is left out.
    "result_format": "COMPLETE",
    "exclude_unexpected_values": True,
    "include_unexpected_rows": False,
    "partial_unexpected_count": 0,
    "return_unexpected_index_query": False,
}


@dataclass(frozen=True)
class Finding:
    """What one check found on one frame.

    `rows` are the positions of the failing rows, ascending; None where the check judges no rows.
    `observed` is a table-level check's observed value. `error` is the exception that kept the check
    from being evaluated (such a check has not passed), `error_kind` its class name.
    """

    is_passed: bool
    rows: Positions | None = None
    observed: Any = None
    error: str | None = None
    error_kind: str | None = None


def is_row_local(check: Check) -> bool:
    """True when each row can be judged without seeing any other.

    `mostly` below 1 makes a row's fate depend on how many others fail, so it takes the whole table.
    """
    return check.expectation in _ROW_LOCAL and float(check.arguments.get("mostly", 1)) >= 1


def evaluate_by_row(
    contract: Contract, frame: pl.DataFrame, checks: Mapping[str, Check], chunk_rows: int = CHUNK_ROWS
) -> dict[str, Finding]:
    """Findings of row-local checks by name, evaluated together, `chunk_rows` rows at a time."""
    if not checks:
        return {}
    parts: dict[str, list[Finding]] = {name: [] for name in checks}
    for start in range(0, frame.height, chunk_rows):
        for name, found in _validate(contract, frame.slice(start, chunk_rows), checks).items():
            rows = None if found.rows is None else found.rows + start
            parts[name].append(Finding(found.is_passed, rows, found.observed, found.error, found.error_kind))
    return {name: _joined(found) for name, found in parts.items()}


def evaluate_whole(
    contract: Contract, frame: pl.DataFrame, checks: Mapping[str, Check]
) -> dict[str, Finding]:
    """Findings of any checks by name, one check at a time on the whole of its columns."""
    return {
        name: found
        for name, check in checks.items()
        for name, found in _validate(contract, frame, {name: check}).items()
    }


def evaluate_together(
    contract: Contract, frame: pl.DataFrame, checks: Mapping[str, Check]
) -> dict[str, Finding] | None:
    """Findings of any checks by name on one small frame; None where it is not small or a check raised.

    An exception in one check can be told from others only where they are evaluated one by one.
    """
    if frame.height > TOGETHER_ROWS:
        return None
    findings = _validate(contract, frame, checks)
    return None if any(found.error is not None for found in findings.values()) else findings


def _joined(parts: list[Finding]) -> Finding:
    failed = [p for p in parts if p.error is not None]
    rows = [p.rows for p in parts if p.rows is not None]
    return Finding(
        is_passed=all(p.is_passed for p in parts),
        rows=np.concatenate(rows) if rows else None,
        error=failed[0].error if failed else None,
        error_kind=failed[0].error_kind if failed else None,
    )


@cache
def _gate_source() -> tuple[Any, Any]:
    """A pandas source and its batch definition; setting them up takes longer than most validations."""
    import_great_expectations()
    from great_expectations import get_context
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.execution_engine import pandas_execution_engine

    # Batches of fewer bytes get a fingerprint, twice; nobody reads it, and it takes longer than most checks.
    pandas_execution_engine.HASH_THRESHOLD = 0
    context = get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    source = context.data_sources.add_pandas(name="gate")
    return source, source.add_dataframe_asset(name="staged").add_batch_definition_whole_dataframe("whole")


def prepare_gates() -> None:
    """Import what gates need and set it up, which takes seconds; the first gate does it otherwise."""
    expectation_classes()
    _gate_source()


def _validate(contract: Contract, frame: pl.DataFrame, checks: Mapping[str, Check]) -> dict[str, Finding]:
    """Findings of `checks` on `frame`; positions are relative to `frame`."""
    stacked = [name for name, check in checks.items() if _is_only_filled(check)]
    findings: dict[str, Finding] = {}
    if len(stacked) > 1:
        most = max(1, _STACKED_CELLS // max(1, frame.height))
        for start in range(0, len(stacked), most):
            names = stacked[start : start + most]
            findings |= _validate_filled(contract, frame, {name: checks[name] for name in names})
    rest = {name: check for name, check in checks.items() if name not in findings}
    if rest:
        findings |= _validate_each(contract, frame, rest)
    return {name: findings[name] for name in checks}


def _is_only_filled(check: Check) -> bool:
    return check.expectation == _FILLED and list(check.arguments) == ["column"]


def _validate_filled(
    contract: Contract, frame: pl.DataFrame, checks: Mapping[str, Check]
) -> dict[str, Finding]:
    """Checks that one column each is filled, as one expectation on these columns stood on each other.

    Empty where Great Expectations raised: then each is evaluated by itself.
    """
    import pandas as pd

    for name, check in checks.items():
        expectation_of(contract, name, check)  # a mistake in a check is told as that check's
    batch = to_pandas(contract, frame, list(checks.values()))
    asked = [str(check.column) for check in checks.values()]
    cells = pd.DataFrame({_CELL: np.concatenate([batch[column].to_numpy() for column in asked])})
    filled: Any = expectation_classes()[_FILLED]
    result = _outcome(contract, cells, [filled(column=_CELL)])[0]
    if _exception(result.exception_info) is not None:
        return {}
    failing = np.sort(np.asarray(result.result.get("unexpected_index_list") or [], dtype=np.int64))
    found = {}
    for ordinal, name in enumerate(checks):
        first, end = np.searchsorted(failing, [ordinal * frame.height, (ordinal + 1) * frame.height])
        rows = failing[first:end] - ordinal * frame.height
        found[name] = Finding(not len(rows), rows=rows)
    return found


def _validate_each(
    contract: Contract, frame: pl.DataFrame, checks: Mapping[str, Check]
) -> dict[str, Finding]:
    expectations = [expectation_of(contract, name, check) for name, check in checks.items()]
    batch = to_pandas(contract, frame, list(checks.values()))
    findings: dict[str, Finding] = {}
    for result in _outcome(contract, batch, expectations):
        meta = result.expectation_config.meta if result.expectation_config else None
        name = str((meta or {})["check"])
        findings[name] = _finding(result, is_row_level(contract, checks[name]))
    return findings


def _outcome(contract: Contract, batch: pd.DataFrame, expectations: list[Any]) -> list[Any]:
    """One Great Expectations validation: a result per expectation, in no certain order."""
    import_great_expectations()
    from great_expectations import ExpectationSuite

    with _quiet(), configurations_once():
        source, definition = _gate_source()
        suite = ExpectationSuite(name=contract.table, expectations=expectations)
        try:
            outcome = definition.get_batch({"dataframe": batch}).validate(suite, result_format=_RESULT_FORMAT)
        finally:
            # The engine keeps every batch it has seen; a table must not outlive its gate.
            source.get_execution_engine().batch_manager.reset_batch_cache()
    return list(outcome.results)


def _finding(result: Any, judges_rows: bool) -> Finding:
    error = _exception(result.exception_info)
    if error is not None:
        return Finding(False, error=error[0], error_kind=error[1])
    if not judges_rows or "unexpected_count" not in result.result:
        return Finding(bool(result.success), observed=result.result.get("observed_value"))
    rows = np.sort(np.asarray(result.result.get("unexpected_index_list") or [], dtype=np.int64))
    return Finding(bool(result.success), rows=rows)


def _exception(info: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Message and class name of the exception, which comes flat or below the id of a metric."""
    candidates = [info, *info.values()] if info else []
    for candidate in candidates:
        if isinstance(candidate, Mapping) and candidate.get("raised_exception"):
            message = " ".join(str(candidate.get("exception_message")).split())
            classes = re.findall(r"^(?:\w+\.)*(\w+)(?=:|$)", str(candidate.get("exception_traceback")), re.M)
            return message, classes[-1] if classes else "Exception"
    return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No warning of Great Expectations or pandas reaches the terminal: what was found is in the result."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def to_pandas(contract: Contract, frame: pl.DataFrame, checks: list[Check]) -> pd.DataFrame:
    """The columns that `checks` read as a pandas frame with a default index.

    Strings become pandas' `str`, dates and timestamps `datetime64[us, UTC]` (years 1 to 9999, where
    nanoseconds would end in 2262), integers `int64` or, with nulls, `Int64`. Money becomes `float64`
    for the comparison only: exact in order up to 9e11. A float that is not a number counts as null, as
    pandas has it. A column that is only asked whether it is null becomes 1.0 or NaN, a text
    that is only asked whether it repeats its dense rank.

    Raises
    ------
    ConfigurationError
        if `frame` lacks a column a check reads.
    """
    import pandas as pd

    asked = {name: "null" for check in checks for name in columns_of(contract, check)}
    for check in checks:
        for name in columns_of(contract, check):
            asked[name] = max(asked[name], _asks(check, name), key=_FORMS.index)
    if any(check.expectation.startswith("expect_table_") for check in checks):
        # The shape of the table is checked: every column counts, no value does.
        asked = {**dict.fromkeys(frame.columns, "null"), **asked}
    for name in sorted(asked):
        if name not in frame.columns:
            raise ConfigurationError(
                f"{contract.table}: the staged table lacks column '{name}', which a check reads"
                f"{nearest(name, frame.columns)}"
            )
    columns = {name: _FORM_OF[asked[name]](frame.get_column(name)) for name in frame.columns if name in asked}
    return pd.DataFrame(columns, index=pd.RangeIndex(frame.height), copy=False)


def _asks(check: Check, column: str) -> str:
    """The least the check has to know of the column, one of `_FORMS`."""
    condition = check.arguments.get("row_condition")
    if condition is not None and re.search(rf"\b{re.escape(column)}\b", str(condition)):
        return "value"
    if check.expectation in ("expect_column_values_to_not_be_null", "expect_column_values_to_be_null"):
        return "null"
    if check.expectation in ("expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique"):
        return "equality"
    return "value"


def _presence(column: pl.Series) -> Any:
    if column.dtype.is_float():
        column = column.fill_nan(None)
    return np.where(column.is_null().to_numpy(), np.float32("nan"), np.float32(1))


def _codes(column: pl.Series) -> Any:
    # Dense ranks are equal where the texts are, and a fraction of their size.
    return _values(column.rank("dense") if column.dtype == pl.String else column)


def _values(column: pl.Series) -> Any:
    import pandas as pd

    kind = column.dtype
    if isinstance(kind, pl.Date):
        column, kind = column.cast(pl.Datetime("us")), pl.Datetime("us")
    if isinstance(kind, pl.Datetime):
        naive = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if kind.time_zone else column
        return pd.Series(naive.cast(pl.Datetime("us")).to_numpy()).dt.tz_localize("UTC").array
    if isinstance(kind, pl.Decimal):
        return column.cast(pl.Float64).to_numpy()
    if kind.is_integer() and column.null_count():
        return pd.arrays.IntegerArray(
            column.fill_null(0).cast(pl.Int64).to_numpy(writable=True),
            column.is_null().to_numpy(writable=True),
        )
    if isinstance(kind, pl.Boolean) and column.null_count():
        return pd.arrays.BooleanArray(
            column.fill_null(False).to_numpy(writable=True), column.is_null().to_numpy(writable=True)
        )
    return column.to_pandas().array


# What a check may ask of a column, from least to most, and how pandas gets it.
_FORM_OF: dict[str, Callable[[pl.Series], Any]] = {"null": _presence, "equality": _codes, "value": _values}
_FORMS = list(_FORM_OF)

"""Gates: a staged table goes in; clean rows, quarantined rows and a verdict come out.

Row-level checks of severity `warning` quarantine the rows they fail, with every reason. Critical
checks are judged on the rows that are left, since a row that is already out cannot stop the table;
one that fails stops it. `info` checks and table-level warnings are noted. What does not belong
here: running Great Expectations (`expectations.engine`) and publishing (`assets`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from crm_hygiene.contract import Check, Contract, contract_of
from expectations.engine import (
    CHUNK_ROWS,
    Finding,
    evaluate_by_row,
    evaluate_together,
    evaluate_whole,
    is_row_local,
)
from expectations.reasons import examples_of, observed_text, reasons_of
from expectations.suite import is_row_level, named_checks

_REASONS = "reasons"
_NONE_FAILS = Finding(True, rows=np.empty(0, dtype=np.int64))


@dataclass(frozen=True)
class GateResult:
    """What a gate decided about one staged table.

    Attributes
    ----------
    is_stopped
        a critical check failed: the table must not be published.
    clean
        the rows that broke no row-level warning, in their original order.
    quarantined
        the other rows, in their original order, with all their `reasons` (list of text) in the
        order of the contract's checks.
    results
        one row per check, in the columns of the contract quality.gate_results.
    """

    is_stopped: bool
    clean: pl.DataFrame
    quarantined: pl.DataFrame
    results: pl.DataFrame


def run_gate(
    contract: Contract,
    frame: pl.DataFrame,
    run_id: str,
    checked_at: dt.datetime,
    chunk_rows: int = CHUNK_ROWS,
    fresh: pl.Series | None = None,
) -> GateResult:
    """Check a staged table against its contract.

    A check that raises an exception has failed. A frame without rows passes everything, at once.
    `checked_at` without a time zone is taken as UTC. `chunk_rows` bounds memory and changes no result.
    `fresh` says per row (Boolean) whether it has yet to pass this gate; the others came through it together,
    as the table they were then, so that checks of single rows need not ask them again, nor uniqueness whether
    they repeat each other. It changes no result either.

    Raises
    ------
    ConfigurationError
        if a check of the contract cannot be built, or reads a column that `frame` lacks.
    """
    checks = named_checks(contract)
    if frame.is_empty():
        findings = {name: Finding(True, observed="no rows") for name in checks}
        verdicts = [
            _verdict(contract, name, check, findings[name], frame.clear(), 0)
            for name, check in checks.items()
        ]
        return GateResult(
            False,
            frame,
            _with_reasons(frame, _no_reasons()),
            _results(contract, verdicts, run_id, checked_at),
        )
    by_row = {name: check for name, check in checks.items() if is_row_local(check)}
    whole = {name: check for name, check in checks.items() if name not in by_row}
    quarantining = {name for name, check in checks.items() if _quarantines(contract, check)}

    on_the_left = {n: c for n, c in whole.items() if n not in quarantining}
    together = evaluate_together(contract, frame, checks) if frame.height <= chunk_rows else None
    if together is None:
        # One pass over the rows serves every row-local check; a row's verdict does not depend on who is left.
        anew = {} if fresh is None else {n: c for n, c in by_row.items() if _kept_rows_passed(c)}
        findings = evaluate_by_row(
            contract, frame, {n: c for n, c in by_row.items() if n not in anew}, chunk_rows
        )
        if fresh is not None:
            findings |= _among_fresh(contract, frame, fresh, anew, chunk_rows)
        findings |= evaluate_whole(contract, frame, {n: c for n, c in whole.items() if n in quarantining})
    else:
        findings = together
    is_out = np.zeros(frame.height, dtype=bool)
    for name in quarantining:
        is_out[_failing(findings[name])] = True
    clean = frame.filter(pl.Series(~is_out)) if is_out.any() else frame
    if together is None or is_out.any():
        left = None if fresh is None else fresh.filter(pl.Series(~is_out))
        findings |= _evaluate_left(contract, clean, left, on_the_left)

    verdicts = []
    for name, check in checks.items():
        finding, judged = findings[name], clean
        if name in quarantining:
            judged = frame
        elif name in by_row:
            finding = _among_left(finding, is_out)
        # Positions of a whole-table check already count the rows that are left, the others all rows.
        rows = (clean if name in whole and name not in quarantining else frame)[_failing(finding)]
        verdicts.append(_verdict(contract, name, check, finding, rows, judged.height))
    reasons = _reasons(contract, frame, {n: checks[n] for n in checks if n in quarantining}, findings)
    return GateResult(
        is_stopped=any(v["severity"] == "critical" and not v["is_passed"] for v in verdicts),
        clean=clean,
        quarantined=_with_reasons(frame, reasons),
        results=_results(contract, verdicts, run_id, checked_at),
    )


def quarantine_rows(contract: Contract, quarantined: pl.DataFrame) -> pl.DataFrame:
    """Quarantined rows in the columns of the contract quality.quarantine.

    `row` is the JSON of the row's filled cells, values as text, lists as lists of text. The id is the
    first 32 hex digits of the SHA-256 of table, source, record_id, file, row_number and `row`; the
    second and later of rows that agree in all of these also hash their ordinal, so that none is lost.
    """
    target = contract_of("quality.quarantine")
    if quarantined.is_empty():
        return target.empty()
    cells = [name for name in quarantined.columns if name != _REASONS]
    identity = ["source", "record_id", "file", "row_number"]
    filled = quarantined.select(
        pl.lit(contract.table).alias("table_name"),
        *(pl.col(n) if n in cells else pl.lit(None, dtype=target.schema[n]).alias(n) for n in identity),
        pl.col(_REASONS),
        pl.concat_str(
            pl.lit("{"),
            pl.concat_str(
                [_json_member(quarantined.schema[n], n) for n in cells], separator=",", ignore_nulls=True
            ),
            pl.lit("}"),
        ).alias("row"),
    )
    seen: dict[str, int] = {}
    ids = []
    for values in filled.select("table_name", *identity, "row").iter_rows():
        content = json.dumps(values, ensure_ascii=False, default=str)
        seen[content] = ordinal = seen.get(content, 0) + 1
        text = content if ordinal == 1 else f"{content}#{ordinal}"
        ids.append(hashlib.sha256(text.encode()).hexdigest()[:32])
    return target.shape(filled.with_columns(pl.Series("quarantine_id", ids, dtype=pl.String)))


def _quarantines(contract: Contract, check: Check) -> bool:
    return check.severity == "warning" and is_row_level(contract, check)


def _kept_rows_passed(check: Check) -> bool:
    """Whether a row that is in a published table has passed: the table was stopped or the row left out."""
    return check.severity in ("critical", "warning")


def _among_fresh(
    contract: Contract, frame: pl.DataFrame, fresh: pl.Series, checks: Mapping[str, Check], chunk_rows: int
) -> dict[str, Finding]:
    """Findings of row-local checks that the other rows have passed, with positions in `frame`."""
    positions = np.flatnonzero(fresh.to_numpy())
    asked = frame.filter(fresh)
    findings = evaluate_by_row(contract, asked, checks, chunk_rows) if asked.height else {}
    return {name: _moved(findings.get(name, _NONE_FAILS), positions) for name in checks}


def _moved(finding: Finding, positions: np.ndarray[Any, np.dtype[np.int64]]) -> Finding:
    """The finding on some rows of a frame, `positions`, as one on the frame."""
    return finding if finding.rows is None else replace(finding, rows=positions[finding.rows])


def _evaluate_left(
    contract: Contract, frame: pl.DataFrame, fresh: pl.Series | None, checks: Mapping[str, Check]
) -> dict[str, Finding]:
    """Findings of checks of more than a row; uniqueness asks only where a fresh row may repeat one."""
    if fresh is None:
        return evaluate_whole(contract, frame, checks)
    findings: dict[str, Finding] = {}
    for name, check in checks.items():
        columns = _unique_columns(check)
        if columns is None:
            findings |= evaluate_whole(contract, frame, {name: check})
            continue
        # Every row that could repeat a fresh one; nulls are compared as the check will, so they all go in.
        new = frame.lazy().select(columns).filter(fresh).unique()
        alike = (
            frame.lazy()
            .select(columns)
            .with_row_index("_row")
            .join(new, on=columns, how="semi", nulls_equal=True)
        )
        positions = alike.select(pl.col("_row").cast(pl.Int64).sort()).collect().to_series().to_numpy()
        found = (
            evaluate_whole(contract, frame[positions], {name: check})[name] if len(positions) else _NONE_FAILS
        )
        findings[name] = _moved(found, positions)
    return findings


def _unique_columns(check: Check) -> list[str] | None:
    """Columns that must not repeat, if that is all the check says and a published table has to obey it."""
    if check.severity != "critical":
        return None
    given = check.arguments
    if check.expectation == "expect_column_values_to_be_unique" and list(given) == ["column"]:
        return [str(given["column"])]
    if check.expectation == "expect_compound_columns_to_be_unique" and list(given) == ["column_list"]:
        return [str(name) for name in given["column_list"]]
    return None


def _failing(finding: Finding) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Positions that count as failing: none where `mostly` lets the check pass in spite of them."""
    if finding.rows is None or (finding.is_passed and finding.error is None):
        return np.empty(0, dtype=np.int64)
    return finding.rows


def _among_left(finding: Finding, is_out: np.ndarray[Any, np.dtype[np.bool_]]) -> Finding:
    """The finding of a row-local check as it is without the quarantined rows."""
    if finding.rows is None:
        return finding
    rows = finding.rows[~is_out[finding.rows]]
    return Finding(
        finding.error is None and not len(rows), rows, error=finding.error, error_kind=finding.error_kind
    )


def _reasons(
    contract: Contract, frame: pl.DataFrame, checks: Mapping[str, Check], findings: Mapping[str, Finding]
) -> pl.DataFrame:
    """Position of each quarantined row, ascending, and its reasons in the order of `checks`."""
    parts = [_no_reasons().explode(_REASONS)]
    for name, check in checks.items():
        rows = _failing(findings[name])
        if len(rows):
            reasons = reasons_of(contract, frame[rows], name, check)
            parts.append(pl.DataFrame({"position": rows, _REASONS: reasons}))
    return pl.concat(parts).group_by("position", maintain_order=True).agg(_REASONS).sort("position")


def _no_reasons() -> pl.DataFrame:
    return pl.DataFrame(schema={"position": pl.Int64, _REASONS: pl.List(pl.String)})


def _with_reasons(frame: pl.DataFrame, reasons: pl.DataFrame) -> pl.DataFrame:
    rows, given = frame[reasons.get_column("position").to_numpy()], reasons.get_column(_REASONS)
    if _REASONS in frame.columns:
        # quality.quarantine has reasons of its own: they come first and nothing is lost.
        own = pl.col(_REASONS).fill_null(pl.lit([], dtype=pl.List(pl.String)))
        return rows.with_columns(own.list.concat(given).alias(_REASONS))
    return rows.with_columns(given)


def _verdict(
    contract: Contract, name: str, check: Check, finding: Finding, rows: pl.DataFrame, row_count: int
) -> dict[str, Any]:
    return {
        "check_name": name,
        "column_name": check.column,
        "severity": check.severity,
        "is_passed": finding.is_passed,
        "row_count": row_count,
        "failed_count": None if finding.rows is None else len(finding.rows),
        "examples": examples_of(contract, rows, check),
        "observed": "no rows"
        if not row_count and finding.rows is None and finding.is_passed
        else observed_text(contract, check, finding, row_count),
    }


def _results(
    contract: Contract, verdicts: list[dict[str, Any]], run_id: str, checked_at: dt.datetime
) -> pl.DataFrame:
    target = contract_of("quality.gate_results")
    at = checked_at.replace(tzinfo=dt.UTC) if checked_at.tzinfo is None else checked_at.astimezone(dt.UTC)
    known = {"run_id": run_id, "table_name": contract.table, "checked_at": at}
    return pl.DataFrame([{**known, **v} for v in verdicts], schema=target.schema)


def _json_member(kind: pl.DataType, name: str) -> pl.Expr:
    """`"name":"value"` with JSON's escapes, or null where the cell is empty."""
    text = pl.List(pl.String) if kind.is_nested() else pl.String
    member = pl.struct(pl.col(name).cast(text)).struct.json_encode()
    return pl.when(pl.col(name).is_not_null()).then(member.str.strip_prefix("{").str.strip_suffix("}"))

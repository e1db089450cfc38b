"""The gates of the lake are read once a night, whoever asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.gate_log import GATES, QUARANTINE, GateLog, gate_log
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake

NIGHT = datetime(2026, 1, 1, 2, tzinfo=UTC)


def found(run: str, table: str, at: datetime = NIGHT, passed: bool = True, checks: int = 2) -> pl.DataFrame:
    rows: list[dict[str, Any]] = [
        {
            "run_id": run,
            "table_name": table,
            "check_name": f"check {n}",
            "severity": "warning",
            "is_passed": passed,
            "row_count": 1,
            "failed_count": 0,
            "examples": [],
            "observed": "1 row",
            "checked_at": at,
        }
        for n in range(checks)
    ]
    return pl.DataFrame(rows, schema=contract_of(GATES).schema)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    scan, scans = lake.scan, []

    def counting(*arguments: Any) -> pl.LazyFrame:
        scans.append(arguments)
        return scan(*arguments)

    monkeypatch.setattr(lake, "scan", counting)
    lake.scans = scans  # type: ignore[attr-defined]
    return lake


def scans(lake: Lake) -> int:
    return len(lake.scans)  # type: ignore[attr-defined]


def test_many_questions_are_one_read(lake: Lake) -> None:
    before = GateLog(lake, "run-1")
    for table in ("golden.contacts", "golden.accounts"):
        before.add(found("run-1", table), {"run_id": "run-1"})
    log = GateLog(lake, "run-2")
    for _ in range(20):
        last = log.last(["golden.contacts", "golden.accounts", "golden.leads"])
    assert [last[t].height for t in sorted(last)] == [2, 2, 0]
    assert scans(lake) == 1


def test_what_this_night_adds_is_known_without_reading(lake: Lake) -> None:
    GateLog(lake, "run-1").add(found("run-1", "golden.contacts"), {"run_id": "run-1"})
    log = GateLog(lake, "run-2")
    assert log.last(["golden.contacts"])["golden.contacts"]["run_id"].unique().to_list() == ["run-1"]
    later = found("run-2", "golden.contacts", NIGHT + timedelta(days=1), passed=False)
    log.add(later, {"run_id": "run-2"})
    log.add(later, {"run_id": "run-2"})
    known = log.last(["golden.contacts"])["golden.contacts"]
    assert scans(lake) == 1
    assert known["is_passed"].to_list() == [False, False]
    read = GateLog(lake, "run-3").last(["golden.contacts"])["golden.contacts"]
    assert read.sort("check_name").equals(known.sort("check_name"))
    assert lake.read(contract_of(GATES)).height == 4


def test_what_somebody_else_adds_is_read(lake: Lake) -> None:
    log = GateLog(lake, "run-1")
    log.add(found("run-1", "golden.contacts"), {"run_id": "run-1"})
    assert log.last(["golden.accounts"])["golden.accounts"].is_empty()
    GateLog(lake, "run-2").add(found("run-2", "golden.accounts"), {"run_id": "run-2"})
    assert log.last(["golden.accounts"])["golden.accounts"].height == 2


def test_the_steps_of_a_run_share_one(lake: Lake) -> None:
    one = gate_log(lake, "run-1")
    assert gate_log(Lake(lake.uri), "run-1") is one
    assert gate_log(lake, "run-2") is not one


def test_gates_of_one_step_are_one_commit_and_each_table_is_kept_once(lake: Lake) -> None:
    log = GateLog(lake, "run-1")
    log.add(found("run-1", "golden.contacts"), {"run_id": "run-1"})
    before = lake.version(GATES)
    both = pl.concat([found("run-1", "golden.contacts"), found("run-1", "golden.accounts")])
    log.add(both, {"run_id": "run-1"})
    log.add(both, {"run_id": "run-1"})
    assert before is not None
    assert lake.version(GATES) == before + 1
    names = lake.read(contract_of(GATES))["table_name"].value_counts().sort("table_name")
    assert names.rows() == [("golden.accounts", 2), ("golden.contacts", 2)]


def test_a_run_goes_on_in_another_process_and_adds_nothing_twice(lake: Lake) -> None:
    """As a night that was killed after its commit: whether the log has been read makes no difference."""
    GateLog(lake, "run-1").add(found("run-1", "golden.contacts"), {"run_id": "run-1"})
    for is_read in (False, True):
        again = GateLog(lake, "run-1")
        if is_read:
            again.last(["golden.contacts"])
        again.add(found("run-1", "golden.contacts"), {"run_id": "run-1"})
    assert lake.read(contract_of(GATES)).height == 2


def test_a_gate_of_this_run_is_found_behind_one_of_a_later_run(lake: Lake) -> None:
    earlier, later = (
        found("run-1", "golden.contacts"),
        found("run-2", "golden.contacts", NIGHT + timedelta(1)),
    )
    GateLog(lake, "run-1").add(earlier, {"run_id": "run-1"})
    GateLog(lake, "run-2").add(later, {"run_id": "run-2"})
    log = GateLog(lake, "run-1")
    log.last(["golden.contacts"])
    log.add(earlier, {"run_id": "run-1"})
    assert lake.read(contract_of(GATES)).height == 4


def test_tables_in_quarantine_are_read_again_when_it_changes(lake: Lake) -> None:
    log = GateLog(lake, "run-1")
    assert not log.is_quarantined("conformed.people")
    contract = contract_of(QUARANTINE)
    row = {"quarantine_id": "q", "table_name": "conformed.people", "reasons": ["why"], "row": "{}"}
    rows = contract.shape(pl.DataFrame([row]))
    lake.replace_rows(contract, rows, "table_name", "conformed.people", {"run_id": "run-1"})
    assert log.is_quarantined("conformed.people")
    assert not log.is_quarantined("conformed.payments")
    lake.replace_rows(contract, rows.clear(), "table_name", "conformed.people", {"run_id": "run-1"})
    assert not log.is_quarantined("conformed.people")

"""Tables stay open while nobody commits, and never hide what somebody committed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake

RUNS = "audit.runs"
CONTRACT = contract_of(RUNS)
META = {"run_id": "r1", "rules": "f", "inputs": "i1"}

_OTHER_PROCESS = """
import sys
import polars as pl
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
contract = contract_of("audit.runs")
rows = contract.shape(pl.DataFrame({"run_id": [sys.argv[2]], "status": ["succeeded"]}))
Lake(sys.argv[1]).append(contract, [rows], {"run_id": "other"})
"""


def _runs(*ids: str) -> pl.DataFrame:
    return CONTRACT.shape(pl.DataFrame({"run_id": ids, "status": ["succeeded"] * len(ids)}))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_a_table_nobody_commits_to_is_opened_once(lake: Lake, opened: list[str]) -> None:
    lake.publish(CONTRACT, _runs("a"), META)
    opened.clear()
    for _ in range(5):
        lake.state(RUNS), lake.version(RUNS), lake.metadata(RUNS), lake.snapshot(RUNS), lake.read(CONTRACT)
        assert Lake(lake.uri).exists(RUNS)
    assert opened == []  # the write left it open
    assert lake.publish(CONTRACT, _runs("a"), META).is_changed is False
    assert opened == []


def test_what_another_process_commits_is_seen_at_once(lake: Lake) -> None:
    lake.publish(CONTRACT, _runs("a"), META)
    before = (lake.state(RUNS), lake.version(RUNS), lake.metadata(RUNS)["run_id"])
    subprocess.run([sys.executable, "-c", _OTHER_PROCESS, lake.uri, "b"], check=True, timeout=120)
    assert lake.version(RUNS) == (before[1] or 0) + 1
    assert lake.state(RUNS) != before[0]
    assert lake.metadata(RUNS)["run_id"] == "other"
    assert lake.read(CONTRACT)["run_id"].to_list() == ["a", "b"]
    lake.append(CONTRACT, [_runs("c")], META)
    assert lake.read(CONTRACT)["run_id"].to_list() == ["a", "b", "c"]


def test_a_lazy_frame_reads_the_version_it_was_made_of(lake: Lake) -> None:
    lake.publish(CONTRACT, _runs("a"), META)
    frame = lake.scan(CONTRACT)
    lake.append(CONTRACT, [_runs("b")], META)
    assert frame.collect()["run_id"].to_list() == ["a"]
    assert lake.read(CONTRACT)["run_id"].to_list() == ["a", "b"]


def test_rows_appended_while_the_table_is_read_lazily_are_not_read(lake: Lake) -> None:
    lake.publish(CONTRACT, _runs("a"), META)

    def parts() -> Any:
        for part in (lake.scan(CONTRACT), lake.scan(CONTRACT)):
            yield part.with_columns(pl.col("run_id") + "+").collect()

    lake.append(CONTRACT, parts(), META)
    assert lake.read(CONTRACT)["run_id"].to_list() == ["a", "a+", "a+"]


def test_a_table_that_was_deleted_is_gone_and_one_made_again_is_another(lake: Lake) -> None:
    lake.publish(CONTRACT, _runs("a"), META)
    version = lake.version(RUNS)
    shutil.rmtree(Path(lake.table_uri(RUNS)))
    assert not lake.exists(RUNS)
    assert lake.state(RUNS) == "absent"
    lake.publish(CONTRACT, _runs("b"), META)
    assert lake.version(RUNS) == version
    assert lake.read(CONTRACT)["run_id"].to_list() == ["b"]
    assert lake.read(CONTRACT, version)["run_id"].to_list() == ["b"]


def test_a_failed_write_leaves_what_was_open(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.publish(CONTRACT, _runs("a"), META)

    def parts() -> Any:
        yield _runs("b")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        lake.append(CONTRACT, parts(), META)
    assert lake.read(CONTRACT)["run_id"].to_list() == ["a"]


def _another_appends(lake: Lake, run_id: str) -> None:
    subprocess.run([sys.executable, "-c", _OTHER_PROCESS, lake.uri, run_id], check=True, timeout=120)


def test_commits_after_each_other_open_the_table_once(lake: Lake, opened: list[str]) -> None:
    lake.publish(CONTRACT, _runs("a"), META)
    opened.clear()
    for number in range(4):
        assert lake.version(RUNS) is not None
        lake.append(CONTRACT, [_runs(f"b{number}")], META)
    assert opened == []
    assert lake.read(CONTRACT)["run_id"].to_list() == ["a", "b0", "b1", "b2", "b3"]
    statistics = lake.statistics(RUNS)
    assert statistics is not None
    assert statistics.row_count == 5


def test_a_lazy_frame_between_two_commits_reads_what_was_live(lake: Lake) -> None:
    lake.publish(CONTRACT, _runs("a"), META)
    lake.append(CONTRACT, [_runs("b")], META)
    frame = lake.scan(CONTRACT)
    for run_id in ("c", "d"):
        lake.append(CONTRACT, [_runs(run_id)], META)
    assert sorted(frame.collect()["run_id"]) == ["a", "b"]


@pytest.mark.parametrize("is_appended", [True, False])
def test_what_another_process_commits_between_two_commits_counts(lake: Lake, is_appended: bool) -> None:
    lake.publish(CONTRACT, _runs("a"), META)
    _another_appends(lake, "b")
    if is_appended:
        lake.append(CONTRACT, [_runs("c")], META)
    else:
        lake.publish(CONTRACT, _runs("c"), META)
    assert lake.read(CONTRACT)["run_id"].to_list() == (["a", "b", "c"] if is_appended else ["c"])


def test_once_is_once_where_another_process_was_first(lake: Lake) -> None:
    assert lake.append(CONTRACT, [_runs("a")], META, once="a")
    shutil.copytree(lake.uri, other := Path(lake.uri).with_name("other"))
    assert Lake(str(other)).append(CONTRACT, [_runs("b")], META, once="b")
    for name in ("_delta_log/*2.json", "_delta_log/*3.json", "*.parquet"):
        for path in (other / "audit/runs").glob(name):
            shutil.copy(path, Path(lake.table_uri(RUNS)) / path.relative_to(other / "audit/runs"))
    assert not lake.append(CONTRACT, [_runs("b")], META, once="b")
    assert lake.read(CONTRACT)["run_id"].to_list() == ["a", "b"]


def test_a_table_made_again_after_a_commit_is_written_as_it_is(lake: Lake) -> None:
    lake.publish(CONTRACT, _runs("a"), META)
    shutil.rmtree(Path(lake.table_uri(RUNS)))
    lake.append(CONTRACT, [_runs("b")], META)
    lake.publish(CONTRACT, _runs("c"), META)
    kept = Path(lake.uri).with_name("kept")
    shutil.move(lake.table_uri(RUNS), kept)
    Lake(lake.uri, {"timeout": "1s"}).publish(CONTRACT, _runs("d"), META)
    lake.append(CONTRACT, [_runs("e")], META)
    assert lake.read(CONTRACT)["run_id"].to_list() == ["d", "e"]

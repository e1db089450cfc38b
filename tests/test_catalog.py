"""The catalog: replaced in one step, open readers keep theirs, unchanged tables are taken over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest

from crm_hygiene.catalog import build_catalog
from crm_hygiene.catalog_query import query
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError, LakeError
from crm_hygiene.lake import Lake

RUNS, METRICS = contract_of("audit.runs"), contract_of("quality.metrics")
CONTRACTS = [RUNS, METRICS, contract_of("golden.contacts")]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    _publish(lake, "a")
    lake.publish(METRICS, METRICS.empty(), {})
    return lake


def _publish(lake: Lake, *ids: str) -> None:
    frame = pl.DataFrame([{"run_id": i, "status": "succeeded"} for i in ids])
    lake.publish(RUNS, RUNS.shape(frame), {})


def _ids(path: Path) -> list[str]:
    return query(path, "select run_id from audit.runs order by all")["run_id"].to_list()


def test_build_takes_over_what_is_unchanged(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    assert build_catalog(lake, CONTRACTS, path).renewed == [c.table for c in CONTRACTS]
    assert query(path, "select * from golden.contacts").is_empty()
    assert build_catalog(lake, CONTRACTS, path).renewed == []
    _publish(lake, "a", "b")
    built = build_catalog(lake, CONTRACTS, path)
    assert (built.renewed, built.kept) == (["audit.runs"], ["quality.metrics", "golden.contacts"])
    assert _ids(path) == ["a", "b"]
    assert [p.name for p in tmp_path.iterdir() if "catalog" in p.name] == ["catalog.duckdb"]


def test_table_without_rows_and_comments(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    build_catalog(lake, CONTRACTS, path)
    assert query(path, "select * from quality.metrics").height == 0
    comments = query(path, "select table_name, comment from duckdb_tables() where schema_name = 'audit'")
    assert comments["comment"].item().startswith(RUNS.meaning)


_READER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
print(connection.sql("select count(*) from audit.runs").fetchall()[0][0], flush=True)
sys.stdin.readline()
print(connection.sql("select count(*) from audit.runs").fetchall()[0][0], flush=True)
"""


def test_open_reader_keeps_its_file_while_a_new_one_is_put_in_place(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    build_catalog(lake, CONTRACTS, path)
    reader = subprocess.Popen(
        [sys.executable, "-c", _READER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "1\n"
    _publish(lake, "a", "b")
    build_catalog(lake, CONTRACTS, path)
    assert _ids(path) == ["a", "b"]
    rest, _ = reader.communicate("go\n")
    assert rest == "1\n"


def test_damaged_catalog_is_built_anew(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    path.write_bytes(b"not a database")
    (tmp_path / ".catalog.duckdb.1.staged").write_bytes(b"left by a kill")
    build_catalog(lake, CONTRACTS, path)
    assert _ids(path) == ["a"]
    assert not list(tmp_path.glob(".catalog*"))


def test_failing_build_leaves_the_last_one(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.duckdb"
    build_catalog(lake, CONTRACTS, path)
    _publish(lake, "a", "b")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(LakeError, match="the last one stays"):
            build_catalog(lake, CONTRACTS, path)
    assert _ids(path) == ["a"]
    assert not list(tmp_path.glob(".catalog*"))


def test_lake_without_any_table(tmp_path: Path) -> None:
    path = tmp_path / "lake/catalog.duckdb"
    build_catalog(Lake(str(tmp_path / "lake")), CONTRACTS, path)
    assert query(path, "select * from audit.runs").is_empty()


def test_query_reads_only(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    with pytest.raises(ConfigurationError, match="no catalog yet"):
        query(path, "select 1")
    build_catalog(lake, CONTRACTS, path)
    for wrong in (
        "select nope",
        "drop table audit.runs",
        "selec 1",
        "select * from read_csv('/etc/hostname')",
    ):
        with pytest.raises(ConfigurationError):
            query(path, wrong)
    assert query(path, "select 1 a, 2 a, interval 1 day i").rows() == [(1, 2, "1 day")]
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.sql("select count(*) from audit.runs").fetchall() == [(1,)]

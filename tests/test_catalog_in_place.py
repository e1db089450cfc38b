"""What golden is made of is read where it lies: views on the lake's files, and nothing but reading."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from crm_hygiene import catalog_in_place, catalog_moves
from crm_hygiene.catalog import build_catalog
from crm_hygiene.catalog_history import qualified
from crm_hygiene.catalog_query import query
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lake import Lake

USERS, MEMBERS = contract_of("conformed.users"), contract_of("linked.person_members")
CONTRACTS = [USERS, MEMBERS]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    _publish(lake, "a")
    return lake


@pytest.fixture
def path(lake: Lake, tmp_path: Path) -> Path:
    path = tmp_path / "catalog.duckdb"
    build_catalog(lake, CONTRACTS, path)
    return path


def _publish(lake: Lake, *ids: str) -> None:
    rows = pl.DataFrame({"record_id": ids}, schema={"record_id": pl.String})
    told = rows.with_columns(
        source=pl.lit("crm"), file=pl.lit("f.csv"), row_number=1, landed_at=datetime(2026, 11, 20, tzinfo=UTC)
    )
    lake.publish(USERS, USERS.shape(told), {})
    lake.publish(MEMBERS, MEMBERS.shape(rows.with_columns(source=pl.lit("crm"), entity_id=pl.lit("P1"))), {})


def _users(path: Path) -> list[str]:
    return query(path, "select record_id from conformed.users order by all")["record_id"].to_list()


def _kinds(path: Path) -> dict[str, str]:
    found = query(path, "select table_name, table_type from information_schema.tables")
    return dict(found.filter(pl.col("table_name").is_in(["users", "person_members"])).iter_rows())


def test_records_are_a_view_and_what_has_a_past_is_a_table(path: Path) -> None:
    assert _kinds(path) == {"users": "VIEW", "person_members": "BASE TABLE"}
    assert _users(path) == ["a"]
    said = query(
        path,
        "select v.comment, c.comment meaning, c.data_type from duckdb_views() v"
        " join duckdb_columns() c on c.table_name = v.view_name and c.schema_name = v.schema_name"
        " where v.schema_name = 'conformed' and c.column_name = 'landed_at'",
    )
    assert said["comment"].item().startswith(USERS.meaning)
    assert said["meaning"].item().startswith(next(c.meaning for c in USERS.columns if c.name == "landed_at"))
    assert said["data_type"].item() == "TIMESTAMP WITH TIME ZONE"


def test_view_has_the_contracts_columns_and_types(lake: Lake, path: Path) -> None:
    described = query(path, "describe conformed.users")
    assert described["column_name"].to_list() == list(USERS.column_names)
    told = [pl.col("record_id"), pl.col("landed_at").dt.convert_time_zone("UTC")]
    found = query(path, "from conformed.users").select(told)
    assert found.equals(lake.scan(USERS).select(told).collect())


def test_night_makes_the_view_anew_and_an_open_reader_keeps_its_own(lake: Lake, path: Path) -> None:
    with duckdb.connect(str(path), read_only=True) as reader:
        _publish(lake, "a", "b")
        staged = path.with_name("next.duckdb")
        shutil.copyfile(path, staged)
        assert build_catalog(lake, CONTRACTS, staged).renewed == [c.table for c in CONTRACTS]
        assert _users(staged) == ["a", "b"]
        assert reader.execute("select record_id from conformed.users").fetchall() == [("a",)]
    assert build_catalog(lake, CONTRACTS, staged).renewed == []


def test_lake_that_moved_is_read_where_it_is_now(lake: Lake, path: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.move(lake.uri, moved)
    with pytest.raises(ConfigurationError, match=r"parquet is not there any more.*If the lake was moved"):
        _users(path)
    built = build_catalog(Lake(str(moved)), CONTRACTS, path)
    assert (built.renewed, built.kept) == (["conformed.users"], ["linked.person_members"])
    assert _users(path) == ["a"]


def test_what_was_read_in_place_can_be_held(lake: Lake, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_moves, "_FEWEST_ROWS", 1)
    monkeypatch.setattr(catalog_in_place, "_HELD", {USERS.table})
    build_catalog(lake, CONTRACTS, path)
    assert _kinds(path)["users"] == "BASE TABLE"
    assert _users(path) == ["a"]


def test_a_copy_of_the_file_still_resolves_ids(lake: Lake, tmp_path: Path) -> None:
    entities = [contract_of(f"linked.{kind}_entities") for kind in ("person", "organisation")]
    register = pl.DataFrame(
        {"entity_id": ["P1", "P2"], "status": ["live", "alias"], "resolves_to": ["P1", "P1"]}
    ).with_columns(
        founding_source=pl.lit("crm"),
        founding_record_id=pl.lit("a"),
        founded_at=datetime(2026, 11, 20, tzinfo=UTC),
    )
    lake.publish(entities[0], entities[0].shape(register), {})
    path = tmp_path / "catalog.duckdb"
    build_catalog(lake, [*CONTRACTS, *entities], path)
    shutil.rmtree(lake.uri)
    assert query(path, "select resolve('P2') as id")["id"].item() == "P1"


def test_files_compacted_into_others_are_read_from_these(lake: Lake, path: Path) -> None:
    before = lake.state(USERS.table)
    lake.tidying(USERS.table).z_order(["record_id"], 128 * 1024**2)
    assert lake.state(USERS.table) == before
    build_catalog(lake, CONTRACTS, path)
    assert _users(path) == ["a"]
    files = {Path(f).name for f in lake.file_uris(USERS.table)}
    sql = query(path, "select sql from duckdb_views() where view_name = 'users'")["sql"].item()
    assert all(name in sql for name in files)


def test_table_of_an_older_catalog_gives_way_and_empty_ones_are_tables(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    nothing = Lake(str(tmp_path / "nothing"))
    build_catalog(nothing, CONTRACTS, path)
    assert _kinds(path)["users"] == "BASE TABLE"
    assert _users(path) == []
    build_catalog(lake, CONTRACTS, path)
    assert _kinds(path)["users"] == "VIEW"
    assert _users(path) == ["a"]
    build_catalog(nothing, CONTRACTS, path)
    assert _users(path) == []
    build_catalog(nothing, [MEMBERS], path)
    assert set(_kinds(path)) == {"person_members"}


@pytest.mark.parametrize(
    "writing",
    [
        "copy (select 1 as record_id) to '{file}' (format parquet, use_tmp_file false)",
        "copy (pivot conformed.users on record_id) to '{file}' (format parquet, use_tmp_file false)",
        "explain analyze copy (select 1) to '{file}' (format parquet, use_tmp_file false)",
        "prepare p as copy (select 1) to '{file}' (format parquet, use_tmp_file false)",
        "select 1; copy (select 1) to '{file}' (format parquet, use_tmp_file false)",
        "select * from read_parquet('{other}')",
    ],
)
def test_query_reads_the_catalogs_files_and_writes_none(lake: Lake, path: Path, writing: str) -> None:
    (file,) = lake.file_uris(USERS.table)
    other = Path(file).with_name("other.parquet")
    shutil.copyfile(file, other)
    before = Path(file).read_bytes()
    try:
        query(path, writing.format(file=file, other=other))
    except ConfigurationError:
        pass
    else:
        assert writing.startswith("prepare"), "only what does nothing may pass"
    assert Path(file).read_bytes() == before
    assert _users(path) == ["a"]


def test_pivots_and_plans_of_what_is_read_in_place(path: Path) -> None:
    found = query(path, "pivot conformed.users on source using count(*) group by record_id")
    assert found.rows() == [("a", 1)]
    assert query(path, f"explain select * from {qualified('conformed.users')}").height

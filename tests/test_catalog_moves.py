"""Exchanging the rows that changed leaves the catalog that loading the table leaves."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from unittest import mock

import polars as pl
import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from crm_hygiene import catalog_moves
from crm_hygiene.catalog import build_catalog
from crm_hygiene.catalog_loading import Arrivals
from crm_hygiene.catalog_query import query
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake

MEMBERS, RUNS = contract_of("linked.person_members"), contract_of("audit.runs")
CONTRACTS = [MEMBERS, RUNS]


@pytest.fixture(autouse=True)
def _small_tables_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_moves, "_FEWEST_ROWS", 1)


def _publish(lake: Lake, entities: dict[int, str]) -> None:
    keys = [f"r{n}" for n in entities]
    members = pl.DataFrame({"record_id": keys, "entity_id": list(entities.values())})
    members = members.cast(pl.String).with_columns(source=pl.lit("crm"))
    lake.publish(MEMBERS, MEMBERS.shape(members), {"inputs": repr(entities)})
    runs = members.select(run_id="record_id", status="entity_id")
    lake.publish(RUNS, RUNS.shape(runs), {"inputs": repr(entities)})


def _tables(path: Path) -> list[pl.DataFrame]:
    log = "select * exclude replaced_at from history.linked_person_members order by all"
    return [query(path, f"select * from {c.table} order by all") for c in CONTRACTS] + [query(path, log)]


def _entities() -> st.SearchStrategy[dict[int, str]]:
    return st.dictionaries(st.integers(0, 30), st.sampled_from(["a", "b", "c"]), min_size=8)


@settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
@given(nights=st.lists(_entities(), min_size=2, max_size=4), most=st.sampled_from([0.1, 0.5, 2.0]))
def test_rows_exchanged_are_the_rows_loaded(
    tmp_path_factory: pytest.TempPathFactory, nights: list[dict[int, str]], most: float
) -> None:
    folder = tmp_path_factory.mktemp("catalog")
    lake = Lake(str(folder / "lake"))
    moved, loaded = folder / "moved.duckdb", folder / "loaded.duckdb"
    for entities in nights:
        _publish(lake, entities)
        with mock.patch.object(catalog_moves, "_MOST_MOVED", most):
            build_catalog(lake, CONTRACTS, moved)
        with mock.patch.object(catalog_moves, "_FEWEST_ROWS", 10**9):
            build_catalog(lake, CONTRACTS, loaded)
        for found, expected in zip(_tables(moved), _tables(loaded), strict=True):
            assert_frame_equal(found, expected)


def test_few_changed_rows_load_no_table(tmp_path: Path) -> None:
    lake, path = Lake(str(tmp_path / "lake")), tmp_path / "catalog.duckdb"
    names: dict[int, str] = dict.fromkeys(range(100), "a")
    _publish(lake, names)
    build_catalog(lake, CONTRACTS, path)
    before = datetime.now().astimezone() + timedelta(milliseconds=1)
    _publish(lake, names | {7: "b"})
    with mock.patch.object(Arrivals, "load", side_effect=AssertionError("a table was loaded")):
        build_catalog(lake, CONTRACTS, path)
    assert query(path, "select status from audit.runs where run_id = 'r7'").item() == "b"
    past = f"select entity_id from linked.person_members_as_of('{before}') where record_id = 'r7'"
    assert query(path, past).item() == "a"


def test_a_table_full_of_room_is_loaded_anew(tmp_path: Path) -> None:
    lake, path = Lake(str(tmp_path / "lake")), tmp_path / "catalog.duckdb"
    _publish(lake, dict.fromkeys(range(100), "a"))
    build_catalog(lake, CONTRACTS, path)
    _publish(lake, dict.fromkeys(range(1, 100), "a"))
    with mock.patch.object(catalog_moves, "_MOST_ROOM", 0.5), mock.patch.object(Arrivals, "fetch") as fetch:
        build_catalog(lake, CONTRACTS, path)
    assert {contract.table for contract, _ in fetch.call_args.args[0]} == {c.table for c in CONTRACTS}
    assert query(path, "select count(*) from linked.person_members").item() == 99

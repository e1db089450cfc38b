"""Upkeep: files stay few, nothing that a night needs goes, and the next night finds nothing changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from bench.upkeep import (
    APPENDED,
    MEMBERS,
    PUBLISHED,
    REGISTER,
    REPLACED,
    SETTINGS,
    TABLES,
    simulate,
    standing,
    versions_of,
    write_night,
)
from crm_hygiene.config import UpkeepConfig
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import LakeError
from crm_hygiene.lake import Lake
from crm_hygiene.lake_tidying import LOG_PROPERTIES
from crm_hygiene.upkeep import keep_up

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def _told(lake: Lake) -> dict[str, object]:
    """What decides whether a night has something to do, and what it would read."""
    return {
        contract.table: (
            lake.state(contract.table),
            lake.metadata(contract.table).get("inputs"),
            lake.metadata(contract.table).get("pins"),
            lake.versions(contract.table),
            lake.read(contract).to_dicts(),
        )
        for contract in TABLES
    }


@pytest.mark.long
def test_a_hundred_nights(lake: Lake) -> None:
    """Nights of the last 14 days can all be read after every upkeep; files do not grow with the nights."""
    ended: dict[int, datetime] = {}
    counted = []
    for number, ended_at in simulate(lake, nights=100, upkeep_every=7, appends=1):
        ended[number] = ended_at
        if number % 7 == 6:
            counted.append(standing(lake, number))
        if number not in (34, 97):
            continue
        runs = lake.read(contract_of("audit.runs"))
        recent = runs.filter(pl.col("ended_at") >= ended_at - timedelta(days=SETTINGS.keep_days))
        assert recent.height == SETTINGS.keep_days + 1
        for run_id, text in recent.select("run_id", "read_versions").iter_rows():
            then, night = json.loads(text), int(run_id[1:])
            assert lake.read(APPENDED, then[APPENDED.table]).height == night + 1
            assert lake.read(PUBLISHED, then[PUBLISHED.table])["run_id"][0] == f"{night}-0"
            assert lake.read(REPLACED, then[REPLACED.table])["run_id"].to_list() == [f"{night}"]
            pins = json.loads(lake.metadata(MEMBERS.table, then[MEMBERS.table])["pins"])
            assert lake.read(REGISTER, pins[REGISTER.table])["run_id"].to_list() == [f"{night // 10 * 10}"]
    assert lake.read(APPENDED).height == 100
    settled = counted[4:]  # from five weeks on, all that is kept has once been there
    assert max(s.all_files for s in settled) <= 1.2 * min(s.all_files for s in settled)
    assert max(s.live_files for s in settled) <= len(TABLES) + 1
    assert settled[-1].all_files < 500


def test_states_versions_and_rows_stay_and_a_second_upkeep_does_nothing(lake: Lake) -> None:
    for number in range(12):
        write_night(lake, number, NOW - timedelta(days=12 - number))
    before, live = _told(lake), versions_of(lake)
    done = {found.table: found for found in keep_up(lake, UpkeepConfig(), NOW)}
    assert done[APPENDED.table].is_compacted
    assert done[APPENDED.table].before.live_files == 36
    after = done[APPENDED.table].after
    assert after is not None
    assert after.live_files == 1
    assert done[PUBLISHED.table].vacuumed_files == 0  # younger than the days to keep
    assert versions_of(lake) != live
    assert _told(lake) == before
    assert _told(Lake(lake.uri)) == before
    live = versions_of(lake)
    assert all(found.is_tidy for found in keep_up(lake, UpkeepConfig(), NOW))
    assert versions_of(lake) == live
    # What is live already is not written again, and what was appended once is not appended again.
    assert not lake.publish(PUBLISHED, lake.read(PUBLISHED), {"inputs": "i11"}).is_changed
    assert not lake.append(APPENDED, [lake.read(APPENDED)], {}, once="3-1")
    assert versions_of(lake) == live


def test_a_dry_run_writes_nothing(lake: Lake) -> None:
    for number in range(12):
        write_night(lake, number, NOW - timedelta(days=12 - number))
    before = {contract.table: lake.stored(contract.table) for contract in TABLES}
    done = {found.table: found for found in keep_up(lake, SETTINGS, NOW, is_dry_run=True, keep_hours=0)}
    assert done[APPENDED.table].is_compacted
    assert done[APPENDED.table].after is None
    assert {contract.table: lake.stored(contract.table) for contract in TABLES} == before


def test_a_table_whose_live_version_is_pinned_is_not_rewritten(lake: Lake) -> None:
    for part in range(20):
        lake.append(REGISTER, [REGISTER.shape(pl.DataFrame({"run_id": [str(part)], "status": ["s"]}))], {})
    pins = json.dumps({REGISTER.table: lake.version(REGISTER.table)})
    lake.publish(MEMBERS, MEMBERS.shape(pl.DataFrame({"run_id": ["m"], "status": ["s"]})), {"pins": pins})
    done = {found.table: found for found in keep_up(lake, UpkeepConfig(keep_days=3), NOW, keep_hours=0)}
    assert not done[REGISTER.table].is_compacted
    assert lake.read(REGISTER, json.loads(pins)[REGISTER.table]).height == 20


def test_z_order_is_made_where_it_is_asked_for_and_once(lake: Lake) -> None:
    write_night(lake, 0, NOW)
    settings = UpkeepConfig(z_order={PUBLISHED.table: ("run_id",)})
    before = _told(lake)
    done = {found.table: found.is_compacted for found in keep_up(lake, settings, NOW)}
    assert done[PUBLISHED.table]
    assert sum(done.values()) == 1
    assert _told(lake) == before
    assert not any(found.is_compacted for found in keep_up(lake, settings, NOW))
    write_night(lake, 1, NOW)
    assert any(found.is_compacted for found in keep_up(lake, settings, NOW))


def test_a_table_of_an_older_lake_is_kept_as_a_new_one(lake: Lake) -> None:
    write_night(lake, 0, NOW)
    before = {"delta.checkpointInterval": "100", "delta.enableExpiredLogCleanup": "true"}
    tables = [DeltaTable(lake.table_uri(table)) for table in lake.tables()]
    for table in tables:
        table.alter.set_table_properties(before)
    states = {table: lake.state(table) for table in lake.tables()}
    keep_up(lake, UpkeepConfig(), NOW)
    for table in tables:
        table.update_incremental()
        now = table.metadata().configuration
        assert {name: now[name] for name in before} == LOG_PROPERTIES
    assert {table: lake.state(table) for table in lake.tables()} == states
    assert all(found.is_tidy for found in keep_up(lake, UpkeepConfig(), NOW))


def test_an_empty_lake(lake: Lake) -> None:
    assert keep_up(lake, UpkeepConfig(), NOW) == []


def test_a_version_that_is_gone_is_an_error_and_not_an_empty_table(lake: Lake) -> None:
    for number in range(12):
        write_night(lake, number, NOW)
    version = versions_of(lake)[APPENDED.table] - 20
    for path in (Path(lake.table_uri(APPENDED.table)) / "_delta_log").glob("*.json"):
        if int(path.stem) <= version:
            path.unlink()
    with pytest.raises(LakeError):
        Lake(lake.uri).read(APPENDED, version)

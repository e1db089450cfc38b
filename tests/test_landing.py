"""Landing: which file belongs to whom, and that no row is lost or landed twice."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.config import Config
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.landing import LandedSource, content_hash, discover, land_source, landing_contract
from crm_hygiene.night import Night
from crm_hygiene.summary import summarise

HEADER = "event_id,type,email,campaign,subject,occurred_at\n"
ROW = "{},open,a@example.com,c,s,2024-01-01T00:00:00Z\n"
SOURCE = "marketing_events"


@pytest.fixture
def night(tmp_path: Path) -> Night:
    night = Night.open(Config(base=tmp_path))
    night.started_at = datetime(2026, 1, 1, tzinfo=UTC)
    (tmp_path / "landing/marketing").mkdir(parents=True)
    return night


def _file(night: Night, name: str, text: str | None) -> Path:
    path = night.config.landing_folder / "marketing" / name
    if text is not None:
        path.write_text(text, encoding="utf-8")
    return path


def _land(night: Night, *paths: Path) -> LandedSource:
    night.started_at += timedelta(days=1)
    return land_source(night, night.mappings[SOURCE], list(paths))


def _rows(night: Night) -> list[str]:
    return sorted(night.lake.read(landing_contract(night.mappings[SOURCE]))["event_id"].to_list())


def test_a_file_lands_once_whatever_its_name(night: Night) -> None:
    first = _file(night, "events_1.csv", HEADER + ROW.format("a"))
    assert _land(night, first).row_count == 1
    version = night.lake.version(f"landing.{SOURCE}")
    assert _land(night, first).known == ["marketing/events_1.csv"]
    assert _land(night, first.rename(first.with_name("events_2.csv"))).known == ["marketing/events_2.csv"]
    assert night.lake.version(f"landing.{SOURCE}") == version
    assert _rows(night) == ["a"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (b"events_M\xfcller.csv", "events_M\\xfcller.csv"),  # Latin-1, as an old share names files
        ("events_Müller's [2026] #1 100%?.csv".encode(), "events_Müller's [2026] #1 100%?.csv"),
        (b"events_two\nlines.csv", "events_two\nlines.csv"),
    ],
)
def test_files_land_and_are_refused_under_any_name(night: Night, name: bytes, told: str) -> None:
    path = _file(night, os.fsdecode(name), HEADER)
    path.write_bytes(b"")
    assert list(_land(night, path).refused) == [f"marketing/{told}"]
    assert [f["file"] for f in summarise(night, True, {}, []).refused_files] == [f"marketing/{told}"]
    path.write_text(HEADER + ROW.format("a"), encoding="utf-8")
    assert discover(night.config, night.mappings).claimed[SOURCE] == [path]
    assert _land(night, path).landed == [f"marketing/{told}"]
    assert night.lake.read(landing_contract(night.mappings[SOURCE]))["_file"].to_list() == [
        f"marketing/{told}"
    ]
    assert summarise(night, True, {}, []).refused_files == []
    (path.parent.parent / "odd").mkdir()
    path.rename(path.parent.parent / "odd" / path.name)
    assert summarise(night, True, {}, []).unclaimed_files == [f"odd/{told}"]


def test_kill_between_rows_and_ledger_lands_nothing_twice(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Kill(BaseException):
        pass

    append = Lake.append

    def dies_at_ledger(lake: Lake, contract, *args, **options):  # type: ignore[no-untyped-def]
        if contract.table == "landing.files":
            raise Kill
        return append(lake, contract, *args, **options)

    path = _file(
        night, "events_1.csv", HEADER + ROW.format("a") + ROW.format("b") + "c,open,too,many,of,them,all\n"
    )
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "append", dies_at_ledger)
        with pytest.raises(Kill):
            _land(night, path)
    outcome = _land(night, path)
    assert (outcome.row_count, outcome.refused_rows) == (2, 1)
    assert _rows(night) == ["a", "b"]
    assert night.lake.read(contract_of("quality.quarantine")).height == 1


def test_refused_file_is_recorded_once_per_reason_and_tried_again(night: Night) -> None:
    path = _file(night, "events_1.csv", "")
    for _ in range(2):
        assert "empty" in _land(night, path).refused["marketing/events_1.csv"]
    ledger, quarantine = contract_of("landing.files"), contract_of("quality.quarantine")
    assert night.lake.read(ledger)["status"].to_list() == ["refused"]
    assert night.lake.read(quarantine).height == 1
    _file(night, "events_1.csv", "<html></html>")
    _land(night, path)
    assert night.lake.read(quarantine).height == 2
    _file(night, "events_1.csv", HEADER + ROW.format("a"))
    assert _land(night, path).landed == ["marketing/events_1.csv"]


def test_file_that_vanishes_stops_nobody(night: Night) -> None:
    gone = _file(night, "events_0.csv", None)
    good = _file(night, "events_1.csv", HEADER + ROW.format("a"))
    outcome = _land(night, gone, good)
    assert list(outcome.refused) == ["marketing/events_0.csv"]
    assert outcome.landed == ["marketing/events_1.csv"]
    assert content_hash(gone) == "unreadable"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission_stops_nobody(night: Night) -> None:
    path = _file(night, "events_1.csv", HEADER)
    path.chmod(0)
    assert _land(night, path).refused


def test_json_that_breaks_off_leaves_nothing(night: Night) -> None:
    path = _file(night, "events_1.json", '[{"event_id": "a", "type": "open"}, {"event_id": "b"')
    assert _land(night, path).refused
    assert _rows(night) == []


def test_every_row_is_landed_or_in_quarantine(night: Night) -> None:
    text = HEADER + ROW.format("a") + "short,open\n" + ROW.format("b") + "1,2,3,4,5,6,7,8\n" + ROW.format("c")
    outcome = _land(night, _file(night, "events_1.csv", text))
    assert outcome.row_count + outcome.refused_rows == 5
    quarantine = night.lake.read(contract_of("quality.quarantine"))
    assert quarantine.height == outcome.refused_rows == 2
    assert quarantine["reasons"].list.len().min() == 1
    landed = night.lake.read(landing_contract(night.mappings[SOURCE]))
    numbers = [*landed["_row_number"], *quarantine["row_number"]]
    assert sorted(numbers) == [1, 2, 3, 4, 5]


def test_discovery_claims_ignores_and_tells(night: Night) -> None:
    folder = night.config.landing_folder
    for name in (
        "marketing/events.csv",
        "marketing/.events.csv",
        "marketing/events.csv.part",
        "odd/thing.csv",
        "README.md",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    found = discover(night.config, night.mappings)
    assert found.claimed[SOURCE] == [folder / "marketing/events.csv"]
    assert found.unclaimed == [folder / "odd/thing.csv"]
    twins = {"one": night.mappings[SOURCE], "two": night.mappings[SOURCE]}
    assert discover(night.config, twins).contested == {folder / "marketing/events.csv": ["one", "two"]}


def test_no_landing_folder_claims_nothing(tmp_path: Path) -> None:
    night = Night.open(Config(base=tmp_path))
    assert not any(discover(night.config, night.mappings).claimed.values())


def test_landing_columns_are_distinct(night: Night) -> None:
    for mapping in night.mappings.values():
        names = landing_contract(mapping).column_names
        assert len(set(names)) == len(names), mapping.source
        assert pl.Series(names).str.contains(r"^[0-9A-Za-z_]+$").all()

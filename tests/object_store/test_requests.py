"""In a store every look is a request: a table stays open while nobody commits to it, and hides no commit."""

from __future__ import annotations

import pytest
from deltalake import write_deltalake

import crm_hygiene.lake_tables as lake_tables
from crm_hygiene.lake import Lake
from crm_hygiene.lake_tables import OPEN_TABLES

from .writer import RUNS, runs

TABLE = RUNS.table


def test_who_knows_of_other_writers_asks_and_opens_what_they_wrote(lake_uri: str, opened: list[str]) -> None:
    lake = Lake(lake_uri)
    lake.publish(RUNS, runs("a"), {})
    state = lake.state(TABLE)
    opened.clear()
    for _ in range(3):
        OPEN_TABLES.ask_again()
        assert lake.state(TABLE) == state
    assert opened == []
    # Another process, so to say: nothing in this one hears of it.
    write_deltalake(lake.table_uri(TABLE), runs("b").to_arrow(), mode="append")
    OPEN_TABLES.ask_again()
    assert lake.read(RUNS)["run_id"].to_list() == ["a", "b"]
    assert len(opened) == 1


def test_a_table_that_is_not_there_is_looked_for_once(
    lake_uri: str, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_tables, "FRESH_SECONDS", 3600.0)
    lake = Lake(lake_uri)
    for _ in range(5):
        assert not lake.exists(TABLE)
    assert len(opened) == 1
    OPEN_TABLES.ask_again()
    assert not lake.exists(TABLE)
    assert len(opened) == 2
    lake.publish(RUNS, runs("a"), {})
    assert lake.exists(TABLE)

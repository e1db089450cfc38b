"""In a store every look is a request: a table stays open while nobody commits to it, and hides no commit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake

import crm_hygiene.lake_tables as lake_tables
import crm_hygiene.writeback.delivery.suppressed_people as suppressed_people
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.lake_tables import OPEN_TABLES
from crm_hygiene.writeback.delivery.suppressed_people import SuppressedPeople

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


def test_who_must_know_sooner_says_how_old_an_answer_may_be(
    lake_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_tables, "FRESH_SECONDS", 3600.0)
    lake = Lake(lake_uri)
    assert lake.version(TABLE) is None
    other = Lake(lake_uri, {"timeout": "60s"})  # what is open is kept by options: as if in another process
    other.publish(RUNS, runs("a"), {})
    assert lake.version(TABLE) is None
    version = lake.version(TABLE, within=0)
    assert version is not None
    other.publish(RUNS, runs("b"), {})
    assert lake.version(TABLE) == version
    assert lake.version(TABLE, within=0) == version + 1


def test_who_has_just_opted_out_is_not_written_about(lake_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake_tables, "FRESH_SECONDS", 3600.0)
    monkeypatch.setattr(suppressed_people, "_WITHIN_SECONDS", 0.0)
    lake, other = Lake(lake_uri), Lake(lake_uri, {"timeout": "60s"})
    contacts = contract_of("golden.contacts")
    entry: Any = SimpleNamespace(
        is_opt_out=False,
        undoes=None,
        source="crm",
        entity_id="p-1",
        operation=SimpleNamespace(record_id="1", losers=()),
    )
    people = SuppressedPeople(lake)
    for is_suppressed in (False, True):
        row = {"entity_id": "p-1", "is_suppressed": is_suppressed, "email_consent": "unknown"}
        row |= {"phone_consent": "unknown", "record_count": 1, "source_count": 1}
        row |= {name: 1.0 for name in contacts.column_names if name.endswith("_score")}
        other.publish(contacts, contacts.shape(pl.DataFrame([row])), {})
        assert people.forbid(entry) == is_suppressed

"""Several processes write to one lake at once: none is lost, none doubled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from crm_hygiene.lake import Lake
from crm_hygiene.lake_tables import OPEN_TABLES

from .stores import KINDS, Store
from .writer import RUNS, runs

_WRITERS = 4
_OF_STORES = ("AWS_", "AZURE_", "AZURITE_", "GOOGLE_")


class Writer:
    """A process that does one task after another."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.object_store.writer"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the writer has ended"
        return line.rstrip("\n")

    def begin(self, uri: str, what: str, name: str, count: int) -> None:
        store = {name: value for name, value in os.environ.items() if name.startswith(_OF_STORES)}
        self.say(json.dumps([uri, what, name, count, store]))
        assert self.hear() == "ready"

    def rest(self) -> list[str]:
        """What it says until it is done."""
        return list(iter(self.hear, "done"))

    def close(self) -> None:
        self._process.communicate(timeout=120)


@pytest.fixture(scope="module")
def writers() -> Iterator[list[Writer]]:
    found = [Writer() for _ in range(_WRITERS)]
    yield found
    for writer in found:
        writer.close()


@pytest.fixture(params=["folder", *(pytest.param(name, marks=pytest.mark.long) for name in KINDS)])
def uri(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lake in a folder, and one in a new bucket of each store."""
    if request.param == "folder":
        return str(tmp_path / "lake")
    store: Store = request.getfixturevalue(f"{request.param}_store")
    return store.opened(monkeypatch).lake()


def _at_once(writers: list[Writer], uri: str, what: str, count: int) -> list[str]:
    """What several writers said; they begin when all of them are there."""
    for number, writer in enumerate(writers):
        writer.begin(uri, what, f"w{number}", count)
    for writer in writers:
        writer.say("go")
    said = [line for writer in writers for line in writer.rest()]
    # What this process saw of a store a moment ago would serve a second longer than four writers may take.
    OPEN_TABLES.ask_again()
    return said


def test_appends(uri: str, writers: list[Writer]) -> None:
    Lake(uri).publish(RUNS, runs("first"), {"run_id": "r"})
    _at_once(writers, uri, "append", 5)
    expected = sorted(["first", *(f"w{n}-{i}" for n in range(_WRITERS) for i in range(5))])
    assert Lake(uri).read(RUNS)["run_id"].to_list() == expected


def test_appends_to_a_table_that_all_of_them_make(uri: str, writers: list[Writer]) -> None:
    expected = sorted(f"w{n}-{i}" for n in range(_WRITERS) for i in range(2))
    for number in range(4):
        lake = Lake(f"{uri}/{number}")
        _at_once(writers, lake.uri, "append", 2)
        assert lake.read(RUNS)["run_id"].to_list() == expected
        made = DeltaTable(lake.table_uri(RUNS.table), storage_options=lake.storage_options or None)
        assert [commit["operation"] for commit in made.history()].count("CREATE TABLE") == 1


def test_the_same_append_by_all_of_them_is_one(uri: str, writers: list[Writer]) -> None:
    Lake(uri).publish(RUNS, runs("first"), {"run_id": "r"})
    said = _at_once(writers, uri, "append_same", 3)
    assert said.count("added True") == 3
    assert Lake(uri).read(RUNS)["run_id"].to_list() == ["first", "same-0", "same-1", "same-2"]


def test_publications_follow_each_other_whole(uri: str, writers: list[Writer]) -> None:
    lake = Lake(uri)
    lake.publish(RUNS, runs("first"), {"run_id": "r"})
    _at_once(writers, uri, "publish", 3)
    found = lake.read(RUNS)["run_id"].to_list()
    assert len(found) == 2  # one publication, not two on top of each other
    assert found[1] == f"{found[0]}+"
    states = [v.state for v in lake.versions(RUNS.table)]
    assert len(states) == len(set(states)) == 1 + _WRITERS * 3  # and each was live once
    for version in lake.versions(RUNS.table):
        assert lake.read(RUNS, version.version).height in (1, 2)


def test_each_replaces_its_own_rows(uri: str, writers: list[Writer]) -> None:
    lake = Lake(uri)
    lake.publish(
        RUNS, pl.concat([runs("first"), *(runs("old", status=f"w{n}") for n in range(_WRITERS))]), {}
    )
    _at_once(writers, uri, "replace", 3)
    assert lake.read(RUNS)["run_id"].to_list() == sorted(["first", *(f"w{n}-2" for n in range(_WRITERS))])


def test_one_night_at_a_time(uri: str, writers: list[Writer]) -> None:
    one, two, *_ = writers
    one.begin(uri, "night", "one", 1)
    one.say("go")
    assert one.hear() == "held"
    two.begin(uri, "night", "two", 1)
    two.say("go")
    (refused,) = two.rest()
    assert refused.startswith("refused")
    assert f"process {one.pid} on " in refused
    one.say("end")
    assert one.rest() == []
    two.begin(uri, "night", "three", 1)
    two.say("go")
    two.say("end")
    assert two.rest() == ["held"]


def test_nights_that_begin_at_once(uri: str, writers: list[Writer]) -> None:
    Lake(uri).publish(RUNS, runs("first"), {})
    for number, writer in enumerate(writers):
        writer.begin(uri, "night", f"w{number}", 1)
    for writer in writers:
        writer.say("go")
    # Who holds it waits for another line; the others are refused while it waits.
    said = [writer.hear() for writer in writers]
    assert said.count("held") == 1
    assert sum(line.startswith("refused") for line in said) == _WRITERS - 1
    writers[said.index("held")].say("end")
    assert all(writer.rest() == [] for writer in writers)

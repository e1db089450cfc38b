"""Several processes write to one lake at once: none is lost, none doubled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.lake import Lake

from .writer import RUNS, runs

_WRITERS = 4


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.long)])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "lake") if request.param == "folder" else request.getfixturevalue("lake_uri")


def _start(uri: str, what: str, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.object_store.writer", uri, what, name, str(count)]
    return subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _at_once(uri: str, what: str, count: int) -> list[str]:
    """What each of several writers printed; they begin when all of them are there."""
    writers = [_start(uri, what, f"w{n}", count) for n in range(_WRITERS)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    said = []
    for writer in writers:
        out, err = writer.communicate(timeout=120)
        assert writer.returncode == 0, err
        said.append(out)
    return said


def test_appends(uri: str) -> None:
    Lake(uri).publish(RUNS, runs("first"), {"run_id": "r"})
    _at_once(uri, "append", 5)
    expected = sorted(["first", *(f"w{n}-{i}" for n in range(_WRITERS) for i in range(5))])
    assert Lake(uri).read(RUNS)["run_id"].to_list() == expected


def test_appends_to_a_table_that_all_of_them_make(uri: str) -> None:
    _at_once(uri, "append", 2)
    expected = sorted(f"w{n}-{i}" for n in range(_WRITERS) for i in range(2))
    assert Lake(uri).read(RUNS)["run_id"].to_list() == expected


def test_the_same_append_by_all_of_them_is_one(uri: str) -> None:
    Lake(uri).publish(RUNS, runs("first"), {"run_id": "r"})
    said = _at_once(uri, "append_same", 3)
    assert "".join(said).count("added True") == 3
    assert Lake(uri).read(RUNS)["run_id"].to_list() == ["first", "same-0", "same-1", "same-2"]


def test_publications_follow_each_other_whole(uri: str) -> None:
    lake = Lake(uri)
    lake.publish(RUNS, runs("first"), {"run_id": "r"})
    _at_once(uri, "publish", 3)
    found = lake.read(RUNS)["run_id"].to_list()
    assert len(found) == 2  # one publication, not two on top of each other
    assert found[1] == f"{found[0]}+"
    states = [v.state for v in lake.versions(RUNS.table)]
    assert len(states) == len(set(states)) == 1 + _WRITERS * 3  # and each was live once
    for version in lake.versions(RUNS.table):
        assert lake.read(RUNS, version.version).height in (1, 2)


def test_each_replaces_its_own_rows(uri: str) -> None:
    lake = Lake(uri)
    lake.publish(
        RUNS, pl.concat([runs("first"), *(runs("old", status=f"w{n}") for n in range(_WRITERS))]), {}
    )
    _at_once(uri, "replace", 3)
    assert lake.read(RUNS)["run_id"].to_list() == sorted(["first", *(f"w{n}-2" for n in range(_WRITERS))])


def test_one_night_at_a_time(uri: str) -> None:
    first = _start(uri, "night", "one", 1)
    assert first.stdin is not None
    assert first.stdout is not None
    first.stdin.write("go\n")
    first.stdin.flush()
    assert [first.stdout.readline(), first.stdout.readline()] == ["ready\n", "held\n"]
    out, _ = _start(uri, "night", "two", 1).communicate("go\n", timeout=120)
    assert "refused" in out
    assert f"process {first.pid} on " in out
    first.communicate("end\n", timeout=120)
    out, _ = _start(uri, "night", "three", 1).communicate("go\n\n", timeout=120)
    assert "held" in out


def test_nights_that_begin_at_once(uri: str) -> None:
    Lake(uri).publish(RUNS, runs("first"), {})
    writers = [_start(uri, "night", f"w{n}", 1) for n in range(_WRITERS)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    # Who holds it waits for another line; the others are refused while they wait.
    refused = 0
    pending = list(writers)
    first_lines = {}
    for writer in pending:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        first_lines[writer.pid] = writer.stdout.readline()
    refused = sum("refused" in line for line in first_lines.values())
    held = sum(line == "held\n" for line in first_lines.values())
    assert (held, refused) == (1, _WRITERS - 1)
    for writer in writers:
        writer.communicate("\n", timeout=120)

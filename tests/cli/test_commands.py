"""The front door without a lake: exit codes, messages, JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

Door = Callable[..., tuple[int, str, str]]


@pytest.fixture
def door(tmp_path: Path, front_door: Door, monkeypatch: pytest.MonkeyPatch) -> Door:
    """Calls `crm-hygiene` in an empty folder."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return partial(front_door, folder=tmp_path)


@pytest.mark.parametrize("command", [["run"], ["status"], ["query", "select 1"], ["doctor"]])
def test_unknown_key_is_exit_code_two_and_names_the_nearest(
    door: Door, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "hygiene.yaml").write_text("landin: {}\n")
    code, out, err = door(*command)
    assert code == 2
    assert "'landin'" in out + err
    assert "'landing'" in out + err
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("command", [["run"], ["status"], ["query", "select 1"], ["doctor"]])
def test_unknown_configuration_file_is_exit_code_two(door: Door, command: list[str]) -> None:
    code, out, err = door(*command, "--config", "gone.yaml")
    assert code == 2
    assert "gone.yaml" in out + err


def test_help_names_every_command_and_each_tells_of_itself(door: Door) -> None:
    _, out, _ = door("--help")
    names = [line.split()[1] for line in out.splitlines() if line.startswith("│ ") and line[2].isalpha()]
    assert {"run", "review", "writeback"} <= set(names)
    assert len(names) == 13
    for name in names:
        code, out, _ = door(name, "--help")
        assert code == 0
        assert f"crm-hygiene {name} " in out


def test_a_command_that_is_none_is_exit_code_two_and_names_the_nearest(door: Door) -> None:
    code, _, err = door("statu")
    assert code == 2
    assert "'status'" in err


def test_wrong_schedule_is_exit_code_two(door: Door, tmp_path: Path) -> None:
    (tmp_path / "hygiene.yaml").write_text("schedule: {cron: whenever}\n")
    code, _, err = door("run", "--quiet")
    assert code == 2
    assert "whenever" in err


def test_dagster_home_that_is_not_there_is_exit_code_two(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "gone"))
    code, _, err = door("run", "--quiet")
    assert code == 2
    assert "DAGSTER_HOME" in err


def test_query_and_status_before_the_first_night(door: Door, tmp_path: Path) -> None:
    code, _, err = door("query", "select 1")
    assert code == 2
    assert "crm-hygiene run" in err
    code, out, _ = door("status")
    assert code == 0
    assert "No night has run" in out
    assert json.loads(door("status", "--json")[1])["runs"] == []
    assert not (tmp_path / "lake").exists()


def test_doctor_tells_and_changes_nothing(door: Door, tmp_path: Path) -> None:
    code, out, _ = door("doctor")
    assert code == 0
    assert "does not exist yet" in out
    findings = json.loads(door("doctor", "--json")[1])
    assert {"state", "subject", "text"} == set(findings[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("section", ["schedule", "upkeep"])
def test_doctor_tells_of_a_schedule_that_is_none(door: Door, tmp_path: Path, section: str) -> None:
    (tmp_path / "hygiene.yaml").write_text(f"{section}: {{cron: every night}}\n")
    assert door("doctor")[0] == 2
    (wrong,) = (f for f in json.loads(door("doctor", "--json")[1]) if f["state"] == "error")
    assert wrong["subject"] == "orchestrator"
    assert wrong["text"].startswith(f"{section}: ")
    assert "every night" in wrong["text"]


def test_sample_goes_where_the_night_looks(door: Door, tmp_path: Path) -> None:
    code, out, _ = door("sample", "--people", "3", "--json")
    assert code == 0
    assert all(isinstance(count, int) for count in json.loads(out).values())
    assert (tmp_path / "landing/salesforce/Contact.csv").is_file()
    assert (tmp_path / "truth/people.csv").is_file()
    findings = json.loads(door("doctor", "--json")[1])
    assert not [f for f in findings if f["subject"] == "landing folder" and f["state"] != "ok"]


@pytest.mark.parametrize(
    "command", [["sample", "--people", "0"], ["sample", "--seed", "-1"], ["nonsense"], ["query"]]
)
def test_wrong_usage_is_exit_code_two(door: Door, command: list[str]) -> None:
    assert door(*command)[0] == 2


@pytest.mark.parametrize("command", [["run"], ["doctor"], ["review", "cash", "list"]])
def test_wrong_rules_of_cash_are_refused_before_anything_runs(
    door: Door, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "hygiene.yaml").write_text("rules: {cash: cash.yaml}\n")
    (tmp_path / "cash.yaml").write_text("marign: 3\n")
    code, out, err = door(*command)
    assert code == 2
    assert "cash.yaml" in out + err
    assert "marign" in out + err
    assert not (tmp_path / "lake").exists()


def test_columns_tells_what_a_mapping_may_fill(door: Door) -> None:
    tables = json.loads(door("columns", "--json")[1])
    assert {"people", "interactions", "payments"} <= {table["table"] for table in tables}
    told = {c["column"]: c for c in json.loads(door("columns", "people", "--json")[1])}
    assert [name for name, c in told.items() if c["is_needed"]] == ["record_id", "person_kind"]
    assert told["person_kind"]["values"] == ["lead", "contact", "subscriber", "inquiry"]
    assert not {"landed_at", "email_normalised"} & set(told)
    assert "person_kind *" in door("columns", "conformed.people")[1]
    code, _, said = door("columns", "peple")
    assert (code, "did you mean 'people'?" in said) == (2, True)


def test_doctor_names_every_mistake_of_every_mapping_on_a_line_of_its_own(door: Door, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.yaml").write_text(
            f"source: {name}\nsystem: s\nobject: O\nfiles: [x]\n"
            "tables:\n  users:\n    record_id: a\n    nam: b\n"
        )
    (tmp_path / "hygiene.yaml").write_text("sources: {folders: [mine]}\n")
    code, out, _ = door("doctor")
    assert code == 2
    wrong = [line for line in out.splitlines() if line.startswith("FAIL")]
    assert [re.findall(r"(\w+\.yaml:\d+)", line) for line in wrong] == [["one.yaml:8"], ["two.yaml:8"]]

"""A night that stops: a gate, a full disk, another night. What is live stays, and the door says why."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import crm_hygiene.lake as lake_module
from assets import retries
from crm_hygiene.lake import Lake
from crm_hygiene.night import BUILT_IN_SOURCES
from crm_hygiene.night_lock import night_lock

from .project import Project

Door = Callable[..., tuple[int, str, str]]


@pytest.fixture
def door(front_door: Door, monkeypatch: pytest.MonkeyPatch) -> Door:
    """Calls `crm-hygiene`; a step that fails is not tried again."""
    monkeypatch.setattr(retries, "MOST_RETRIES", 0)
    return front_door


def test_critical_check_stops_the_night_and_keeps_what_is_live(project: Project, door: Door) -> None:
    own = project.folder / "own"
    own.mkdir()
    text = (BUILT_IN_SOURCES / "hubspot_contacts.yaml").read_text(encoding="utf-8")
    broken = text.replace("person_kind: {constant: contact}", "person_kind: Email")
    assert broken != text
    (own / "hubspot_contacts.yaml").write_text("override: true\n" + broken, encoding="utf-8")
    project.configure("sources: {folders: [own]}\n")
    config = ("--config", str(project.config_path))
    behind = ("linked.person_members", "golden.contacts", "signals.lead_scores", "writeback.changes")
    before = project.versions()

    code, out, err = door("run", *config, "--json")

    assert code == 1, err
    assert "Traceback" not in out + err
    summary = json.loads(out)
    assert not summary["is_success"]
    assert "conformed.people" in summary["failures"]["conform_people"]
    after = project.versions()
    assert {t: after[t] for t in ("conformed.people", *behind)} == {
        t: before[t] for t in ("conformed.people", *behind)
    }
    found = project.read("quality.gate_results").filter(
        (pl.col("table_name") == "conformed.people")
        & ~pl.col("is_passed")
        & (pl.col("severity") == "critical")
    )
    assert found["column_name"].to_list() == ["person_kind"]
    assert found["examples"][0].len() > 0
    run = project.read("audit.runs").sort("started_at").row(-1, named=True)
    assert run["status"] == "stopped"
    assert "person_kind" in run["reason"]

    code, out, _ = door("status", *config, "--json")
    assert code == 0
    status = json.loads(out)
    assert status["runs"][0]["status"] == "stopped"
    assert any(c["table_name"] == "conformed.people" for c in status["failed_checks"])
    code, out, _ = door("query", "select status from audit.runs order by started_at", *config, "--json")
    assert [row["status"] for row in json.loads(out)] == ["succeeded", "stopped"]


@pytest.mark.long
def test_full_disk_is_one_message_and_exit_code_one(
    project: Project, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.landing / "marketing/events_new.csv").write_text(
        "event_id,type,email,campaign,subject,occurred_at\nnew,open,a@example.com,c,s,2024-01-01T00:00:00Z\n"
    )
    before = project.versions()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(lake_module, "write_deltalake", full)
        code, out, err = door("run", "--config", str(project.config_path))
    assert code == 1
    assert "No space left on device" in out
    assert "Traceback" not in out + err
    assert project.versions() == before
    code, out, err = door("run", "--config", str(project.config_path))
    assert code == 0, out + err
    assert "new" in project.read("conformed.interactions")["record_id"]


def test_second_night_at_once_is_told_to_wait(project: Project, door: Door) -> None:
    before = project.versions()
    with night_lock(str(project.folder / "lake")):
        code, out, err = door("run", "--config", str(project.config_path))
    assert code == 1
    assert "another night is running" in err
    assert "process" in err
    assert "Traceback" not in out + err
    assert project.versions() == before


def test_lock_ends_with_its_holder(tmp_path: Path) -> None:
    for _ in range(2):
        with night_lock(str(tmp_path / "lake")):
            pass
    assert Lake(str(tmp_path / "lake")).tables() == []


@pytest.mark.long
def test_source_of_ones_own_needs_no_code(project: Project, door: Door) -> None:
    (project.folder / "own").mkdir()
    (project.folder / "own/fair.yaml").write_text(
        "source: fair_visitors\nsystem: fair\nobject: visitor\nfiles: ['fair/*.csv']\n"
        "taught: A list from a trade fair.\ntables:\n  people:\n    record_id: badge\n"
        "    person_kind: {constant: lead}\n    full_name: name\n    email: mail\n    organisation_name: "
        "company\n",
        encoding="utf-8",
    )
    project.configure("sources: {folders: [own]}\n")
    (project.landing / "fair").mkdir()
    (project.landing / "fair/visitors.csv").write_text(
        "badge,name,mail,company\n 7 ,Zelda Quirk,zelda@quirk-works.example,Quirk Works\n"
        "7,Zelda Quirk,zelda@quirk-works.example,Quirk Works Ltd\n"
    )
    code, out, err = door("run", "--config", str(project.config_path), "--json")
    assert code == 0, out + err
    assert {"source": "fair_visitors", "files": 1, "row_count": 2, "refused_count": 0} in json.loads(out)[
        "landed"
    ]
    golden = project.read("golden.contacts").filter(pl.col("email") == "zelda@quirk-works.example")
    assert golden.height == 1
    # Blanks around an id do not make it another record.
    mine = project.read("conformed.people").filter(pl.col("source") == "fair_visitors")
    assert mine["record_id"].to_list() == ["7"]
    code, out, _ = door("doctor", "--config", str(project.config_path), "--json")
    assert code == 0
    assert any("fair_visitors" in f["text"] for f in json.loads(out))
    code, out, err = door("query", "select email from golden.contacs", "--config", str(project.config_path))
    assert code == 2
    assert "contacts" in err
    code, out, _ = door(
        "query",
        "select interval 1 day i, 'a'::blob b, 'nan'::double n, now() t, 2 n",
        "--config",
        str(project.config_path),
        "--json",
    )
    assert code == 0
    assert json.loads(out)[0]["n"] is None
    assert json.loads(out)[0]["n_5"] == 2

"""Where events go: one file per run, an endpoint that may be dead, and a night that never minds."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from crm_hygiene.config import Config, LakeConfig, LineageConfig
from crm_hygiene.lineage import transport
from crm_hygiene.lineage.transport import events_path, send


def config(base: Path, **lineage: Any) -> Config:
    return Config(base=base, lineage=LineageConfig(**lineage))


def test_a_run_writes_one_file_with_an_event_per_line(tmp_path: Path) -> None:
    here = config(tmp_path)
    assert send(here, "r1", [{"a": 1}, {"b": "ü"}]) == []
    assert send(here, "r1", [{"c": 3}]) == []
    lines = events_path(here, "r1").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"a": 1}, {"b": "ü"}, {"c": 3}]
    assert events_path(here, "r1").parent == tmp_path / "lake" / "openlineage"


def test_for_an_object_store_the_file_is_beside_hygiene_yaml(tmp_path: Path) -> None:
    here = Config(base=tmp_path, lake=LakeConfig(uri="s3://bucket/lake"))
    assert events_path(here, "r1").parent == tmp_path / "openlineage"


def test_old_files_go(tmp_path: Path) -> None:
    here = config(tmp_path, keep_files=2)
    for number in range(4):
        send(here, f"r{number}", [{}])
        os.utime(events_path(here, f"r{number}"), (number, number))
    assert sorted(p.name for p in events_path(here, "r3").parent.iterdir()) == ["r2.jsonl", "r3.jsonl"]


def test_nothing_is_written_where_nothing_is_asked_for(tmp_path: Path) -> None:
    here = config(tmp_path, file=False)
    assert send(here, "r1", [{}]) == []
    assert list(tmp_path.iterdir()) == []


def test_events_are_posted_and_a_dead_endpoint_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_gave_up", set())
    posted: list[Any] = []

    def refuse(request: urllib.request.Request, timeout: float) -> Any:
        posted.append((request.full_url, request.data, request.get_method(), timeout))
        raise urllib.error.URLError("connection refused")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    here = config(tmp_path, http_url="http://lineage.example/api/v1/lineage", timeout_seconds=2)
    problems = send(here, "r1", [{"a": 1}, {"b": 2}])
    assert len(problems) == 1
    assert "connection refused" in problems[0]
    assert send(here, "r1", [{"c": 3}]) == []
    assert posted == [("http://lineage.example/api/v1/lineage", b'{"a": 1}', "POST", 2)]
    assert len(events_path(here, "r1").read_text().splitlines()) == 3
    send(here, "r2", [{}])
    assert len(posted) == 2


def test_a_folder_that_cannot_be_written_is_said_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "openlineage").write_text("in the way")
    assert "not written" in send(config(tmp_path), "r1", [{}])[0]

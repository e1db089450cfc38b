"""The imports of a night begin before all else, where the night has something to do and a core for them."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from assets import beginning
from assets.beginning import begin
from crm_hygiene.config import Config, load_config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "hygiene.yaml").write_text("{}")
    found = load_config(tmp_path / "hygiene.yaml")
    found.landing_folder.mkdir()
    return found


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked to be imported."""
    found: list[str] = []
    monkeypatch.setattr(beginning, "import_now", found.append)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    return found


def _export(config: Config, at: float) -> None:
    path = config.landing_folder / "crm" / "Contact.csv"
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.utime(path, (at, at))


def _catalog(config: Config, at: float) -> None:
    config.catalog_path.parent.mkdir(parents=True, exist_ok=True)
    config.catalog_path.touch()
    os.utime(config.catalog_path, (at, at))


def test_the_command_line_finds_it() -> None:
    (found,) = entry_points(group="crm_hygiene.orchestrator_beginnings")
    assert found.value == "assets.beginning:begin"


def test_a_first_night_and_one_with_new_exports_import(config: Config, imported: list[str]) -> None:
    _export(config, at=1000)
    begin(config)
    assert imported == ["assets.imported_once"]
    _catalog(config, at=500)
    begin(config)
    assert len(imported) == 2


def test_a_night_with_nothing_new_or_one_core_does_not(
    config: Config, imported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(config)  # no exports at all
    _export(config, at=1000)
    _catalog(config, at=2000)
    begin(config)
    _export(config, at=3000)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    begin(config)
    assert imported == []

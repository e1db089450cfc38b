"""A project in a temporary folder: sample exports, hygiene.yaml, and nights run in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .project import Project

# As people name folders: addresses, SQL and patterns have to be told which of this is meant.
ODD_NAME = "Jörg's data, {all} & *more* (100 %)"

MadeOnce = Callable[[str, Callable[[Path], Any]], Any]


@pytest.fixture(autouse=True)
def _no_dagster_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every instance is ephemeral: nothing is written beside the project."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


@pytest.fixture(scope="session")
def undisturbed(made_once: MadeOnce) -> Project:
    """One night over the sample; tests copy it and leave it as it is."""

    def first_night(folder: Path) -> Project:
        project = Project.of_sample(folder / ODD_NAME, people=40)
        outcome = project.night()
        assert outcome.is_success, outcome.failures
        return project

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        found: Project = made_once("undisturbed", first_night)
        return found


@pytest.fixture
def project(undisturbed: Project, tmp_path: Path) -> Project:
    """A copy of the project after its first night."""
    return undisturbed.copy(tmp_path / ODD_NAME)

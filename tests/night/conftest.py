"""A project in a temporary folder: sample exports, hygiene.yaml, and nights run in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from .project import Project


@pytest.fixture(autouse=True)
def _no_dagster_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every instance is ephemeral: nothing is written beside the project."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One night over the sample; tests copy it and leave it as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        project = Project.of_sample(tmp_path_factory.mktemp("undisturbed"), people=40)
        outcome = project.night()
        assert outcome.is_success, outcome.failures
        return project


@pytest.fixture
def project(undisturbed: Project, tmp_path: Path) -> Project:
    """A copy of the project after its first night."""
    return undisturbed.copy(tmp_path / "project")

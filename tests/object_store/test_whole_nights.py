"""A night on a lake in each of the stores is the night of a folder, and another machine reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from crm_hygiene.lake import Lake
from crm_hygiene.lake_copies import fetch_catalog
from tests.night.project import Project

pytestmark = pytest.mark.long

_PEOPLE = 60
_IN_THE_CATALOG = "select count(*), sum(hash(contacts.entity_id)) from golden.contacts"

# Every run adds to these or names itself in them; each lake has a salt of its own.
_OF_ONE_LAKE = ("audit.", "quality.", "landing.files", "privacy.salts", "privacy.suppressions")


def _night(project: Project) -> dict[str, str]:
    """The state of every table after a night."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.object_store.night", str(project.folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def _of_rows(states: dict[str, str]) -> dict[str, str]:
    return {table: state for table, state in states.items() if not table.startswith(_OF_ONE_LAKE)}


def _asked_of_the_catalog(project: Project) -> list[tuple[int, int]]:
    with duckdb.connect(str(project.config.catalog_path), read_only=True) as catalog:
        return catalog.execute(_IN_THE_CATALOG).fetchall()


@pytest.fixture(scope="module")
def in_a_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, str]]:
    project = Project.of_sample(tmp_path_factory.mktemp("folder"), _PEOPLE)
    return project, _night(project)


def test_a_night_on_a_store(
    lake_uri: str, in_a_folder: tuple[Project, dict[str, str]], tmp_path: Path
) -> None:
    exports, expected = in_a_folder
    project, elsewhere = exports.exports(tmp_path / "here"), exports.exports(tmp_path / "elsewhere")
    for one in (project, elsewhere):
        one.configure(f"lake:\n  uri: {lake_uri}\n  local_folder: files\n")
    assert len(expected) > 80
    assert _of_rows(_night(project)) == _of_rows(expected)
    assert fetch_catalog(elsewhere.config, Lake(lake_uri))
    assert _asked_of_the_catalog(elsewhere) == _asked_of_the_catalog(exports)
    assert not list(project.folder.rglob("*.parquet"))

"""A night pays for what it uses: one that finds nothing new imports no gate engine and no linkage engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .project import Project

NOT_NEEDED = ("great_expectations", "splink", "sqlglot", "altair", "scipy", "ortools", "pyspark")

_NIGHT = """
import sys
from pathlib import Path
from assets.night import run_night

outcome = run_night(Path(sys.argv[1]), lambda step, text: None)
print(outcome.is_success, *sorted({name.split(".")[0] for name in sys.modules}))
"""


def _modules_of_a_night(project: Project) -> set[str]:
    told = subprocess.run(
        [sys.executable, "-c", _NIGHT, str(project.config_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=project.folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ).stdout
    is_success, *modules = told.strip().split("\n")[-1].split()
    assert is_success == "True"
    return set(modules)


def test_a_night_with_nothing_new_imports_no_engine(project: Project) -> None:
    before = project.versions()
    assert not set(NOT_NEEDED) & _modules_of_a_night(project)
    assert project.versions() == before


@pytest.mark.long
def test_gates_of_a_small_night_are_imported_in_a_process_beside_it(
    undisturbed: Project, tmp_path: Path
) -> None:
    project = undisturbed.exports(tmp_path)
    assert not {"great_expectations", "altair"} & _modules_of_a_night(project)
    assert project.read("quality.gate_results").height > 100

"""A night whose steps are done in processes of their own makes the same tables, and ends with them."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from assets import apart, beginning
from assets.early import BegunWork
from assets.night import run_night
from crm_hygiene.beside import Beside

from .project import OUTCOME, Project

BESIDE_ROWS = ("quality.gate_results", "quality.quarantine", "quality.metrics", "linked.models")


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Beside]:
    """Every step is large; the processes that a night begins."""
    found: list[Beside] = []

    class Watched(Beside):
        def __init__(self, **environment: str) -> None:
            super().__init__(**environment)
            found.append(self)

    monkeypatch.setattr(apart, "LARGE_BYTES", 1)
    monkeypatch.setattr(beginning, "MOST_LANDED_BYTES", 0)  # nor is the night small
    monkeypatch.setattr(apart, "Beside", Watched)
    return found


def _are_gone(processes: list[Beside]) -> bool:
    return all(process._process.exitcode is not None for process in processes)


@pytest.mark.long
def test_steps_apart_make_the_same_tables(
    undisturbed: Project, tmp_path: Path, begun: list[Beside], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "_KEPT_BYTES", 500_000_000)
    ahead = []

    class Counted(BegunWork):
        def __init__(self, *given: Any) -> None:
            ahead.append(given)
            super().__init__(*given)

    monkeypatch.setattr(apart, "BegunWork", Counted)
    project = undisturbed.exports(tmp_path)
    outcome = project.night()
    assert outcome.is_success, outcome.failures
    assert len(ahead) > 5
    without = ("run_id", "rules")
    found, expected = (p.contents(OUTCOME + BESIDE_ROWS, without) for p in (project, undisturbed))
    assert found == expected
    assert 2 <= len(begun) < 30
    assert _are_gone(begun)
    count = len(begun)
    again = project.night(day=1)
    assert again.is_success, again.failures
    # Of a night with nothing new the figures and the catalog may be large, no step is.
    assert len(begun) <= count + 2


@pytest.mark.long
def test_a_night_interrupted_in_such_a_step_ends_it(
    undisturbed: Project, tmp_path: Path, begun: list[Beside]
) -> None:
    project = undisturbed.exports(tmp_path)

    def press(step: str, text: str) -> None:
        if step == "link" and not text:
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        run_night(project.config_path, press)
    assert _are_gone(begun)
    assert project.lake.version("golden.contacts") is None

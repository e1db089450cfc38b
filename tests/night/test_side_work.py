"""What is done in processes beside a night changes nothing in its tables, and neither does their death."""

from __future__ import annotations

import logging
import os
import pickle
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from assets import beginning, charts, golden, publication, side_work, staging
from assets.errands import Errands
from crm_hygiene.beside import Beside
from crm_hygiene.golden import revise
from crm_hygiene.lake import Lake
from crm_hygiene.night import Night, mappings_of

from .project import OUTCOME, Project, export_again

GATES = ("quality.gate_results", "quality.quarantine", "quality.metrics", "linked.models", "linked.questions")


@pytest.fixture
def fresh(undisturbed: Project, tmp_path: Path) -> Project:
    """The exports of the undisturbed night, which ran in one process."""
    return undisturbed.exports(tmp_path)


class _Patient(Errands):
    """A step waits for its errand, begun or not, so that how busy the machine is decides nothing."""

    def take(self, name: str) -> Any:
        wait([self._begun[name]] if name in self._begun else [])
        return super().take(name)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Side work is on; step -> whether what it needs was done ahead of it."""
    monkeypatch.setattr(side_work, "Errands", _Patient)
    found: dict[str, bool] = {}
    for module in (publication, charts):

        def watched(name: str, done_ahead: Any = module.done_ahead) -> Any:
            answer = done_ahead(name)
            found[name] = answer is not None
            return answer

        monkeypatch.setattr(module, "done_ahead", watched)
    monkeypatch.setattr(beginning, "MOST_LANDED_BYTES", 32_000_000)
    return found


def _make_newer(project: Project) -> None:
    """An export is newer than the catalog."""
    catalog = project.config.catalog_path.stat().st_mtime
    file = next(path for path in project.landing.rglob("*") if path.is_file())
    os.utime(file, (catalog + 1, catalog + 1))


def _is_like(project: Project, other: Project) -> None:
    without = ("run_id", "rules")
    assert project.contents(OUTCOME + GATES, without) == other.contents(OUTCOME + GATES, without)


@pytest.mark.long
def test_side_work_makes_the_same_tables(fresh: Project, undisturbed: Project, done: dict[str, bool]) -> None:
    outcome = fresh.night()
    assert outcome.is_success, outcome.failures
    _is_like(fresh, undisturbed)
    ahead = {step for step, was_done in done.items() if was_done}
    assert {"link", "golden"} <= ahead
    assert ahead == {*staging.steps_ahead(mappings_of(fresh.config)), "charts__linkage"}.intersection(done)


class _InThread:
    """What `Beside` does, in a thread of this process, in which what a test patches is patched."""

    def __init__(self, niceness: int) -> None:
        self._thread = ThreadPoolExecutor(1)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._thread.submit(self._handed, function, arguments)

    def call_then(
        self, after: Callable[[Any], Any], function: Callable[..., Any], *arguments: Any
    ) -> Future[Any]:
        return self._thread.submit(lambda: after(self._handed(function, arguments)))

    def _handed(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        asked, given = pickle.loads(pickle.dumps((function, arguments)))
        return pickle.loads(pickle.dumps(asked(*given)))

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)


@pytest.mark.long
def test_a_night_of_changes_is_the_same_with_side_work(
    undisturbed: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: dict[str, bool]
) -> None:
    monkeypatch.setattr(side_work, "Beside", _InThread)
    monkeypatch.setattr(revise, "_are_most", lambda *_: False)  # of forty people four are many
    revised = mock.Mock(side_effect=golden._revised)
    monkeypatch.setattr(golden, "_revised", revised)
    alone, beside = (undisturbed.copy(tmp_path / name) for name in ("alone", "beside"))
    for project, most in ((alone, 0), (beside, 32_000_000)):
        monkeypatch.setattr(beginning, "MOST_LANDED_BYTES", most)
        export_again(project, day=1)
        done.clear()
        outcome = project.night(day=1)
        assert outcome.is_success, outcome.failures
        ahead = {step for step, was_done in done.items() if was_done}
        assert ahead >= {"link", "golden"} if most else not ahead
    _is_like(beside, alone)
    assert revised.call_count == 2


@pytest.mark.long
def test_a_night_whose_side_work_dies_makes_the_same_tables(
    fresh: Project, undisturbed: Project, done: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mortal(Beside):
        def __init__(self, niceness: int) -> None:
            super().__init__(niceness)
            os.kill(self.call(os.getpid).result(), signal.SIGKILL)

    monkeypatch.setattr(side_work, "Beside", Mortal)
    outcome = fresh.night()
    assert outcome.is_success, outcome.failures
    _is_like(fresh, undisturbed)
    assert not any(done.values())


def test_a_night_that_gets_no_process_goes_on_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: int) -> Beside:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(beginning, "MOST_LANDED_BYTES", 10**9)
    monkeypatch.setattr(side_work, "Beside", refused)
    _make_newer(project)
    with side_work.side_work(project.config, project.config_path) as found:
        assert found is None


def test_what_was_computed_of_other_inputs_is_not_used(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = staging.steps_ahead(mappings_of(project.config))["conform_users"]
    night = Night.open(project.config)
    monkeypatch.setattr(publication, "done_ahead", lambda _: publication.Staged("others", {}, []))
    monkeypatch.setattr(Lake, "is_current", lambda *_: False)
    told = list(publication.run_step(night, logging.getLogger(), step))
    assert len(told) > 1  # an empty dictionary of tables would have failed


@pytest.mark.parametrize(
    ("most", "is_newer", "is_beside"), [(10**9, True, True), (10**9, False, False), (1000, True, False)]
)
def test_large_nights_and_nights_with_nothing_new_have_none(
    project: Project, monkeypatch: pytest.MonkeyPatch, most: int, is_newer: bool, is_beside: bool
) -> None:
    monkeypatch.setattr(beginning, "MOST_LANDED_BYTES", most)
    if is_newer:
        _make_newer(project)
    with side_work.side_work(project.config, project.config_path) as found:
        assert (found is not None) == is_beside

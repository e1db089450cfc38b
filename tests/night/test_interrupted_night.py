"""Ctrl-C and SIGTERM end a night, also where Python drops the error, and the next night goes on."""

from __future__ import annotations

import os
import signal
import weakref
from pathlib import Path
from typing import Any

import pytest

from assets import landing
from crm_hygiene.errors import NightInterrupted
from crm_hygiene.landing import land_source

from .project import OUTCOME, Project


class _Dying:
    """Something whose end calls back."""


def _press_where_errors_are_dropped() -> None:
    def called_back(_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100):
            pass  # the handler runs between two steps of Python, here

    dying = _Dying()
    reference = weakref.ref(dying, called_back)
    del dying
    assert reference() is None


def _press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def _ask_to_end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("press", [_press, _ask_to_end, _press_where_errors_are_dropped])
def test_a_night_that_is_interrupted_ends_and_the_next_one_goes_on(
    undisturbed: Project, tmp_path: Path, press: Any
) -> None:
    project = undisturbed.exports(tmp_path)
    landed = []

    def interrupted(night: Any, mapping: Any, files: Any) -> Any:
        landed.append(mapping.source)
        if len(landed) == 5:
            press()
        return land_source(night, mapping, files)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landing, "land_source", interrupted)
        with pytest.raises(NightInterrupted) as raised:
            project.night()
    assert len(landed) == 5
    assert raised.value.signal == (signal.SIGTERM if press is _ask_to_end else signal.SIGINT)
    runs = project.read("audit.runs").select("status", "reason").rows()
    assert runs == [("stopped", f"interrupted by {raised.value.signal.name}")]
    if press is not _press_where_errors_are_dropped:
        return  # how it ended is what differs
    outcome = project.night()
    assert outcome.is_success, outcome.failures
    assert project.contents(OUTCOME) == undisturbed.contents(OUTCOME)

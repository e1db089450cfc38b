"""Long steps tell how far they are: never more than asked for, and without touching what passes through."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from rich.console import Console

from crm_hygiene.cli.progress import Progress
from crm_hygiene.progress import LOGGER, MARK, counted, tell


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        assert getattr(record, MARK)
        self.texts.append(record.getMessage())


@pytest.fixture
def heard() -> Iterator[list[str]]:
    kept = _Kept()
    logging.getLogger(LOGGER).addHandler(kept)
    yield kept.texts
    logging.getLogger(LOGGER).removeHandler(kept)


def _ticks(step: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step


def test_what_passes_is_unchanged_and_messages_keep_their_distance(heard: list[str]) -> None:
    ticks = _ticks(2.0)
    parts = [[0] * 3, [0] * 4, [0] * 5, [0] * 6, [0] * 2]
    passed = list(
        counted(parts, "writing", total=20, unit="rows", size=len, every=4.0, clock=lambda: next(ticks))
    )
    assert passed == parts
    assert heard == ["writing: 7 of 20 rows (35%)", "writing: 18 of 20 rows (90%)"]


def test_without_a_total_there_is_no_share(heard: list[str]) -> None:
    ticks = _ticks(9.0)
    assert list(counted("ab", "reading", unit="files", clock=lambda: next(ticks))) == ["a", "b"]
    assert heard == ["reading: 1 files", "reading: 2 files"]


def test_a_short_loop_says_nothing(heard: list[str]) -> None:
    assert list(counted(range(5), "reading", total=5)) == list(range(5))
    assert heard == []


def test_a_pipe_gets_a_line_per_step_and_no_more_than_one_in_two_seconds_within() -> None:
    out = io.StringIO()
    with Progress(Console(file=out, width=80), is_quiet=False) as progress:
        progress.step("landing__hubspot_contacts", "")
        progress.step("landing__dynamics_contacts", "")
        progress.step("link", "")
        progress.step("link", "preparing 9 records")
        progress.last_line -= 2
        progress.step("link", "scoring 12 pairs of people")
        progress.step("quality__source_limits", "")
    lines = [line.split(" s  ")[-1].rstrip() for line in out.getvalue().splitlines()]
    assert lines == [
        "starting the night …",
        "landing files",
        "linking people and organisations",
        "  scoring 12 pairs of people",
        "the night is over",
    ]


def test_cron_hears_nothing() -> None:
    out = io.StringIO()
    with Progress(Console(file=out), is_quiet=True) as progress:
        progress.step("link", "")
        progress.step("link", "scoring 12 pairs of people")
    assert out.getvalue() == ""


def test_a_terminal_shows_what_runs_below_the_steps() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    with Progress(console, is_quiet=False) as progress:
        progress.step("link", "")
        progress.step("link", "scoring [12] pairs")
        assert progress.status is not None
        assert "scoring" in str(progress.status.status)
        progress.step("golden", "")
    assert "choosing golden values" in out.getvalue()


def test_a_word_reaches_every_listener(heard: list[str]) -> None:
    tell("counting pairs")
    assert heard == ["counting pairs"]

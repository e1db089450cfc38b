"""The whole circle on a real Tryton, as `make circle-tryton` runs it; and that a broken promise is told."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import pytest
from rich.console import Console

from bench.tryton import circle
from bench.tryton.server import NOT_BUILT, is_built


@pytest.mark.long
def test_export_night_apply_and_undo_keep_their_promises(tmp_path: Path) -> None:
    if not is_built():
        pytest.skip(NOT_BUILT)
    told = io.StringIO()
    circle.run_circle(tmp_path / "circle", Console(file=told, width=160))
    assert "6 second night: 0 changes planned" in told.getvalue()
    assert "equals the first one to the byte" in told.getvalue()


def test_a_broken_promise_ends_with_one_and_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(folder: Path, console: Console) -> None:
        raise circle.PromiseBroken("the second plan is not empty")

    monkeypatch.setattr(circle, "is_built", lambda: True)
    monkeypatch.setattr(circle, "run_circle", broken)
    told = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        circle.command(argparse.Namespace(keep=tmp_path), Console(file=told, width=160))
    assert ended.value.code == 1
    assert "the second plan is not empty" in told.getvalue()


def test_without_a_tryton_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circle, "is_built", lambda: False)
    told = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        circle.command(argparse.Namespace(keep=tmp_path), Console(file=told, width=160))
    assert ended.value.code == 2
    assert "make tryton" in told.getvalue()


def test_a_difference_names_record_and_column() -> None:
    before, after = b"id,name\n1,a\n2,b\n", b"id,name\n1,c\n3,d\n"
    assert circle._difference(before, after) == "    3: new\n    2: gone\n    1.name: 'a' -> 'c'"

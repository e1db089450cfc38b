"""Settings for all tests: property tests search anew on each run, but not in CI, where a red must repeat."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from crm_hygiene.cli.main import main

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

FrontDoor = Callable[..., tuple[int, str, str]]


@pytest.fixture
def front_door(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> FrontDoor:
    """Calls `crm-hygiene` in this process as typed: exit code, standard output, standard error."""

    def call(*arguments: str, folder: Path | None = None) -> tuple[int, str, str]:
        if folder is not None:
            monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["crm-hygiene", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return code, printed.out, printed.err

    return call

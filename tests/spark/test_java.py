from __future__ import annotations

from pathlib import Path

import pytest

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.spark.java import java_home


def _java(folder: Path, version: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    program.chmod(0o755)
    return folder


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'path' / 'bin'}:/bin")
    _java(tmp_path / "path", "25.0.1")
    return tmp_path


def test_java_home_comes_first(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = _java(places / "home", "21.0.2")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java_home() == home


def test_the_path_is_asked_where_java_home_is_too_new(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(_java(places / "home", "25.0.1")))
    good = _java(places / "good", "17.0.15")
    monkeypatch.setenv("PATH", f"{good / 'bin'}:/bin")
    assert java_home() == good


def test_what_was_found_is_told(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(places / "nowhere"))
    with pytest.raises(ConfigurationError) as raised:
        java_home()
    told = str(raised.value)
    assert "needs Java 17 or 21" in told
    assert "nowhere/bin/java is no Java that runs" in told
    assert "is Java 25" in told


def test_old_numbering_is_understood(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(_java(places / "home", "1.8.0_392")))
    with pytest.raises(ConfigurationError, match="is Java 8"):
        java_home()

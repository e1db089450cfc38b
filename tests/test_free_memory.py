"""Free memory as Linux tells it, of the machine and of a container."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from crm_hygiene import free_memory


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(free_memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(free_memory, "_GROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 4000 kB\nMemAvailable:    3000 kB\n")
    return tmp_path


def test_what_the_machine_has_is_free_where_nothing_limits_it(machine: Path) -> None:
    assert free_memory.free_bytes() == 3_072_000
    (machine / "memory.max").write_text("max\n")
    assert free_memory.free_bytes() == 3_072_000


def test_a_container_has_what_its_limit_leaves_and_what_it_holds_of_files(machine: Path) -> None:
    (machine / "memory.max").write_text("1000000\n")
    (machine / "memory.current").write_text("900000\n")
    (machine / "memory.stat").write_text("anon 600000\ninactive_file 300000\n")
    assert free_memory.free_bytes() == 400_000
    (machine / "memory.current").write_text("1900000\n")
    assert free_memory.free_bytes() == 0


def test_elsewhere_nothing_is_told(machine: Path) -> None:
    (machine / "meminfo").write_text("nothing of the kind")
    assert free_memory.free_bytes() is None
    (machine / "meminfo").unlink()
    assert free_memory.free_bytes() is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_this_machine_tells() -> None:
    assert (free_memory.free_bytes() or 0) > 10_000_000

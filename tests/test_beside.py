"""A process beside this one does what it is asked, tells what it could not, and never outlives its master."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from operator import add, truediv
from pathlib import Path

import polars as pl
import pytest

from crm_hygiene import beside
from crm_hygiene.beside import Beside, NotDoneBesideError, tell_master

# Seconds after which what is waited for does not come; a machine that others use as well may take many.
_LONG = 300


@pytest.fixture
def process() -> Iterator[Beside]:
    found = Beside()
    yield found
    found.close()


def _has_ended(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_calls_are_answered_in_another_process_in_their_order(process: Beside) -> None:
    frame = pl.DataFrame({"amount": ["1.10", None], "day": [1, 2]}).with_columns(
        pl.col("amount").cast(pl.Decimal(38, 2))
    )
    others = [process.call(add, n, 1) for n in range(20)]
    assert process.call(os.getpid).result() != os.getpid()
    assert process.call(pl.concat, [frame, frame]).result().equals(pl.concat([frame, frame]))
    assert [future.result() for future in others] == list(range(1, 21))


def test_what_follows_an_answer_runs_here(process: Beside) -> None:
    assert process.call_then(lambda there: (there, os.getpid()), add, 1, 2).result() == (3, os.getpid())


def test_an_error_there_is_told_and_the_process_goes_on(process: Beside) -> None:
    with pytest.raises(NotDoneBesideError, match="ZeroDivisionError: division by zero"):
        process.call(truediv, 1, 0).result()
    with pytest.raises(NotDoneBesideError):
        process.call(open, os.devnull).result()  # what comes back cannot be handed over
    with pytest.raises(NotDoneBesideError):
        process.call(lambda: 1).result()  # nobody finds it by its name
    assert process.call(add, 1, 1).result() == 2


def _count_to(number: int) -> str:
    for n in range(number):
        tell_master(n)
    time.sleep(1.5)
    return "nobody asks"


def test_what_a_function_tells_comes_as_it_runs(process: Beside) -> None:
    waited = []
    process.call(time.sleep, 0.1)
    assert list(process.told_by(_count_to, 3, meanwhile=lambda: waited.append(1))) == [0, 1, 2]
    assert waited
    with pytest.raises(NotDoneBesideError, match="ZeroDivisionError"):
        list(process.told_by(truediv, 1, 0))
    # Elsewhere nobody hears it.
    assert process.call(_count_to, 2).result() == "nobody asks"
    tell_master(1)


def test_how_a_process_ended_is_told(process: Beside) -> None:
    pid = process.call(os.getpid).result()
    assert (process.resident_bytes() or 10**7) > 10**6
    with pytest.raises(NotDoneBesideError, match="the process has ended, killed by SIGKILL"):
        list(process.told_by(os.kill, pid, signal.SIGKILL))


def test_what_has_not_begun_can_be_taken_back(process: Beside) -> None:
    process.call(time.sleep, 0.5)
    waiting = process.call(add, 1, 1)
    assert waiting.cancel()


def test_a_process_that_died_is_told_at_each_call(process: Beside) -> None:
    os.kill(process.call(os.getpid).result(), signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(NotDoneBesideError, match="the process has ended"):
            process.call(add, 1, 1).result()


def test_closing_ends_it_in_the_middle_of_a_call() -> None:
    process = Beside()
    pid = process.call(os.getpid).result()
    under_way = process.call(time.sleep, 60)
    while not under_way.running():
        time.sleep(0.01)
    process.close()
    assert _has_ended(pid)
    with pytest.raises(NotDoneBesideError):
        under_way.result()


def test_it_ends_in_the_middle_of_a_call_with_a_master_that_was_killed() -> None:
    script = """
import os, time
from crm_hygiene.beside import Beside
process = Beside()
print(process.call(os.getpid).result(), flush=True)
process.call(time.sleep, 3600).result()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as master:
        assert master.stdout is not None
        pid = int(master.stdout.readline())
        assert not _has_ended(pid)
        master.kill()
    until = time.monotonic() + _LONG
    while not _has_ended(pid):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_is_imported_once_is_there_when_a_process_begins() -> None:
    script = """
from crm_hygiene.beside import Beside, import_once
import_once("assets.imported_once")
process = Beside()
loaded = process.call(eval, "sorted(set(__import__('sys').modules))").result()
print({"dagster", "great_expectations", "splink"} <= set(loaded), {"polars", "deltalake"} & set(loaded))
process.close()
"""
    told = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert told.stdout.strip() == "True set()"
    assert not told.stderr


def test_what_cannot_be_begun_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(beside._PROCESSES.Process, "start", refused)
    process = Beside()
    assert not process.is_there()
    with pytest.raises(NotDoneBesideError, match="Resource temporarily unavailable"):
        process.call(add, 1, 1).result()
    process.close()


def test_closing_does_not_wait_for_a_process_that_has_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    may_begin, pids = threading.Event(), []
    start = beside._PROCESSES.Process.start

    def late(process: multiprocessing.Process) -> None:
        may_begin.wait()
        start(process)
        pids.append(process.pid)

    monkeypatch.setattr(beside._PROCESSES.Process, "start", late)
    process = Beside()
    asked = process.call(add, 1, 1)
    process.close()
    with pytest.raises((NotDoneBesideError, CancelledError)):
        asked.result()
    may_begin.set()
    until = time.monotonic() + _LONG
    while not pids or not _has_ended(pids[0]):
        assert time.monotonic() < until
        time.sleep(0.05)


_IMPORTS_NOW = """
import signal, sys, time
from pathlib import Path
from crm_hygiene.beside import Beside, import_now
signal.signal(signal.SIGINT, signal.default_int_handler)  # not as a test in the background has it
import_now("slow_module")
time.sleep(0.3)
print("begun", flush=True)
patience = time.monotonic() + 60
while not Path(sys.argv[1], "imported").exists() and time.monotonic() < patience:
    time.sleep(0.05)
print(Path(sys.argv[1], "imported").exists())
process = Beside()
print(process.call(len, "three").result(), "slow_module" in sys.modules, flush=True)
process.close()
"""

_SLOW_MODULE = """
import time
from pathlib import Path

time.sleep(1)
Path(__file__).with_name("imported").touch()
"""


def test_imports_begin_before_the_first_process_and_ctrl_c_leaves_them_alone(tmp_path: Path) -> None:
    (tmp_path / "slow_module.py").write_text(_SLOW_MODULE)
    night = subprocess.Popen(
        [sys.executable, "-c", _IMPORTS_NOW, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert night.stdout is not None
        assert night.stdout.readline() == "begun\n"
        for pid in _children(night.pid):
            os.kill(pid, signal.SIGINT)
        out, err = night.communicate(timeout=_LONG)
    finally:
        night.kill()
    assert out == "True\n5 False\n"
    assert err == ""


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

"""Large steps in processes of their own: what they tell comes through, and nothing of them stays."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import apart
from assets.apart import StepProcesses, done, steps_apart, tables_are_made
from assets.resources import Run
from assets.works import perform as perform_work
from assets.works import works
from crm_hygiene import lease
from crm_hygiene.beside import MEANWHILE_SECONDS, Beside
from crm_hygiene.config import Config
from crm_hygiene.errors import GateStopped, HygieneError, LakeError
from crm_hygiene.lake import Lake
from crm_hygiene.night import Night
from crm_hygiene.progress import LOGGER, tell


def _prepare(config_path: str | None) -> None:
    assert config_path == "hygiene.yaml"


def _pid(night: Night, log: logging.Logger) -> Iterator[Any]:
    yield night.run_id, os.getpid()


def _talkative(night: Night, log: logging.Logger) -> Iterator[Any]:
    log.info("about to read")
    tell("reading: 1 of 2 files")
    yield dg.MaterializeResult(asset_key=["golden", "contacts"], metadata={"rows": 3})
    log.warning("one odd thing")
    yield dg.AssetCheckResult(passed=False, asset_key=["golden", "contacts"], check_name="c", metadata={})


def _raising(night: Night, log: logging.Logger) -> Iterator[Any]:
    yield 1
    raise _ERRORS[night.run_id]


def _killed(night: Night, log: logging.Logger) -> Iterator[Any]:
    yield 1
    os.kill(os.getpid(), signal.SIGKILL)


def _endless(night: Night, log: logging.Logger) -> Iterator[Any]:
    folder = tempfile.mkdtemp()
    Path(folder, "put by").write_text("rows")
    yield os.getpid(), folder
    time.sleep(60)


def _greedy(night: Night, log: logging.Logger) -> Iterator[Any]:
    held = bytearray(os.urandom(1)) * 500_000_000
    _KEPT.append(held)
    yield os.getpid()


def _writing(night: Night, log: logging.Logger) -> Iterator[Any]:
    yield "first table"
    time.sleep(1.5 * MEANWHILE_SECONDS)  # the night looks around now and then
    tables_are_made("writing")
    time.sleep(1.5 * MEANWHILE_SECONDS)
    yield "second table"


_KEPT: list[bytearray] = []


class _OddError(HygieneError):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class _PanicError(BaseException):
    pass


_ERRORS: dict[str, BaseException] = {
    "failure": dg.Failure("a gate stopped it", allow_retries=False),
    "stopped": GateStopped("a gate stopped it"),
    "lake": LakeError("the disk is full"),
    "odd": _OddError("two", "words"),
    "panic": _PanicError("in Rust"),
}


def perform(run: Run, name: str) -> None:
    """As `assets.works.perform`, of the works above."""
    from assets import works as module

    module._works = lambda _: {  # type: ignore[assignment]
        work.__name__.removeprefix("_"): work
        for work in (_pid, _talkative, _raising, _killed, _endless, _greedy, _writing)
    }
    perform_work(run, name)


@pytest.fixture(scope="module")
def processes() -> Iterator[StepProcesses]:
    """What a test leaves in waiting serves the next one, as steps of a night follow each other."""
    found = StepProcesses("hygiene.yaml", _prepare, perform)
    yield found
    found.close()


@pytest.fixture
def own_processes() -> Iterator[StepProcesses]:
    found = StepProcesses("hygiene.yaml", _prepare, perform)
    yield found
    found.close()


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    config = Config(base=tmp_path)
    # The other process opens the same night from no file: the defaults.
    monkeypatch.setattr(Run, "of", lambda night, _: Run(None, night.run_id, night.started_at))
    return Night(config, Lake(str(tmp_path / "lake")), {}, "tonight", datetime(2026, 1, 1, tzinfo=UTC))


def _results(processes: StepProcesses, name: str, night: Night) -> list[Any]:
    return list(_told(processes, name, night))


def _told(processes: StepProcesses, name: str, night: Night) -> Iterator[Any]:
    process = processes.taken()
    assert process is not None
    return processes.results(process, name, night, logging.getLogger("test"))


def _has_ended(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True


def test_results_log_and_progress_come_in_their_order(
    processes: StepProcesses, night: Night, caplog: pytest.LogCaptureFixture
) -> None:
    said = []
    with caplog.at_level(logging.INFO), caplog.at_level(logging.INFO, LOGGER):
        for result in _told(processes, "talkative", night):
            said.append((type(result).__name__, [r.getMessage() for r in caplog.records]))
    assert said == [
        ("MaterializeResult", ["about to read", "reading: 1 of 2 files"]),
        ("AssetCheckResult", ["about to read", "reading: 1 of 2 files", "one odd thing"]),
    ]
    assert [r.levelname for r in caplog.records] == ["INFO", "INFO", "WARNING"]
    _, check = _results(processes, "talkative", night)
    assert (check.passed, check.check_name, check.asset_key) == (
        False,
        "c",
        dg.AssetKey(["golden", "contacts"]),
    )


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("failure", dg.Failure, "a gate stopped it"),
        ("stopped", GateStopped, "a gate stopped it"),
        ("lake", LakeError, "the disk is full"),
        ("odd", HygieneError, "_OddError: two words"),
        ("panic", HygieneError, "_PanicError: in Rust"),
    ],
)
def test_an_error_there_is_an_error_here(
    processes: StepProcesses, night: Night, name: str, kind: type[Exception], text: str
) -> None:
    night.run_id = name
    with pytest.raises(kind) as raised:
        _results(processes, "raising", night)
    error = raised.value
    assert (error.description if isinstance(error, dg.Failure) else str(error)) == text
    assert "_raising" in error.__notes__[0]  # the traceback of the other process
    if isinstance(error, dg.Failure):
        assert not error.allow_retries


def test_a_process_that_was_killed_is_told_and_not_tried_again(
    processes: StepProcesses, night: Night
) -> None:
    with pytest.raises(dg.Failure, match=r"SIGKILL.*limits\.memory") as raised:
        _results(processes, "killed", night)
    assert not raised.value.allow_retries
    assert _results(processes, "pid", night)  # the next step has its own


def test_a_process_is_used_again_until_it_holds_much(
    processes: StepProcesses, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (_results(processes, "pid", night)[0] for _ in range(2))
    assert first == second
    assert first[1] != os.getpid()
    (greedy,) = _results(processes, "greedy", night)
    assert greedy == first[1]
    monkeypatch.setattr(apart, "_KEPT_BYTES", 500_000_000)
    _results(processes, "pid", night)
    assert _has_ended(greedy)
    assert not _has_ended(_results(processes, "pid", night)[0][1])


def test_whoever_stops_listening_ends_the_process_and_its_files(night: Night) -> None:
    processes = StepProcesses("hygiene.yaml", _prepare, perform)
    results = _told(processes, "endless", night)
    pid, folder = next(results)
    assert Path(folder, "put by").exists()
    results.close()  # type: ignore[attr-defined]
    assert _has_ended(pid)
    processes.close()
    assert not Path(folder).exists()


def test_a_lost_lease_ends_the_process(
    processes: StepProcesses, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lost:
        def check(self) -> None:
            raise LakeError("lost")

    results = _told(processes, "endless", night)
    pid, _ = next(results)
    monkeypatch.setitem(lease._held, night.config.lake_uri, [Lost()])
    with pytest.raises(LakeError, match="lost"):
        next(results)
    assert _has_ended(pid)


def test_without_memory_for_a_process_in_waiting_a_step_is_done(
    own_processes: StepProcesses, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def only_one(**environment: str) -> Beside:
        if begun:
            raise OSError("no memory")
        begun.append(Beside(**environment))
        return begun[0]

    monkeypatch.setattr(apart, "Beside", only_one)
    assert _results(own_processes, "pid", night)


def _here(night: Night, log: logging.Logger) -> Iterator[Any]:
    yield "here", os.getpid()


def test_large_works_are_done_elsewhere_where_a_night_has_processes(
    own_processes: StepProcesses, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def pid(byte_count: int) -> Any:
        def reads() -> int:
            asked.append(byte_count)
            return byte_count

        ((_, found),) = done("pid", _here, night, logging.getLogger("test"), reads)
        return found

    assert pid(apart.LARGE_BYTES) == os.getpid()
    assert not asked  # nobody needs to know
    with steps_apart(own_processes):
        assert pid(apart.LARGE_BYTES - 1) == os.getpid()
        assert pid(apart.LARGE_BYTES) != os.getpid()
        while own_processes._waiting:
            own_processes._waiting.pop().close()

        def refused(**_: str) -> Beside:
            raise BlockingIOError(11, "Resource temporarily unavailable")

        monkeypatch.setattr(apart, "Beside", refused)
        assert pid(apart.LARGE_BYTES) == os.getpid()
    assert pid(apart.LARGE_BYTES) == os.getpid()


def test_every_large_asset_has_a_work() -> None:
    """A name that only one side knows would be told on the first large night."""
    from assets.job import JOB, build_defs
    from crm_hygiene.night import mappings_of

    mappings = mappings_of(Config())
    found = works(mappings)
    steps = {node.name for node in build_defs(Config()).resolve_job_def(JOB).nodes}
    small = {"column_lineage", "charts__linkage", "report__html", "audit__runs", "landing__files"}
    named = {name.replace(".", "__") for name in found}
    assert steps - small == (named - {"catalog"}) | {"catalog__duckdb"}

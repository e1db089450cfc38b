"""Run the night in this process: what `crm-hygiene run` calls through its entry point."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._core.utils import make_new_run_id

from assets.audit import close_failed_night, failure_reasons, record_stopped
from assets.errands import table_is_live
from assets.history import events_in_batches, kept_open
from assets.job import JOB, build_defs
from assets.resources import night_of_run
from assets.side_work import side_work
from crm_hygiene.config import Config, load_config
from crm_hygiene.errors import ConfigurationError, HygieneError, NightInterrupted
from crm_hygiene.garbage import few_collections
from crm_hygiene.lake_options import storage_options
from crm_hygiene.night_lock import night_lock
from crm_hygiene.progress import LOGGER, MARK
from crm_hygiene.yaml_text import parse_yaml

Progress = Callable[[str, str], None]

_PYTHON_LOGS = {"managed_python_loggers": [LOGGER], "python_log_level": "INFO"}


@dataclass(frozen=True)
class NightOutcome:
    """How a night ended: its id, whether every step succeeded, and why it stopped where it did."""

    run_id: str
    is_success: bool
    failures: dict[str, str]
    notes: list[str]


@contextmanager
def _instance(base: Path) -> Iterator[dg.DagsterInstance]:
    """The instance named by DAGSTER_HOME, else the folder of hygiene.yaml if it has a dagster.yaml."""
    home = os.environ.get("DAGSTER_HOME")
    if not home and (base / "dagster.yaml").is_file():
        home = str(base)
        os.environ["DAGSTER_HOME"] = home
    if not home:
        # For this night only; the instance in memory of Dagster opens a connection per event.
        with TemporaryDirectory(prefix="crm-hygiene-", dir=_in_memory()) as folder:
            reference = InstanceRef.from_dir(folder, overrides=_for_one_night(folder))
            with dg.DagsterInstance.from_ref(reference) as instance:
                yield instance
        return
    if not Path(home).is_dir():
        raise ConfigurationError(
            f"DAGSTER_HOME names {home}, which is no folder; make it, or unset the variable"
        )
    reference = InstanceRef.from_dir(home, overrides=_seen_from(Path(home)))
    with dg.DagsterInstance.from_ref(reference) as instance:
        yield instance


def _in_memory() -> Path | None:
    """A folder that no disk stands behind; None where the system has none."""
    folder = Path("/dev/shm")
    return folder if os.access(folder, os.W_OK) else None


def _for_one_night(folder: str) -> dict[str, Any]:
    """The settings of an instance that nobody looks at once the night is over."""
    return {
        "storage": kept_open({"sqlite": {"base_dir": folder}}),
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
        "telemetry": {"enabled": False},
        "python_logs": _PYTHON_LOGS,
    }


def _seen_from(home: Path) -> dict[str, Any]:
    """The storage of dagster.yaml with absolute folders: Dagster would take them from the working folder."""
    path = home / "dagster.yaml"
    document = parse_yaml(path.read_text(encoding="utf-8")) if path.is_file() else None

    def absolute(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            key: str(home / inner) if key == "base_dir" and isinstance(inner, str) else absolute(inner)
            for key, inner in value.items()
        }

    sections = ("storage", "local_artifact_storage", "compute_logs")
    seen = {name: absolute(document[name]) for name in sections if document and name in document}
    if "storage" in seen:
        seen["storage"] = kept_open(seen["storage"])
    # A project made before long steps told how far they are has no such section.
    return seen if document and "python_logs" in document else {**seen, "python_logs": _PYTHON_LOGS}


# What tells a night to end: Ctrl-C; `kill`, systemd, Docker, Kubernetes.
_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def _interruptions() -> Iterator[Callable[[], None]]:
    """Within the block, what raises `NightInterrupted` if the night was told to end in it.

    Dagster raises an error wherever the main thread is. In a callback of a native library or of garbage
    collection Python drops it, and the night would go on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signals = bytearray()

    def check() -> None:
        with suppress(BlockingIOError):
            signals.extend(os.read(reading, 512))
        for number in signals:
            if number in _ENDING:
                raise NightInterrupted(number)

    try:
        yield check
    finally:
        signal.set_wakeup_fd(before)
        for end in (reading, writing):
            os.close(end)


def _console(progress: Progress, notes: list[str], check: Callable[[], None]) -> dg.LoggerDefinition:
    """A Dagster logger that hands on what steps begin, tell and make live, and keeps the warnings.

    `check` is called before a step starts: what it raises ends the night.
    """

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            meta = getattr(record, "dagster_meta", {}) or {}
            event = meta.get("dagster_event") if isinstance(meta, dict) else None
            step = (meta.get("step_key") or meta.get("op_name") or "") if isinstance(meta, dict) else ""
            if event is not None:
                if event.event_type_value == "STEP_START":
                    check()
                    progress(event.step_key or "", "")
                elif event.event_type_value == "ASSET_MATERIALIZATION" and event.asset_key:
                    table_is_live(".".join(event.asset_key.path))
                return
            text = str(meta.get("orig_message") or record.getMessage()) if isinstance(meta, dict) else ""
            is_ours = not text.startswith("Dependencies for step")
            if record.levelno == logging.WARNING and is_ours:
                notes.append(text)
            if getattr(record, MARK, False) and step:
                progress(step, text)

    @dg.logger(config_schema={})
    def console(_: dg.InitLoggerContext) -> logging.Logger:
        # Dagster tells the start of a step at debug level.
        logger = logging.Logger("crm_hygiene.night", logging.DEBUG)
        logger.addHandler(Handler())
        return logger

    return console


def run_night(config_path: Path | None, progress: Progress) -> NightOutcome:
    """Execute the job `nightly` in this process.

    Parameters
    ----------
    config_path
        the hygiene.yaml, or None for the one in the working folder or the defaults.
    progress
        called with (step, what) as a step starts (then `what` is empty) and as it tells what it is doing.

    Raises
    ------
    LakeError
        if another night runs on the lake, or the lake's folder cannot be written.
    ConfigurationError
        if hygiene.yaml, a mapping or the schedule is wrong.
    NightInterrupted
        if Ctrl-C was pressed or the system asked the process to end; the run is recorded as stopped, and what
        is published stays.
    """
    config = load_config(config_path)
    with night_lock(config.lake_uri, storage_options(config)), few_collections():
        return _run(config, config_path, progress)


def _run(config: Config, config_path: Path | None, progress: Progress) -> NightOutcome:
    path = config_path.resolve() if config_path else None
    with _interruptions() as check, side_work(config, path) as beside:
        notes: list[str] = []
        definitions = build_defs(config, path, _console(progress, notes, check), is_held=True)
        job = definitions.resolve_job_def(JOB)
        tables = frozenset(".".join(key.path) for key in job.asset_layer.selected_asset_keys)
        run_id = make_new_run_id()
        with ExitStack() as stack:
            stack.enter_context(events_in_batches())
            instance = stack.enter_context(_instance(config.base))
            if beside is not None:
                stack.enter_context(beside.of(lambda: night_of_run(instance, run_id, path), tables))
            return _executed(job, instance, run_id, path, notes, check)


def _executed(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    run_id: str,
    path: Path | None,
    notes: list[str],
    check: Callable[[], None],
) -> NightOutcome:
    result = job.execute_in_process(
        instance=instance, raise_on_error=False, run_config={"loggers": {"console": {}}}, run_id=run_id
    )
    failures = failure_reasons(result.all_events)
    if not result.success:
        try:
            check()
        except NightInterrupted as interruption:
            # Who waits for the end waits for the record, and not for what the next night brings anyway.
            with suppress(HygieneError):
                night = night_of_run(instance, run_id, path)
                record_stopped(night, f"interrupted by {interruption.signal.name}")
            raise
        why = "; ".join(f"{step}: {reason}" for step, reason in failures.items())
        try:
            close_failed_night(night_of_run(instance, run_id, path), why, instance)
        except HygieneError as error:
            # What stopped the night may stop its record too (a full disk); the first reason counts.
            notes.append(f"the stopped night could not be recorded: {error}")
    return NightOutcome(run_id, result.success, failures, notes)

"""Run the night in this process: what `crm-hygiene run` calls through its entry point."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from crm_hygiene.config import load_config
from crm_hygiene.night import Night

Progress = Callable[[str, str], None]


@dataclass(frozen=True)
class NightOutcome:
    """How a night ended: its id, whether every step succeeded, and why it stopped where it did."""

    run_id: str
    is_success: bool
    failures: dict[str, str]
    notes: list[str]


def _instance(base: Path) -> dg.DagsterInstance:
    """The instance named by DAGSTER_HOME, else the folder of hygiene.yaml if it has a dagster.yaml."""
    home = os.environ.get("DAGSTER_HOME")
    if not home and (base / "dagster.yaml").is_file():
        home = str(base)
        os.environ["DAGSTER_HOME"] = home
    return dg.DagsterInstance.get() if home else dg.DagsterInstance.ephemeral()


def _console(progress: Progress, notes: list[str]) -> dg.LoggerDefinition:
    """A Dagster logger that hands each step's own messages on, and keeps the warnings."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            meta = getattr(record, "dagster_meta", {}) or {}
            event = meta.get("dagster_event") if isinstance(meta, dict) else None
            step = (meta.get("step_key") or meta.get("op_name") or "") if isinstance(meta, dict) else ""
            if event is not None:
                if event.event_type_value == "STEP_START":
                    progress(event.step_key or "", "")
                return
            text = str(meta.get("orig_message") or record.getMessage()) if isinstance(meta, dict) else ""
            is_ours = not text.startswith("Dependencies for step")
            if record.levelno == logging.WARNING and is_ours:
                notes.append(text)
            if record.levelno >= logging.INFO and step:
                progress(step, text)

    @dg.logger(config_schema={})
    def console(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("crm_hygiene.night", logging.INFO)
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
        called with (step, what) as a step starts (then `what` is empty) and as it tells what it did.
    """
    # Imported here: the module builds the definitions of the environment when it is imported.
    from assets.audit import close_failed_night
    from assets.definitions import JOB, build_defs

    config = load_config(config_path)
    notes: list[str] = []
    definitions = build_defs(
        config, config_path.resolve() if config_path else None, _console(progress, notes)
    )
    job = definitions.resolve_job_def(JOB)
    with _instance(config.base) as instance:
        result = job.execute_in_process(
            instance=instance, raise_on_error=False, run_config={"loggers": {"console": {}}}
        )
        failures = {
            event.step_key or "": _reason(event) for event in result.all_events if event.is_step_failure
        }
        run_id = result.run_id
    if not result.success:
        why = "; ".join(f"{step}: {reason}" for step, reason in failures.items())
        close_failed_night(Night.open(config, run_id), why)
    return NightOutcome(run_id, result.success, failures, notes)


def _reason(event: dg.DagsterEvent) -> str:
    """The innermost error of a failed step in one line."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return (error.message if error else "").strip().split("\n")[0]

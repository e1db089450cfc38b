"""What starts a night, and what follows one that stopped: the schedule and the sensors.

What does not belong here: what a night does (the modules of the layers).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from assets.audit import close_failed_night, failure_reasons, record_stopped
from assets.resources import night_of_run
from crm_hygiene.config import Config
from crm_hygiene.fingerprint import fingerprint
from crm_hygiene.landing import discover, file_name
from crm_hygiene.mapping import Mapping

# How long after its schedule a night may take before its tables count as stale.
_GRACE = timedelta(hours=2)

# Any would do; it lies in the past, so that no tick after it is still to come.
_SOME_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


def nightly_schedule(config: Config, job: dg.UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """The night at the hour hygiene.yaml names; it runs wherever Dagster's daemon does."""
    return dg.ScheduleDefinition(
        name="every_night",
        job=job,
        cron_schedule=config.schedule.cron,
        execution_timezone=config.schedule.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Starts the whole night at the hour that hygiene.yaml names.",
    )


def freshness(config: Config) -> dg.FreshnessPolicy:
    """Stale when no night has ended within the longest pause of the schedule and two hours."""
    ticks = dg.TimeWindowPartitionsDefinition(
        start=_SOME_MONDAY,
        fmt="%Y-%m-%dT%H:%M:%S%z",
        cron_schedule=config.schedule.cron,
        timezone=config.schedule.timezone,
    )
    # Two weeks hold every pattern of days; a rarer schedule has one pause that is longer than that.
    pause, at = timedelta(), _SOME_MONDAY
    while at < _SOME_MONDAY + timedelta(days=14) and (window := ticks.get_next_partition_window(at)):
        pause, at = max(pause, window.end - window.start), window.end
    return dg.FreshnessPolicy.time_window(fail_window=pause + _GRACE)


def landing_sensor(
    config: Config, mappings: dict[str, Mapping], job: dg.UnresolvedAssetJobDefinition
) -> dg.SensorDefinition:
    """Start a night when files have arrived or changed and have not changed since the last look.

    Its cursor is `<seen>/<started>`: the state of the folder at the last look, and the state for
    which a night was started.
    """

    @dg.sensor(
        name="landing_folder",
        job=job,
        minimum_interval_seconds=60,
        description="Starts the night when files in the landing folder are new or changed and have settled. "
        "Turn it on if exports arrive at no fixed hour.",
    )
    def landing_folder(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        state = _state(config, mappings)
        seen, _, started = (context.cursor or "").partition("/")
        if state is None:
            return dg.SkipReason("no file of any source in the landing folder")
        if state == started:
            return dg.SkipReason("no new or changed file since the last night")
        if state != seen:
            # A file still being uploaded changes between two looks; wait until it has settled.
            context.update_cursor(f"{state}/{started}")
            return dg.SkipReason("files have changed; waiting one more look for them to settle")
        # The key names the change: a folder put back as it was before is a change as well.
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=fingerprint([started, state]))], cursor=f"{state}/{state}"
        )

    return landing_folder


def _state(config: Config, mappings: dict[str, Mapping]) -> str | None:
    """A text that changes with any claimed file's path, size or time; None if there is no file."""
    found = discover(config, mappings)
    lines = []
    for path in sorted(p for paths in found.claimed.values() for p in paths):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue  # moved away between listing and looking
        lines.append(f"{file_name(config, path)}:{stat.st_size}:{stat.st_mtime_ns}")
    return fingerprint(lines) if lines else None


def stopped_night_sensor(
    config_path: Path | None, job: dg.UnresolvedAssetJobDefinition
) -> dg.SensorDefinition:
    """Record a night that stopped, and bring the catalog up to what its gates found."""

    @dg.run_failure_sensor(
        name="stopped_night",
        monitored_jobs=[job],
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Records a night that stopped in audit.runs, with the reason, and refreshes the catalog.",
    )
    def stopped_night(context: dg.RunFailureSensorContext) -> None:
        reasons = failure_reasons(context.get_step_failure_events())
        why = "; ".join(f"{step}: {reason}" for step, reason in reasons.items())
        night = night_of_run(context.instance, context.dagster_run.run_id, config_path)
        close_failed_night(
            night, why or context.failure_event.message or "no step tells why", context.instance
        )

    return stopped_night


def terminated_night_sensor(
    config_path: Path | None, job: dg.UnresolvedAssetJobDefinition
) -> dg.SensorDefinition:
    """Record a night that a person ended in Dagster; it did not fail, and its tables are as they were."""

    @dg.run_status_sensor(
        name="terminated_night",
        run_status=dg.DagsterRunStatus.CANCELED,
        monitored_jobs=[job],
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Records a night that was terminated in Dagster in audit.runs.",
    )
    def terminated_night(context: dg.RunStatusSensorContext) -> None:
        night = night_of_run(context.instance, context.dagster_run.run_id, config_path)
        record_stopped(night, "terminated in Dagster")

    return terminated_night

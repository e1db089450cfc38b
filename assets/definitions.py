"""The code location: every asset of the night, its job, its schedule and its sensors."""

import os
from datetime import timedelta
from pathlib import Path

import dagster as dg

from assets.audit import audit_assets, close_failed_night
from assets.conformed import conformed_assets
from assets.golden import golden_assets
from assets.landing import landing_assets
from assets.linked import linked_assets
from assets.quality import quality_assets
from assets.reconciled import reconciled_assets
from assets.resources import NightResource
from assets.signals import signals_assets
from assets.writeback import writeback_assets
from crm_hygiene.config import Config, load_config
from crm_hygiene.fingerprint import fingerprint
from crm_hygiene.landing import discover
from crm_hygiene.night import Night, mappings_of

JOB = "nightly"

# What has to be there before the run is recorded and the catalog replaced.
_LAST = [
    "landing.files",
    "conformed.opportunities",
    "reconciled.exceptions",
    "signals.lead_scores",
    "writeback.changes",
    "stewardship.review_queue",
    "quality.metrics",
]


def build_defs(
    config: Config, config_path: Path | None = None, console: dg.LoggerDefinition | None = None
) -> dg.Definitions:
    """Definitions for one hygiene.yaml: an asset per source and table, one job, one schedule.

    `console` replaces Dagster's own console logger.

    Raises
    ------
    ConfigurationError
        if a source mapping is wrong.
    """
    mappings = mappings_of(config)
    everything = [
        *landing_assets(mappings),
        *conformed_assets(mappings),
        *linked_assets(),
        *golden_assets(),
        *reconciled_assets(),
        *signals_assets(),
        *writeback_assets(),
        *quality_assets(),
        *audit_assets(_LAST),
    ]
    fresh = dg.FreshnessPolicy.cron(
        deadline_cron=config.schedule.cron,
        lower_bound_delta=timedelta(hours=4),
        timezone=config.schedule.timezone,
    )
    job = dg.define_asset_job(
        JOB, selection=dg.AssetSelection.all(), description="The whole night, from landing to the catalog."
    )

    @dg.sensor(
        job=job,
        minimum_interval_seconds=60,
        description="Starts the night when files in the landing folder are new or changed, and have settled.",
    )
    def landing_folder(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        found = discover(config, mappings)
        stats = [(p, p.stat()) for paths in found.claimed.values() for p in paths]
        state = "|".join(f"{p.name}:{s.st_size}:{s.st_mtime_ns}" for p, s in sorted(stats))
        key = fingerprint(state)
        seen, _, started = (context.cursor or "").partition("/")
        if key == started:
            return dg.SkipReason("no new or changed file since the last night")
        if key != seen:
            # A file still being uploaded changes between two looks; wait until it has settled.
            context.update_cursor(f"{key}/{started}")
            return dg.SkipReason("files have changed; waiting one more look for them to settle")
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=key)], cursor=f"{key}/{key}")

    @dg.run_failure_sensor(
        monitored_jobs=[job], description="Records a night that stopped and refreshes the catalog."
    )
    def stopped_night(context: dg.RunFailureSensorContext) -> None:
        close_failed_night(
            Night.open(config, context.dagster_run.run_id), context.failure_event.message or ""
        )

    return dg.Definitions(
        assets=dg.map_asset_specs(
            lambda spec: (
                spec.replace_attributes(freshness_policy=fresh)
                if spec.group_name in ("golden", "reconciled", "writeback")
                else spec
            ),
            everything,
        ),
        jobs=[job],
        schedules=[
            dg.ScheduleDefinition(
                name="every_night",
                job=job,
                cron_schedule=config.schedule.cron,
                execution_timezone=config.schedule.timezone,
            )
        ],
        sensors=[landing_folder, stopped_night],
        resources={"night": NightResource(config_path=str(config_path) if config_path else None)},
        # One process: the work is parallel inside DuckDB and Polars, and each spawned process
        # would pay the imports again.
        executor=dg.in_process_executor,
        loggers={"console": console} if console else {},
    )


def _from_environment() -> dg.Definitions:
    given = os.environ.get("HYGIENE_CONFIG")
    path = Path(given) if given else None
    return build_defs(load_config(path), path)


defs = _from_environment()

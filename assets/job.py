"""The job `nightly`: every asset of the night, its schedule and its sensors, for one hygiene.yaml."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import dagster as dg
from dagster_shared.check import CheckError

from assets.apart import StepProcesses, steps_apart
from assets.audit import audit_assets
from assets.automation import (
    freshness,
    landing_sensor,
    nightly_schedule,
    stopped_night_sensor,
    terminated_night_sensor,
)
from assets.charts import charts_assets
from assets.conformed import conformed_assets
from assets.early import Early
from assets.errands import are_errands_running
from assets.golden import golden_assets
from assets.landing import landing_assets
from assets.lineage import declared_lineage, lineage_assets
from assets.linked import linked_assets
from assets.openlineage import openlineage_hooks
from assets.orders import order_assets
from assets.privacy import privacy_assets
from assets.publication import asset_key
from assets.quality import quality_assets, quality_checks
from assets.reconciled import reconciled_assets
from assets.report import report_assets
from assets.resources import NightResource
from assets.signals import signals_assets
from assets.stewardship import stewardship_assets
from assets.upkeep import upkeep_job, upkeep_schedule
from assets.works import early_works, perform, prepare
from assets.writeback import writeback_assets
from crm_hygiene.config import Config, load_config
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.mapping import Mapping
from crm_hygiene.night import mappings_of
from crm_hygiene.quality import load_limits

JOB = "nightly"

# The ends of the flow: once they are there, the run is recorded and the catalog replaced.
_LAST = [
    "landing.files",
    "reconciled.exceptions",
    "reconciled.inventory_movements",
    "signals.lead_scores",
    "writeback.changes",
    "quality.metrics",
    "quality.column_lineage",
    "stewardship.review_queue",
]


class _Night(NightResource):
    """The night with processes for its large steps, whoever started it."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[NightResource]:
        with super().yield_for_execution(context), _large_steps_apart(self.config_path, context.run):
            yield self


def _large_steps_apart(config_path: str | None, run: dg.DagsterRun | None) -> AbstractContextManager[None]:
    # How far a process yields and what stands behind its files is asked as POSIX has it.
    if os.name != "posix":
        return nullcontext()
    config = load_config(Path(config_path) if config_path else None)
    # What an errand computes ahead, no work has to compute as well.
    is_free = (os.cpu_count() or 1) >= 2 and not are_errands_running()
    early = _early_works_of(run, mappings_of(config)) if is_free else {}
    return steps_apart(StepProcesses(config_path, prepare, perform, early))


def _early_works_of(run: dg.DagsterRun | None, mappings: dict[str, Mapping]) -> dict[str, Early]:
    """Works of a run that may be begun ahead of their turn: of those that have one in it."""
    # A part of the assets makes nothing that was not asked for; which steps it has, Dagster tells otherwise.
    if run is None or run.job_name != JOB or run.asset_selection or run.resolved_op_selection:
        return {}
    steps = run.step_keys_to_execute
    return {
        name: early
        for name, early in early_works(mappings).items()
        if steps is None or name.replace(".", "__") in steps
    }


@contextmanager
def _told_of(section: str) -> Iterator[None]:
    """Dagster alone knows what it takes for a schedule; its no is one of hygiene.yaml."""
    try:
        yield
    except (dg.DagsterInvalidDefinitionError, CheckError) as error:
        raise ConfigurationError(f"{section}: {error}") from error


def build_defs(
    config: Config,
    config_path: Path | None = None,
    console: dg.LoggerDefinition | None = None,
    *,
    is_held: bool = False,
) -> dg.Definitions:
    """Definitions for one hygiene.yaml: an asset per source and table, one job, one schedule.

    `console` replaces Dagster's own console logger. `is_held` says that this process holds the lake while it
    runs the job; otherwise each run takes it for itself.

    Raises
    ------
    ConfigurationError
        if a source mapping, a limit or a schedule is wrong.
    """
    mappings = mappings_of(config)
    own_limits = config.limits.quality
    load_limits(config.resolve(own_limits) if own_limits else None, mappings)
    everything = [
        *landing_assets(mappings),
        *conformed_assets(mappings),
        *linked_assets(),
        *stewardship_assets(),
        *charts_assets(),
        *privacy_assets(),
        *golden_assets(),
        *order_assets(),
        *reconciled_assets(),
        *signals_assets(),
        # Nothing is planned for other systems from figures that a limit stopped.
        *dg.map_asset_specs(
            lambda spec: spec.merge_attributes(deps=[asset_key("quality.metrics")]), writeback_assets()
        ),
        *quality_assets(),
        *audit_assets(_LAST),
        *report_assets(),
    ]
    everything += lineage_assets(declared_lineage(everything))
    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.all(),
        description="The whole night, from landing to the catalog.",
        hooks=openlineage_hooks(config, everything, mappings),
    )

    tidying = upkeep_job(config_path)
    with _told_of("schedule"):
        fresh, nightly = freshness(config), nightly_schedule(config, job)
    with _told_of("upkeep"):
        now_and_then = upkeep_schedule(config, tidying)
    return dg.Definitions(
        assets=dg.map_asset_specs(
            lambda spec: (
                spec.replace_attributes(freshness_policy=fresh)
                if spec.group_name in ("golden", "reconciled", "writeback")
                else spec
            ),
            everything,
        ),
        asset_checks=quality_checks(),
        jobs=[job, tidying],
        schedules=[nightly, now_and_then],
        sensors=[
            landing_sensor(config, mappings, job),
            stopped_night_sensor(config_path, job),
            terminated_night_sensor(config_path, job),
        ],
        resources={"night": _Night(config_path=str(config_path) if config_path else None, is_held=is_held)},
        # One process: the work is parallel inside DuckDB and Polars, and each spawned process
        # would pay the imports again. What a small night has beside it is `assets.side_work`, where large
        # steps are done `assets.apart`.
        executor=dg.in_process_executor,
        loggers={"console": console} if console else {},
    )


def describe_definitions(config: Config, config_path: Path | None) -> str:
    """What Dagster makes of hygiene.yaml, for `crm-hygiene doctor`, which finds it by entry point.

    Raises
    ------
    ConfigurationError
        as of `build_defs`.
    """
    assets = build_defs(config, config_path).resolve_all_asset_specs()
    when = f"nights at '{config.schedule.cron}', upkeep at '{config.upkeep.cron}', {config.schedule.timezone}"
    return f"dagster: {len(assets)} assets; where its daemon runs {when}"

"""The job `upkeep`: the lake is tidied when hygiene.yaml says. What is done: `crm_hygiene.upkeep`."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from crm_hygiene.config import Config, load_config
from crm_hygiene.lake_options import lake_of, storage_options
from crm_hygiene.night_lock import night_lock
from crm_hygiene.upkeep import keep_up

JOB = "upkeep"


def upkeep_job(config_path: Path | None) -> dg.JobDefinition:
    """One step that tidies every table, under the lock of the night."""

    @dg.op(description="Compacts small files, deletes what no night needs any more, shortens the logs.")
    def tidy_lake(context: dg.OpExecutionContext) -> None:
        config = load_config(config_path)
        with night_lock(config.lake_uri, storage_options(config)):
            done = keep_up(lake_of(config), config.upkeep, datetime.now(UTC), tell=context.log.debug)
        touched = [found for found in done if not found.is_tidy]
        for found in touched:
            context.log.info(
                f"{found.table}: {found.before.all_files} files, {found.before.all_bytes} bytes before; "
                f"{found.after.all_files if found.after else 0} files, "
                f"{found.after.all_bytes if found.after else 0} bytes after"
            )
        context.add_output_metadata(
            {
                "tables": len(done),
                "tables tidied": len(touched),
                "files before": sum(found.before.all_files for found in done),
                "files after": sum(found.after.all_files for found in done if found.after),
                "bytes before": sum(found.before.all_bytes for found in done),
                "bytes after": sum(found.after.all_bytes for found in done if found.after),
            }
        )

    @dg.job(name=JOB, executor_def=dg.in_process_executor, description="Keeps the lake's files few.")
    def upkeep() -> None:
        tidy_lake()

    return upkeep


def upkeep_schedule(config: Config, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """When hygiene.yaml says; wherever Dagster's daemon runs."""
    return dg.ScheduleDefinition(
        name="upkeep_schedule",
        job=job,
        cron_schedule=config.upkeep.cron,
        execution_timezone=config.schedule.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Tidies the lake when hygiene.yaml says.",
    )

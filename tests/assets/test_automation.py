"""What starts a night, and what is left of one that stopped."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.automation import (
    freshness,
    landing_sensor,
    nightly_schedule,
    stopped_night_sensor,
    terminated_night_sensor,
)
from assets.job import JOB
from crm_hygiene.config import Config, LandingConfig, ScheduleConfig, load_config
from crm_hygiene.contract import contract_of
from crm_hygiene.night import Night, mappings_of
from crm_hygiene.runs import RUNS


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing" / "forms"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def sensor(tmp_path: Path, landing: Path) -> dg.SensorDefinition:
    return sensor_of(Config(base=tmp_path))


def sensor_of(config: Config) -> dg.SensorDefinition:
    return landing_sensor(config, mappings_of(config), dg.define_asset_job(JOB))


def look(sensor: dg.SensorDefinition, cursor: str | None) -> tuple[list[str | None], str | None]:
    """Run keys of the nights one look starts, and the cursor it leaves."""
    with dg.build_sensor_context(cursor=cursor) as context:
        data = sensor.evaluate_tick(context)
    return [request.run_key for request in data.run_requests or []], data.cursor


def test_an_empty_folder_starts_nothing(sensor: dg.SensorDefinition) -> None:
    assert look(sensor, None) == ([], None)


def test_a_settled_change_starts_one_night(sensor: dg.SensorDefinition, landing: Path) -> None:
    (landing / "submissions.jsonl").write_text("{}\n")
    started, cursor = look(sensor, None)
    assert started == []
    started, cursor = look(sensor, cursor)
    assert len(started) == 1
    for _ in range(3):
        again, cursor = look(sensor, cursor)
        assert again == []


def test_a_file_that_still_grows_waits(sensor: dg.SensorDefinition, landing: Path) -> None:
    file, cursor = landing / "submissions.jsonl", None
    for size in range(1, 5):
        file.write_text("{}\n" * size)
        started, cursor = look(sensor, cursor)
        assert started == []
    started, cursor = look(sensor, cursor)
    assert len(started) == 1


def test_a_later_change_starts_another_night_under_another_key(
    sensor: dg.SensorDefinition, landing: Path
) -> None:
    file, cursor, keys = landing / "submissions.jsonl", None, []
    # The third state is the first one again, to the nanosecond.
    for content, at in (("{}\n", 1_000), ("{}\n{}\n", 2_000), ("{}\n", 1_000)):
        file.write_text(content)
        os.utime(file, ns=(at, at))
        for _ in range(2):
            started, cursor = look(sensor, cursor)
            keys += started
    assert len(keys) == len(set(keys)) == 3


def test_a_change_back_before_it_settled_starts_nothing(sensor: dg.SensorDefinition, landing: Path) -> None:
    file, cursor = landing / "submissions.jsonl", None
    file.write_text("{}\n")
    os.utime(file, ns=(1_000, 1_000))
    for _ in range(2):
        _, cursor = look(sensor, cursor)
    (landing / "more_submissions.jsonl").write_text("{}\n")
    started, cursor = look(sensor, cursor)
    assert started == []
    (landing / "more_submissions.jsonl").unlink()
    assert look(sensor, cursor)[0] == []


def test_same_name_in_two_folders_is_two_files(tmp_path: Path, sensor: dg.SensorDefinition) -> None:
    cursors = []
    for place in ("a", "b"):
        folder = tmp_path / "landing" / "forms" / place
        folder.mkdir()
        file = folder / "submissions.jsonl"
        file.write_text("{}\n")
        os.utime(file, ns=(1_000, 1_000))
        cursors.append(look(sensor, None)[1])
        file.unlink()
    assert cursors[0] != cursors[1]


def test_files_no_source_claims_start_nothing(sensor: dg.SensorDefinition, landing: Path) -> None:
    (landing / "notes.xyz").write_text("?")
    (landing / "submissions.jsonl.part").write_text("?")
    assert look(sensor, None)[0] == []
    assert look(sensor, None)[1] is None


@pytest.mark.parametrize(
    ("cron", "pause"),
    [
        ("0 2 * * *", timedelta(days=1)),
        ("0 2 * * 1-5", timedelta(days=3)),
        ("0 */6 * * *", timedelta(hours=6)),
        ("0 3 * * 0", timedelta(days=7)),
    ],
)
def test_tables_go_stale_after_the_longest_pause_of_the_schedule(cron: str, pause: timedelta) -> None:
    policy = freshness(Config(schedule=ScheduleConfig(cron=cron)))
    assert policy.fail_window.to_timedelta() == pause + timedelta(hours=2)


def test_a_tick_of_the_schedule_asks_for_the_whole_night(tmp_path: Path) -> None:
    schedule = nightly_schedule(Config(base=tmp_path), dg.define_asset_job(JOB))
    with dg.build_schedule_context() as context:
        requests = schedule.evaluate_tick(context).run_requests
    assert requests is not None
    assert len(requests) == 1
    assert schedule.job_name == JOB


def test_a_stopped_night_is_recorded_once_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "hygiene.yaml"
    path.write_text("lake: {uri: lake}\n", encoding="utf-8")
    sensor = stopped_night_sensor(path, dg.define_asset_job(JOB))

    @dg.op
    def reconcile() -> None:
        raise dg.Failure("the ledger does not balance", allow_retries=False)

    @dg.job(name=JOB)
    def nightly() -> None:
        reconcile()

    with dg.DagsterInstance.ephemeral() as instance:
        result = nightly.execute_in_process(instance=instance, raise_on_error=False)
        event = result.get_run_failure_event()
        context = dg.build_run_status_sensor_context(
            sensor_name="stopped_night",
            dagster_event=event,
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        ).for_run_failure()
        sensor(context)
        sensor(context)
        created = instance.get_run_record_by_id(result.run_id).create_timestamp
    runs = Night.open(load_config(path), "reader").lake.read(contract_of(RUNS))
    assert runs.select("run_id", "status", "reason").rows() == [
        (result.run_id, "stopped", "reconcile: the ledger does not balance")
    ]
    assert runs["started_at"][0].timestamp() == int(created.timestamp())
    assert (tmp_path / "lake" / "catalog.duckdb").is_file()


def test_a_night_ended_in_dagster_is_recorded_once(tmp_path: Path) -> None:
    path = tmp_path / "hygiene.yaml"
    path.write_text("lake: {uri: lake}\n", encoding="utf-8")
    sensor = terminated_night_sensor(path, dg.define_asset_job(JOB))

    @dg.job(name=JOB)
    def nightly() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        run = nightly.execute_in_process(instance=instance).dagster_run
        context = dg.build_run_status_sensor_context(
            sensor_name="terminated_night",
            dagster_event=instance.report_run_canceled(run),
            dagster_instance=instance,
            dagster_run=run,
        )
        sensor(context)
        sensor(context)
    runs = Night.open(load_config(path), "reader").lake.read(contract_of(RUNS))
    assert runs.select("run_id", "status", "reason").rows() == [
        (run.run_id, "stopped", "terminated in Dagster")
    ]


def test_the_landing_folder_is_the_one_of_hygiene_yaml(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "forms"
    folder.mkdir(parents=True)
    (folder / "submissions.jsonl").write_text("{}\n")
    own = Config(base=tmp_path, landing=LandingConfig(folder=Path("in")))
    assert look(sensor_of(own), None)[1] is not None

"""Dagster's history while a night runs: few connections, and readable by Dagster at any moment."""

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from sqlalchemy import event
from sqlalchemy.engine import Engine

from assets import history
from assets.history import KeptDatabase, NightHistory, events_in_batches, kept_open

SQLITE = {"sqlite": {"base_dir": ".dagster/storage"}}


def kept_instance(home: Path) -> dg.DagsterInstance:
    storage = kept_open({"sqlite": {"base_dir": str(home / "storage")}})
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides={"storage": storage}))


def plain_instance(home: Path) -> dg.DagsterInstance:
    storage = {"sqlite": {"base_dir": str(home / "storage")}}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides={"storage": storage}))


def job_with(checks: int, look: Any = None) -> dg.JobDefinition:
    @dg.asset(check_specs=[dg.AssetCheckSpec(f"check_{n}", asset="table") for n in range(checks)])
    def table(context: dg.AssetExecutionContext) -> Any:
        if look is not None:
            look(context.run_id)
        yield dg.MaterializeResult(metadata={"rows": 3})
        for n in range(checks):
            yield dg.AssetCheckResult(check_name=f"check_{n}", passed=n != 1)

    job = dg.define_asset_job("nightly", selection=dg.AssetSelection.all())
    return dg.Definitions(assets=[table], jobs=[job], executor=dg.in_process_executor).resolve_job_def(
        "nightly"
    )


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Connections opened and transactions committed by SQLAlchemy within the block."""
    seen: Counter[str] = Counter()

    def connected(*_: Any) -> None:
        seen["connections"] += 1

    def committed(*_: Any) -> None:
        seen["commits"] += 1

    event.listen(Engine, "connect", connected)
    event.listen(Engine, "commit", committed)
    try:
        yield seen
    finally:
        event.remove(Engine, "connect", connected)
        event.remove(Engine, "commit", committed)


def run_in(instance: dg.DagsterInstance, job: dg.JobDefinition) -> dg.ExecuteInProcessResult:
    with events_in_batches():
        return job.execute_in_process(instance=instance, raise_on_error=False)


# What differs from run to run.
_OF_THE_RUN = ("run_id", "last_run_id", "timestamp", "migration_completed", "value")


def rows_of(home: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of Dagster's databases of events; of what is JSON, that it is there, and how it nests."""

    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shape(inner) for key, inner in sorted(value.items())}
        if isinstance(value, list):
            return [shape(inner) for inner in value]
        return type(value).__name__

    def told(name: str, value: Any) -> Any:
        if name in _OF_THE_RUN or name.endswith("_timestamp"):
            return type(value).__name__
        if isinstance(value, str) and value.startswith("{"):
            return shape(json.loads(value))
        return value

    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((home / "storage").rglob("*.db")):
        shard = path.stem if path.stem in ("index", "runs") else "run"
        if shard == "runs":
            continue
        with closing(sqlite3.connect(path)) as database:
            database.row_factory = sqlite3.Row
            names = database.execute("select name from sqlite_master where type = 'table'").fetchall()
            for (table,) in names:
                rows = database.execute(f'select * from "{table}" order by 1').fetchall()
                found.setdefault(f"{shard}.{table}", []).extend(
                    {name: told(name, row[name]) for name in row.keys()}  # noqa: SIM118
                    for row in rows
                )
    return found


def test_connections_do_not_grow_with_the_checks(tmp_path: Path) -> None:
    found = {}
    for checks in (2, 30):
        home = tmp_path / str(checks)
        home.mkdir()
        with kept_instance(home) as instance:
            run_in(instance, job_with(1))
            with counted() as seen:
                assert run_in(instance, job_with(checks)).success
        found[checks] = seen
    assert found[30]["connections"] == found[2]["connections"] < 10
    # Neither planned nor evaluated checks have a transaction of their own.
    assert found[30]["commits"] == found[2]["commits"]


def test_what_is_planned_is_one_transaction_per_database(tmp_path: Path) -> None:
    job = job_with(40)
    with kept_instance(tmp_path) as instance, events_in_batches():
        instance.create_run_for_job(job_with(1))
        with counted() as seen:
            run = instance.create_run_for_job(job)
        assert seen["commits"] < 20
        planned = [entry for entry in instance.all_logs(run.run_id) if entry.is_dagster_event]
    assert len(planned) == 41


def test_dagster_reads_the_night_as_it_runs_and_afterwards(tmp_path: Path) -> None:
    seen_within: list[str] = []

    def look(run_id: str) -> None:
        with plain_instance(tmp_path) as other:
            seen_within.extend(
                e.dagster_event_type.value for e in other.all_logs(run_id) if e.dagster_event_type
            )

    with kept_instance(tmp_path) as instance:
        result = run_in(instance, job_with(3, look))
    assert "STEP_START" in seen_within
    with plain_instance(tmp_path) as other:
        assert other.get_run_by_id(result.run_id).is_success  # type: ignore[union-attr]
        record = other.get_latest_materialization_event(dg.AssetKey("table"))
        assert record is not None
        assert record.asset_materialization is not None
        checks = other.event_log_storage.get_latest_asset_check_execution_by_key(
            [dg.AssetCheckKey(dg.AssetKey("table"), f"check_{n}") for n in range(3)]
        )
        assert [check.status.value for _, check in sorted(checks.items())] == [
            "SUCCEEDED",
            "FAILED",
            "SUCCEEDED",
        ]


def test_the_same_events_as_dagster_would_store(tmp_path: Path) -> None:
    stored, tables = [], []
    for make in (kept_instance, plain_instance):
        home = tmp_path / make.__name__
        home.mkdir()
        with make(home) as instance:
            result = run_in(instance, job_with(3))
            logs = instance.all_logs(result.run_id)
            stored.append([(e.step_key, e.dagster_event_type, e.level) for e in logs])
        tables.append(rows_of(home))
    assert stored[0] == stored[1]
    assert tables[0] == tables[1]


def test_a_failed_batch_leaves_nothing_half_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept_instance(tmp_path) as instance:
        storage: Any = instance.event_log_storage
        run = instance.create_run_for_job(job_with(1))
        entries = instance.all_logs(run.run_id)
        before = len(entries)

        def full(*_: Any) -> None:
            raise OSError("disk full")

        with monkeypatch.context() as patch:
            patch.setattr(type(storage), "_write_checks", full)
            with pytest.raises(OSError, match="disk full"):
                storage.store_event_batch(entries)
        assert len(instance.all_logs(run.run_id)) == before


def test_a_transaction_within_another_is_the_same(tmp_path: Path) -> None:
    database = KeptDatabase(f"sqlite:///{tmp_path / 'x.db'}")
    with database.transaction() as outer, database.transaction() as inner:
        assert inner is outer
    with database.transaction() as again:
        assert not again.closed
    database.close()


def test_other_storages_are_as_they_are() -> None:
    postgres = {"postgres": {"postgres_url": "postgresql://x"}}
    assert kept_open(postgres) == postgres
    assert kept_open(None) is None
    assert kept_open(SQLITE) == {
        "custom": {"module": history.__name__, "class": NightHistory.__name__, "config": SQLITE["sqlite"]}
    }


def test_a_batch_size_of_the_operator_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "7")
    with events_in_batches():
        assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == "7"
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")
    with events_in_batches():
        assert int(os.environ["DAGSTER_EVENT_BATCH_SIZE"]) > 1
    assert "DAGSTER_EVENT_BATCH_SIZE" not in os.environ

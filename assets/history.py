"""Dagster's SQLite history while a night runs in this process: one connection per database, kept.

Dagster opens an engine, compiles its statements, commits and closes for every read and write, several
thousand times a night. Here a database has one engine and one connection until the instance is
disposed of: statements are compiled once, and the last connection to close no longer copies the
write-ahead log each time. `synchronous=NORMAL` spares waiting for the disk: after a power cut the newest
events of the history may be missing, the databases stay whole, and the lake is not concerned.

Two kinds of events are written many in one transaction: what Dagster plans at the start of a run, and what
follows a table that is published, the verdicts of its checks and the outputs that stand for them. These
wait for the next event of another kind (the next table, a log line, the end of the step) or the
next reader in this process, seconds at most. Every other event is committed as it comes, so the UI shows the
night as it runs and a killed night stays readable. A killed night may lack the verdicts of the table it
published last; they are in `quality.gate_results`, whose rows are committed before the table's.

Dagster's own hook for this is `storage: custom` of dagster.yaml. Files and tables are Dagster's, so
its UI and daemon open the same history with the storage of their own. What does not belong here: what
a night does (`assets.night`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from dagster._core.events import (
    ASSET_CHECK_EVENTS,
    ASSET_EVENTS,
    EVENT_TYPE_TO_PIPELINE_RUN_STATUS,
    DagsterEventType,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Connection, bindparam, create_engine, event
from sqlalchemy.pool import StaticPool

_BUSY_TIMEOUT_SECONDS = 30

# Dagster's switch for handing over in one call the events that it makes in one go.
_BATCH_SWITCH = "DAGSTER_EVENT_BATCH_SIZE"
_BATCH_SIZE = "1000"

# What Dagster says of every check of a table in a row, once the table itself is in the history.
_CAN_WAIT = frozenset(
    {DagsterEventType.ASSET_CHECK_EVALUATION, DagsterEventType.STEP_OUTPUT, DagsterEventType.HANDLED_OUTPUT}
)
_MOST_HELD = 500

_INSERT = SqlEventLogStorageTable.insert()
_INSERT_WITH_ID = SqlEventLogStorageTable.insert().returning(
    SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
)
_UPDATE_CHECK = (
    AssetCheckExecutionsTable.update()
    .where(
        AssetCheckExecutionsTable.c.asset_key == bindparam("of_asset"),
        AssetCheckExecutionsTable.c.check_name == bindparam("of_check"),
        AssetCheckExecutionsTable.c.run_id == bindparam("of_run"),
        AssetCheckExecutionsTable.c.partition.is_(None),
    )
    .values(
        {
            name: bindparam(name)
            for name in (
                "execution_status",
                "evaluation_event",
                "evaluation_event_timestamp",
                "evaluation_event_storage_id",
                "materialization_event_storage_id",
            )
        }
    )
)


class KeptDatabase:
    """One SQLite database with one engine and one connection, for any thread, one at a time."""

    def __init__(self, address: str) -> None:
        self._engine = create_engine(
            address,
            poolclass=StaticPool,
            connect_args={"timeout": _BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )
        event.listen(self._engine, "connect", _without_waiting_for_the_disk)
        self._lock = threading.RLock()
        self._open: Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection within a transaction; within another of the same thread, that one."""
        with self._lock:
            if self._open is not None:
                yield self._open
                return
            with self._engine.connect() as connection, connection.begin():
                self._open = connection
                try:
                    yield connection
                finally:
                    self._open = None

    def close(self) -> None:
        """Close the connection; the next transaction opens another."""
        with self._lock:
            self._engine.dispose()


def _without_waiting_for_the_disk(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")


class KeptRuns(SqliteRunStorage):
    """Dagster's table of runs, its database kept open."""

    def __init__(self, conn_string: str, inst_data: Any = None) -> None:
        super().__init__(conn_string, inst_data)
        self._kept = KeptDatabase(conn_string)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """As Dagster's, on the kept connection."""
        with self._kept.transaction() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the database."""
        super().dispose()
        self._kept.close()


def _is_simple(entry: EventLogEntry) -> bool:
    """Whether storing the event takes rows of the log and of the table of checks only."""
    kind = entry.dagster_event_type
    if kind in ASSET_EVENTS or kind in EVENT_TYPE_TO_PIPELINE_RUN_STATUS:
        return False
    if kind not in ASSET_CHECK_EVENTS:
        return True
    said: Any = entry.get_dagster_event().event_specific_data
    is_planned = kind == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    return (said.partitions_subset if is_planned else said.partition) is None


def _check_row(entry: EventLogEntry, row: Mapping[str, Any], event_id: int) -> dict[str, Any]:
    """What the table of checks holds of an event about one check that is stored as `row`."""
    said: Any = entry.get_dagster_event().event_specific_data
    found = {
        "evaluation_event": row["event"],
        "evaluation_event_timestamp": row["timestamp"],
        "evaluation_event_storage_id": event_id,
    }
    asset, check, status = said.asset_key.to_string(), said.check_name, AssetCheckExecutionRecordStatus
    if entry.dagster_event_type == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
        known = {"asset_key": asset, "check_name": check, "run_id": entry.run_id, "partition": None}
        return {**found, **known, "execution_status": status.PLANNED.value}
    target = said.target_materialization_data
    return {
        **found,
        "of_asset": asset,
        "of_check": check,
        "of_run": entry.run_id,
        "execution_status": (status.SUCCEEDED if said.passed else status.FAILED).value,
        "materialization_event_storage_id": None if target is None else target.storage_id,
    }


class KeptEvents(SqliteEventLogStorage):
    """Dagster's event log, its databases (an index, and one per run) kept open."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._kept: dict[str, KeptDatabase] = {}
        self._opening = threading.Lock()
        self._found: set[tuple[str, str]] = set()
        self._holding = threading.RLock()
        self._held: list[EventLogEntry] = []
        super().__init__(base_dir, inst_data)

    def _database(self, shard: str) -> KeptDatabase:
        with self._opening:
            if shard not in self._kept:
                # Dagster makes the database, or brings it up to date, at its first connection.
                with super()._connect(shard):
                    pass
                self._kept[shard] = KeptDatabase(self.conn_string_for_shard(shard))
            return self._kept[shard]

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._holding:
            # Whoever reads sees all that was stored.
            self._write_held()
            with self._database(shard).transaction() as connection:
                yield connection

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event: at once, or with the next that cannot wait."""
        with self._holding:
            if event.dagster_event_type in _CAN_WAIT:
                self._held.append(event)
                if len(self._held) >= _MOST_HELD:
                    self._write_held()
            elif self._held:
                self._held.append(event)
                self._write_held()
            else:
                super().store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Events in one transaction per database."""
        with self._holding:
            self._write_held()
            self._held = list(events)
            self._write_held()

    def _write_held(self) -> None:
        held, self._held = self._held, []
        for run_id, events in groupby(held, key=lambda entry: entry.run_id):
            with self.run_connection(run_id) as run, self.index_connection() as index:
                self._write(run, index, list(events))

    def _write(self, run: Connection, index: Connection, events: list[EventLogEntry]) -> None:
        """Store events of one run: those of checks many at once, the others as Dagster does."""
        for of_checks, some in groupby(events, key=_is_simple):
            together = list(some)
            if not of_checks:
                for entry in together:
                    super().store_event(entry)
                continue
            rows = [self._event_to_row(entry) for entry in together]
            run.execute(_INSERT, rows)
            of_index = [
                (entry, row)
                for entry, row in zip(together, rows, strict=True)
                if entry.dagster_event_type in ASSET_CHECK_EVENTS
            ]
            if of_index:
                ids = index.execute(_INSERT_WITH_ID, [row for _, row in of_index]).scalars().all()
                self._write_checks(index, of_index, list(ids))

    def _write_checks(
        self, index: Connection, stored: list[tuple[EventLogEntry, dict[str, Any]]], ids: list[int]
    ) -> None:
        """Bring the table of checks up to date with events that are stored in the index under `ids`."""
        for is_planned, some in groupby(
            zip(stored, ids, strict=True),
            key=lambda item: item[0][0].dagster_event_type == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
        ):
            together = list(some)
            checks = [_check_row(entry, row, event_id) for (entry, row), event_id in together]
            if is_planned:
                index.execute(AssetCheckExecutionsTable.insert(), checks)
            elif index.execute(_UPDATE_CHECK, checks).rowcount != len(checks):
                # One of them was not planned, or twice: Dagster knows what to do.
                for (entry, _), event_id in together:
                    self.store_asset_check_event(entry, event_id)

    # What Dagster asks of the shape of its database before nearly every statement stays true once it is.

    def _is_known(self, kind: str, name: str, is_there: bool) -> bool:
        if is_there:
            self._found.add((kind, name))
        return is_there

    def has_table(self, table_name: str) -> bool:
        """As Dagster's; a table that was there stays there."""
        known = ("table", table_name) in self._found
        return known or self._is_known("table", table_name, super().has_table(table_name))

    def has_secondary_index(self, name: str) -> bool:
        """As Dagster's; an index that was complete stays complete."""
        known = ("index", name) in self._found
        return known or self._is_known("index", name, super().has_secondary_index(name))

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        known = ("column", column_name) in self._found
        return known or self._is_known(
            "column", column_name, super()._has_asset_key_col_on_connection(conn, column_name)
        )

    def has_asset_key_col(self, column_name: str) -> bool:
        """As Dagster's; a column that was there stays there."""
        known = ("column", column_name) in self._found
        return known or self._is_known("column", column_name, super().has_asset_key_col(column_name))

    def dispose(self) -> None:
        """Write what is held and close the databases."""
        with self._holding:
            self._write_held()
        super().dispose()
        for database in self._kept.values():
            database.close()


class NightHistory(DagsterSqliteStorage):
    """Dagster's SQLite storage below `base_dir`, its databases of runs and events kept open."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        super().__init__(base_dir, inst_data)
        try:
            address, folder = self._run_storage._conn_string, self._event_log_storage._base_dir
        except AttributeError:
            return  # a Dagster that names them otherwise: its own storage serves as well, only slower
        self._run_storage = KeptRuns(address)
        self._event_log_storage = KeptEvents(folder)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> NightHistory:
        """The storage for `config:` of dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)


def kept_open(storage: Any) -> Any:
    """The section `storage:` of a dagster.yaml with SQLite kept open; any other storage as it is."""
    if not isinstance(storage, dict) or list(storage) != ["sqlite"]:
        return storage
    return {"custom": {"module": __name__, "class": NightHistory.__name__, "config": storage["sqlite"]}}


@contextmanager
def events_in_batches() -> Iterator[None]:
    """Within the block Dagster stores together what it makes together, unless the environment says how."""
    if _BATCH_SWITCH in os.environ:
        yield
        return
    os.environ[_BATCH_SWITCH] = _BATCH_SIZE
    try:
        yield
    finally:
        os.environ.pop(_BATCH_SWITCH, None)

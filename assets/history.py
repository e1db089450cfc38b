"""Dagster's SQLite history while a night runs in this process: one connection per database, kept.

Dagster opens an engine, compiles its statements, commits and closes for every read and write, several
thousand times a night. Here a database has one engine and one connection until the instance is
disposed of: statements are compiled once, the last connection to close no longer copies the
write-ahead log each time, and what Dagster plans at the start of a run is written in one
transaction. `synchronous=NORMAL` spares waiting for the disk: after a power cut the newest events
of the history may be missing, the databases stay whole, and the lake is not concerned. Every other
event is committed as it comes, so the UI shows the night as it runs and a killed night stays readable.

Dagster's own hook for this is `storage: custom` of dagster.yaml. Files and tables are Dagster's, so
its UI and daemon open the same history with the storage of their own. What does not belong here: what
a night does (`assets.night`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import StaticPool

_BUSY_TIMEOUT_SECONDS = 30

# Dagster's switch for handing over in one call the events that it makes in one go.
_BATCH_SWITCH = "DAGSTER_EVENT_BATCH_SIZE"
_BATCH_SIZE = "1000"


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


class KeptEvents(SqliteEventLogStorage):
    """Dagster's event log, its databases (an index, and one per run) kept open."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._kept: dict[str, KeptDatabase] = {}
        self._opening = threading.Lock()
        self._found: set[tuple[str, str]] = set()
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
        with self._database(shard).transaction() as connection:
            yield connection

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Events of one run, in one transaction per database."""
        runs = {entry.run_id for entry in events}
        if len(runs) != 1:
            super().store_event_batch(events)
            return
        with self.run_connection(runs.pop()), self.index_connection():
            super().store_event_batch(events)

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
        """Close the databases."""
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

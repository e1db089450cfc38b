"""Dagster's SQLite history, kept open while a night runs.

Dagster opens, commits and closes a connection per event, several hundred times a night. The last
connection to close copies the write-ahead log into the database, and every commit waits for the
disk. One idle connection per database spares the first; `synchronous=NORMAL` the second: after a
power cut the newest events of the history may be missing, the databases stay whole, and the lake
is not concerned. What does not belong here: what a night does (`assets.night`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine


@contextmanager
def history_kept_open() -> Iterator[None]:
    """Within the block, SQLite databases that SQLAlchemy opens stay open until its end."""
    kept: dict[str, sqlite3.Connection] = {}

    def opened(connection: Any, _: Any) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        connection.execute("PRAGMA synchronous=NORMAL")
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        if path and path not in kept:
            kept[path] = sqlite3.connect(path, check_same_thread=False)
        if path:
            # A connection holds the write-ahead log only once it has read the database while it has one,
            # and Dagster turns the log on after its first connection.
            kept[path].execute("SELECT count(*) FROM sqlite_master").fetchone()

    event.listen(Engine, "connect", opened)
    try:
        yield
    finally:
        event.remove(Engine, "connect", opened)
        for connection in kept.values():
            connection.close()

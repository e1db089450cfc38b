"""DuckDB connection for one call of linkage: in memory, its own, closed at the end."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import polars as pl

from crm_hygiene.linkage.settings import LinkageSettings


@contextmanager
def connection(settings: LinkageSettings) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory database with the settings' limits.

    The old lambda arrow is allowed because Splink 5.0 still emits it.
    """
    con = duckdb.connect(":memory:")
    try:
        con.execute("SET lambda_syntax='ENABLE_SINGLE_ARROW'")
        con.execute("SET preserve_insertion_order=true")
        con.execute("SET enable_progress_bar=false")
        if settings.threads is not None:
            con.execute(f"SET threads={settings.threads}")
        folder = settings.temp_directory or tempfile.gettempdir()
        for option, value in (("memory_limit", settings.memory_limit), ("temp_directory", folder)):
            text = value.replace("'", "''")
            con.execute(f"SET {option}='{text}'")
        yield con
    finally:
        con.close()


@contextmanager
def single_thread(con: duckdb.DuckDBPyConnection, settings: LinkageSettings) -> Iterator[None]:
    """One thread while training: sums of floats come out the same each time."""
    con.execute("SET threads=1")
    try:
        yield
    finally:
        con.execute("RESET threads" if settings.threads is None else f"SET threads={settings.threads}")


@contextmanager
def quiet_splink() -> Iterator[None]:
    """Keep Splink's progress messages out of the run's log; its errors still raise."""
    import splink  # noqa: F401 - its import sets the level that is put back afterwards

    logger = logging.getLogger("splink")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def load(con: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame) -> None:
    """Create table `name` from `frame`, rows in their order."""
    con.register("_incoming", frame.to_arrow())
    con.execute(f'CREATE OR REPLACE TABLE "{name}" AS SELECT * FROM _incoming')
    con.unregister("_incoming")


def fetch(con: duckdb.DuckDBPyConnection, sql: str) -> pl.DataFrame:
    """The result of `sql` as a frame."""
    table: Any = con.sql(sql).to_arrow_table()
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame

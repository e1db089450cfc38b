"""DuckDB connection for one call of linkage: in memory, its own, closed at the end."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import polars as pl

from crm_hygiene.linkage.letter_marks import MACROS as MARK_MACROS
from crm_hygiene.linkage.settings import LinkageSettings

# What the conditions of `rules.yaml` may call beside DuckDB's own functions.
MACROS = (
    # Bits (organisation_words) of the words of one name that the other has too.
    "shared_bits(word_bits, other_words) AS coalesce(list_sum(list_transform("
    "list_filter(word_bits, lambda w: list_contains(other_words, w.word)), lambda w: w.bits)), 0)",
    # The words of one name that the other has not, in their order, written together.
    "own_words(words, other_words) AS "
    "array_to_string(list_filter(words, lambda w: NOT list_contains(other_words, w)), '')",
    # Whether two texts are one but for typing errors or an abbreviation; empty texts are not alike. Jaro and
    # Winkler's measure is a hundred times cheaper and keeps most pairs from the other.
    "is_respelled(a, b) AS CASE WHEN coalesce(length(a), 0) = 0 OR coalesce(length(b), 0) = 0 THEN false "
    "WHEN least(length(a), length(b)) >= 3 AND (starts_with(a, b) OR starts_with(b, a)) THEN true "
    "WHEN least(length(a), length(b)) <= 3 OR jaro_winkler_similarity(a, b) < 0.8 THEN false "
    "ELSE damerau_levenshtein(a, b) <= greatest(1, 0.2 * greatest(length(a), length(b))) END",
)


@contextmanager
def connection(settings: LinkageSettings) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory database with the settings' limits.

    The old lambda arrow is allowed because Splink 5.0 still emits it. Statistics are not propagated:
    DuckDB 2.0 stops at `f(a) <> f(b)`, of some functions `f`, where it knows that a and b are always null,
    as e-mails are among a few records without any. Scoring takes the same time without.
    """
    con = duckdb.connect(":memory:")
    try:
        con.execute("SET lambda_syntax='ENABLE_SINGLE_ARROW'")
        for macro in (*MACROS, *MARK_MACROS):
            con.execute(f"CREATE MACRO {macro}")
        con.execute("SET preserve_insertion_order=true")
        con.execute("SET enable_progress_bar=false")
        con.execute("SET disabled_optimizers='statistics_propagation'")
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
    """One thread: random draws of DuckDB and sums of floats come out the same each time."""
    con.execute("SET threads=1")
    try:
        yield
    finally:
        con.execute("RESET threads" if settings.threads is None else f"SET threads={settings.threads}")


class _Quiet:
    """Splink's log level while anybody wants it quiet; both kinds may be linked at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted_by = 0
        self._level = logging.NOTSET

    def begin(self) -> None:
        logger = logging.getLogger("splink")
        with self._lock:
            if self._wanted_by == 0:
                self._level = logger.level
                logger.setLevel(logging.CRITICAL)
            self._wanted_by += 1

    def end(self) -> None:
        with self._lock:
            self._wanted_by -= 1
            if self._wanted_by == 0:
                logging.getLogger("splink").setLevel(self._level)


_quiet = _Quiet()


@contextmanager
def quiet_splink() -> Iterator[None]:
    """Keep Splink's progress messages out of the run's log; its errors still raise."""
    import splink  # noqa: F401 - its import sets the level that is put back afterwards

    _quiet.begin()
    try:
        yield
    finally:
        _quiet.end()


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

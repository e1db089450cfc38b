"""Asking the catalog: SQL that reads, of nothing but the file and what its views read in place.

How the file is made belongs to `crm_hygiene.catalog`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import duckdb
import polars as pl

from crm_hygiene.catalog import STATES
from crm_hygiene.catalog_history import quoted
from crm_hygiene.errors import ConfigurationError


def _shown(relation: duckdb.DuckDBPyRelation) -> list[str]:
    """The columns of a result in forms a frame can hold: names that occur once, intervals as text."""
    shown: list[str] = []
    names: list[str] = []
    for position, (column, kind) in enumerate(zip(relation.columns, relation.types, strict=True), start=1):
        name = column if column not in names else f"{column}_{position}"
        names.append(name)
        cell = f"#{position}"
        shown.append(f"{f'CAST({cell} AS VARCHAR)' if kind == 'INTERVAL' else cell} AS {quoted(name)}")
    return shown


def _only_reads(statement: duckdb.Statement) -> bool:
    """Whether a statement surely writes no file: a PIVOT (which is MULTI) and an EXPLAIN may hold a COPY."""
    if statement.type in (duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI):
        return re.search(r"\bcopy\b", statement.query, re.IGNORECASE) is None
    return statement.type == duckdb.StatementType.SELECT


def _readable_files(connection: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    """Files of the lake that the catalog's views read; none for SQL that does more than select.

    DuckDB lets whoever may read a file write it as well, even where the catalog is opened read-only.
    """
    if not all(map(_only_reads, connection.extract_statements(sql))):
        return []
    rows = connection.execute(f"SELECT DISTINCT unnest(files) FROM {STATES} ORDER BY 1").fetchall()
    return [row[0] for row in rows if "://" not in row[0]]


def _allow_files(connection: duckdb.DuckDBPyConnection, files: Collection[str]) -> None:
    """Let the connection read these files and no others, nor anything else outside of what it has open."""
    connection.execute("SET allowed_paths = ?", [sorted(files)])
    connection.execute("SET enable_external_access = false")


def query(path: Path, sql: str) -> pl.DataFrame:
    """Run SQL read-only on the catalog.

    Raises
    ------
    ConfigurationError
        if there is no catalog yet or the SQL is wrong; the message is DuckDB's, which names the
        nearest table or column.
    """
    if not path.exists():
        raise ConfigurationError(f"{path}: there is no catalog yet; `crm-hygiene run` makes it")
    files: list[str] = []
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            files = _readable_files(connection, sql)
            _allow_files(connection, files)
            relation = connection.sql(sql)
            if relation is None:
                return pl.DataFrame()
            relation = relation.project(", ".join(_shown(relation)))
            table = relation.to_arrow_table()
    except duckdb.Error as error:
        # Of a file that is gone DuckDB says that it may not look for it.
        gone = [f for f in files if f in str(error) and not Path(f).exists()]
        if gone:
            raise ConfigurationError(
                f"{gone[0]} is not there any more: the catalog reads it in place. "
                "If the lake was moved, the next night names its files where they are now"
            ) from error
        raise ConfigurationError(str(error)) from error
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame

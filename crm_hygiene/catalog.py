"""The catalog: one DuckDB file with every published table by its name, for analysts.

It is built beside the live file and put in its place in one step, so a reader never sees half a
night and an open reader keeps the file it opened. Tables whose content did not change are taken
over from the last catalog. Nothing is installed or downloaded to read it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from crm_hygiene.contract import Contract
from crm_hygiene.errors import ConfigurationError, LakeError
from crm_hygiene.lake import Lake


@dataclass(frozen=True)
class CatalogBuild:
    """What a build did: tables copied anew, tables taken over, size of the file in bytes."""

    copied: list[str]
    kept: list[str]
    byte_count: int


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _known_states(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    found = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'main' AND table_name = 'catalog_states'"
    ).fetchall()
    if not found[0][0]:
        connection.execute("CREATE TABLE main.catalog_states (table_name VARCHAR, state VARCHAR)")
        return {}
    return dict(connection.execute("SELECT table_name, state FROM main.catalog_states").fetchall())


def _live_states(path: Path) -> dict[str, str]:
    """States of the tables in the live catalog; empty if it is damaged, so that it is built anew."""
    try:
        with duckdb.connect(str(path), read_only=True) as live:
            return dict(live.execute("SELECT table_name, state FROM main.catalog_states").fetchall())
    except duckdb.Error:
        return {}


def _copy(connection: duckdb.DuckDBPyConnection, lake: Lake, contract: Contract) -> None:
    layer, name = contract.table.split(".", 1)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(layer)}")
    target = f"{_quoted(layer)}.{_quoted(name)}"
    connection.execute(f"DROP TABLE IF EXISTS {target}")
    uris = lake.file_uris(contract.table)
    if "://" in lake.uri or not uris:
        frame = lake.scan(contract).collect()
        connection.register("incoming", frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
        connection.execute(f"CREATE TABLE {target} AS SELECT * FROM incoming")
        connection.unregister("incoming")
    else:
        # union_by_name: a mapping that grew has older files without the newer columns
        listed = ", ".join(_literal(uri) for uri in sorted(uris))
        connection.execute(
            f"CREATE TABLE {target} AS SELECT * FROM read_parquet([{listed}], union_by_name = true)"
        )
    connection.execute(f"COMMENT ON TABLE {target} IS {_literal(contract.meaning)}")
    present = {row[0] for row in connection.execute(f"DESCRIBE {target}").fetchall()}
    for column in contract.columns:
        if column.name in present:
            connection.execute(
                f"COMMENT ON COLUMN {target}.{_quoted(column.name)} IS {_literal(column.meaning)}"
            )


def build_catalog(lake: Lake, contracts: list[Contract], path: Path) -> CatalogBuild:
    """Bring `path` up to the live version of every published table among `contracts`.

    Raises
    ------
    LakeError
        if the file cannot be written; the last catalog stays.
    """
    staged = path.with_name(f".{path.name}.{os.getpid()}.staged")
    copied: list[str] = []
    kept: list[str] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for abandoned in path.parent.glob(f".{path.name}.*.staged*"):
            abandoned.unlink(missing_ok=True)  # a kill left it behind
        states = {c.table: lake.state(c.table) for c in contracts}
        published = [c for c in contracts if states[c.table] != "absent"]
        if path.exists():
            known = _live_states(path)
            if known == {c.table: states[c.table] for c in published}:
                return CatalogBuild([], sorted(known), path.stat().st_size)
            if known:
                shutil.copyfile(path, staged)
        with duckdb.connect(str(staged)) as connection:
            # One transaction: a thousand comments would otherwise each be flushed to disk.
            connection.execute("BEGIN TRANSACTION")
            known = _known_states(connection)
            for contract in published:
                if known.get(contract.table) == states[contract.table]:
                    kept.append(contract.table)
                    continue
                _copy(connection, lake, contract)
                copied.append(contract.table)
            for gone in known.keys() - {c.table for c in published}:
                layer, name = gone.split(".", 1)
                connection.execute(f"DROP TABLE IF EXISTS {_quoted(layer)}.{_quoted(name)}")
            connection.execute("DELETE FROM main.catalog_states")
            for contract in published:
                connection.execute(
                    "INSERT INTO main.catalog_states VALUES (?, ?)", [contract.table, states[contract.table]]
                )
            connection.execute("COMMIT")
        staged.replace(path)
    except (duckdb.Error, OSError) as error:
        raise LakeError(f"{path}: the catalog was not replaced, the last one stays: {error}") from error
    finally:
        for leftover in (staged, staged.with_name(staged.name + ".wal")):
            leftover.unlink(missing_ok=True)
    return CatalogBuild(copied, kept, path.stat().st_size)


def _shown(relation: duckdb.DuckDBPyRelation) -> list[str]:
    """The columns of a result in forms a frame can hold: names that occur once, intervals as text."""
    shown: list[str] = []
    names: list[str] = []
    for position, (column, kind) in enumerate(zip(relation.columns, relation.types, strict=True), start=1):
        name = column if column not in names else f"{column}_{position}"
        names.append(name)
        cell = f"#{position}"
        shown.append(f"{f'CAST({cell} AS VARCHAR)' if kind == 'INTERVAL' else cell} AS {_quoted(name)}")
    return shown


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
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            connection.execute("SET enable_external_access = false")
            relation = connection.sql(sql)
            if relation is None:
                return pl.DataFrame()
            relation = relation.project(", ".join(_shown(relation)))
            table = relation.to_arrow_table()
    except duckdb.Error as error:
        raise ConfigurationError(str(error)) from error
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame

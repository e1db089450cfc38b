"""Loading tables of the lake into the catalog, several at once.

A load works mostly on one core: a table has few files and few row groups, and its columns are compressed
as it ends. So tables are read beside each other under names of their own, and renamed when their turn
comes. Which tables are loaded, and what their past is, belongs to `crm_hygiene.catalog`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import polars as pl

from crm_hygiene.catalog_history import DUCKDB_TYPES, literal, qualified, quoted
from crm_hygiene.catalog_macros import column_comment, table_comment
from crm_hygiene.contract import Contract
from crm_hygiene.lake import Lake

# Tables read at once; each holds some row groups until they are compressed.
_AT_ONCE = 2


def source(connection: duckdb.DuckDBPyConnection, contract: Contract, files: Sequence[str]) -> str:
    """SQL of the rows of `files` in the contract's columns; landing has the columns of the exports."""
    # union_by_name: a mapping that grew has older files without the newer columns
    read = f"read_parquet([{', '.join(map(literal, sorted(files)))}], union_by_name = true)"
    if contract.layer == "landing":
        return f"SELECT * FROM {read}"
    have = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {read}").fetchall()}
    cells = (
        f"CAST({quoted(c.name) if c.name in have else 'NULL'} AS {DUCKDB_TYPES[c.type]}) AS {quoted(c.name)}"
        for c in contract.columns
    )
    return f"SELECT {', '.join(cells)} FROM {read}"


def comment(
    connection: duckdb.DuckDBPyConnection, contract: Contract, target: str, kind: str = "TABLE"
) -> None:
    """Say of a table (or VIEW) and its columns what its contract says; `target` is an identifier of SQL."""
    present = {row[0] for row in connection.execute(f"DESCRIBE {target}").fetchall()}
    comments = [f"COMMENT ON {kind} {target} IS {literal(table_comment(contract))}"] + [
        f"COMMENT ON COLUMN {target}.{quoted(name)} IS {literal(column_comment(contract, name))}"
        for name in contract.column_names
        if name in present
    ]
    connection.execute(";".join(comments))


class Arrivals:
    """Versions of tables on their way into the file that `connection` has open.

    `fetch` reads them outside of any transaction, `load` gives one its name, `clear` drops what nobody
    took.

    Attributes
    ----------
    commented
        tables fetched with the comments on them.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
        self._connection, self._lake = connection, lake
        self._waiting: dict[tuple[str, int | None], str] = {}
        self.commented: set[str] = set()

    def fetch(self, wanted: Sequence[tuple[Contract, int | None]]) -> None:
        """Read versions (None: the live one) of tables of a local lake, the largest first.

        Raises
        ------
        duckdb.Error
            if one cannot be read or written.
        """
        if "://" in self._lake.uri:
            return
        files = {(c.table, version): self._lake.file_uris(c.table, version) for c, version in wanted}
        filled = [(c, version) for c, version in wanted if files[c.table, version]]
        filled.sort(key=lambda w: -sum(Path(f).stat().st_size for f in files[w[0].table, w[1]]))
        for layer in sorted({c.layer for c, _ in filled}):
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(layer)}")

        def read(contract: Contract, version: int | None) -> None:
            target = f"{contract.table} arrived"
            with self._connection.cursor() as mine:
                rows = source(mine, contract, files[contract.table, version])
                # One transaction: a thousand comments would otherwise each be flushed to disk.
                mine.execute("BEGIN TRANSACTION")
                mine.execute(f"CREATE TABLE {qualified(target)} AS {rows}")
                comment(mine, contract, qualified(target))
                mine.execute("COMMIT")
            self.commented.add(contract.table)
            self._waiting[contract.table, version] = target

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda w: read(*w), filled))

    def load(self, contract: Contract, target: str, version: int | None) -> None:
        """Make `target`, an identifier of SQL in the table's schema, a version of the table."""
        connection = self._connection
        connection.execute(f"DROP TABLE IF EXISTS {target}")
        if arrived := self._waiting.pop((contract.table, version), None):
            connection.execute(f"ALTER TABLE {qualified(arrived)} RENAME TO {target.split('.', 1)[1]}")
            return
        files = self._lake.file_uris(contract.table, version)
        if "://" in self._lake.uri or not files:
            frame = self._lake.scan(contract, version).collect()
            connection.register("arrived", frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
            connection.execute(f"CREATE TABLE {target} AS SELECT * FROM arrived")
            connection.unregister("arrived")
        else:
            connection.execute(f"CREATE TABLE {target} AS {source(connection, contract, files)}")

    def clear(self) -> None:
        """Drop what was fetched and not loaded."""
        for table in self._waiting.values():
            self._connection.execute(f"DROP TABLE {qualified(table)}")
        self._waiting.clear()

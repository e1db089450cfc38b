"""Tables of the catalog of which only some rows changed: those rows are exchanged, the others stay.

Loading a table compresses every column of it; comparing hashes of its rows with those of the new files costs
a fraction. Which tables are compared, and what their past is, belongs to `crm_hygiene.catalog`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from crm_hygiene.catalog_history import DUCKDB_TYPES, literal, qualified, quoted
from crm_hygiene.catalog_loading import source
from crm_hygiene.contract import Contract

# Beyond this share of its rows a table is loaded whole.
_MOST_MOVED = 0.1

# Rows deleted leave room in the file that only a load gives back.
_MOST_ROOM = 1.5

# A table of fewer rows is loaded whole sooner than it is compared.
_FEWEST_ROWS = 10_000


@dataclass(frozen=True)
class Move:
    """Rows that went from a table and rows that came, in temporary tables, as identifiers of SQL."""

    gone: str
    come: str

    def drop(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Drop the temporary tables."""
        for part in (self.gone, self.come):
            connection.execute(f"DROP TABLE IF EXISTS {part}")


def exchange_rows(
    connection: duckdb.DuckDBPyConnection, contract: Contract, files: Sequence[str]
) -> Move | None:
    """Turn the catalog's table into the rows of `files`; None, and nothing done, where it is better loaded.

    Rows are told apart by two 64-bit hashes, of their key and of all their cells. Not within a transaction.
    """
    target = qualified(contract.table)
    columns = [(c.name, DUCKDB_TYPES[c.type]) for c in contract.columns]
    if contract.layer == "landing" or not files:
        return None
    found = [(row[0], row[1]) for row in connection.execute(f"DESCRIBE {target}").fetchall()]
    if found != columns:
        return None
    rows, places = connection.execute(f"SELECT count(*), max(rowid) + 1 FROM {target}").fetchall()[0]
    if rows < _FEWEST_ROWS or places > _MOST_ROOM * rows:
        return None
    cells = ", ".join(quoted(name) for name, _ in columns)
    key = ", ".join(quoted(name) for name in contract.key)
    told = f"hash({key}) AS k, hash({cells}) AS h"
    was, come, gone = (_temporary(contract, part) for part in ("was", "come", "gone"))
    most = int(_MOST_MOVED * rows)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {was} AS SELECT rowid AS place, {told} FROM {target}")
    arriving = f"(SELECT *, {told} FROM ({source(connection, contract, files)}))"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {come} AS SELECT {cells} FROM {arriving} n"
        f" ANTI JOIN {was} o ON n.k = o.k AND n.h = o.h LIMIT {most + 1}"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {gone} AS SELECT rowid AS place, * FROM {target} WHERE rowid IN"
        f" (SELECT place FROM {was} o ANTI JOIN {arriving} n ON n.k = o.k AND n.h = o.h LIMIT {most + 1})"
    )
    connection.execute(f"DROP TABLE {was}")
    move = Move(gone, come)
    counts = [connection.execute(f"SELECT count(*) FROM {part}").fetchall()[0][0] for part in (come, gone)]
    if max(counts) > most or not _is_exchanged(connection, target, move, files):
        move.drop(connection)
        return None
    return move


def _is_exchanged(
    connection: duckdb.DuckDBPyConnection, target: str, move: Move, files: Sequence[str]
) -> bool:
    """Exchange the rows, unless as many as the files have do not come of it (rows that repeat)."""
    connection.execute("BEGIN TRANSACTION")
    connection.execute(f"DELETE FROM {target} WHERE rowid IN (SELECT place FROM {move.gone})")
    connection.execute(f"INSERT INTO {target} BY NAME SELECT * FROM {move.come}")
    listed = ", ".join(map(literal, files))
    same = connection.execute(
        f"SELECT (SELECT count(*) FROM {target}) = (SELECT count(*) FROM read_parquet([{listed}]))"
    ).fetchall()[0][0]
    connection.execute("COMMIT" if same else "ROLLBACK")
    return bool(same)


def _temporary(contract: Contract, part: str) -> str:
    return f"temp.main.{quoted(f'{contract.table} {part}')}"

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
    if not _is_table(connection, contract):  # a view on files until now: no rows of its own
        return None
    rows, places = connection.execute(f"SELECT count(*), max(rowid) + 1 FROM {target}").fetchall()[0]
    if rows < _FEWEST_ROWS or places > _MOST_ROOM * rows:
        return None
    most = int(_MOST_MOVED * rows)
    move = _difference(connection, contract, files, most)
    counts = [
        connection.execute(f"SELECT count(*) FROM {part}").fetchall()[0][0] for part in (move.come, move.gone)
    ]
    if max(counts) > most or not _is_exchanged(connection, target, move, files):
        move.drop(connection)
        return None
    return move


def _is_table(connection: duckdb.DuckDBPyConnection, contract: Contract) -> bool:
    found = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE schema_name || '.' || table_name = ?", [contract.table]
    ).fetchall()
    return bool(found[0][0])


def _difference(
    connection: duckdb.DuckDBPyConnection, contract: Contract, files: Sequence[str], most: int
) -> Move:
    """Rows that the table has and `files` have not, and those it lacks; beyond `most` some are left out."""
    target = qualified(contract.table)
    cells = ", ".join(quoted(c.name) for c in contract.columns)
    key = ", ".join(quoted(name) for name in contract.key)
    told = f"hash({key}) AS k, hash({cells}) AS h"
    was, moved, come, gone = (_temporary(contract, part) for part in ("was", "moved", "come", "gone"))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {was} AS SELECT rowid AS place, {told} FROM {target}")
    arriving = f"(SELECT *, {told} FROM ({source(connection, contract, files)}))"
    # The files are read once, past a table of the hashes alone: the other way round they would be held whole.
    connection.execute("SET disabled_optimizers = 'build_side_probe_side'")
    try:
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {moved} AS SELECT o.place AS left_place, n.* EXCLUDE (k, h)"
            f" FROM {arriving} n FULL OUTER JOIN {was} o ON n.k = o.k AND n.h = o.h"
            f" WHERE n.k IS NULL OR o.place IS NULL LIMIT {2 * most + 2}"
        )
    finally:
        connection.execute("RESET disabled_optimizers")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {come} AS SELECT {cells} FROM {moved} WHERE left_place IS NULL"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {gone} AS SELECT rowid AS place, * FROM {target} WHERE rowid IN"
        f" (SELECT left_place FROM {moved} WHERE left_place IS NOT NULL)"
    )
    for done in (was, moved):
        connection.execute(f"DROP TABLE {done}")
    return Move(gone, come)


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

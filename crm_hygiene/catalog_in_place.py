"""Tables that the catalog reads where they lie: views on the files of their live versions.

What golden is made of and the plan of changes are most of a lake. A copy of them would take a night longer
than all the rest of the catalog, and their disk once more, while few ask for them. Files of a version that a
night published stay as long as upkeep keeps its run, so a view tells the same until the next night makes it
anew. Tables whose past the catalog keeps are in it, and so is everything of a lake in an object store, which
DuckDB reads with an extension that would have to be downloaded.
"""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from crm_hygiene.catalog_history import is_remembered, qualified
from crm_hygiene.catalog_loading import comment, source
from crm_hygiene.catalog_macros import HELPERS
from crm_hygiene.contract import Contract
from crm_hygiene.lake import Lake

_LAYERS = ("landing", "conformed", "linked", "writeback")
_TABLES = ("golden.provenance",)

# What is asked of golden ids anywhere works in a copy of the file as well.
_HELD = {table for helper in HELPERS for table in helper.needs}


def is_read_in_place(lake: Lake, contract: Contract, files: Collection[str]) -> bool:
    """Whether the catalog has a view on `files`, those of the live version; without files it has none."""
    is_one = contract.table in _TABLES or (contract.layer in _LAYERS and contract.table not in _HELD)
    return bool(files) and is_one and not is_remembered(contract) and "://" not in lake.uri


def read_in_place(connection: duckdb.DuckDBPyConnection, contract: Contract, files: Collection[str]) -> None:
    """Make the view, with comments, in place of what the catalog has by that name."""
    drop(connection, contract.table)
    target = qualified(contract.table)
    connection.execute(f"CREATE VIEW {target} AS {source(connection, contract, sorted(files))}")
    comment(connection, contract, target, kind="VIEW")


def drop(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Drop a table or a view, whichever has the name."""
    layer, name = table.split(".", 1)
    found = connection.execute(
        "SELECT table_type FROM information_schema.tables WHERE table_schema = ? AND table_name = ?",
        [layer, name],
    ).fetchall()
    for (kind,) in found:
        connection.execute(f"DROP {'VIEW' if kind == 'VIEW' else 'TABLE'} {qualified(table)}")

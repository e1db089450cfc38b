"""Past nights in the catalog: how a table stood at an earlier time, without the lake.

Beside each remembered table lies its undo log, `history.<layer>_<table>`: a row as it was before a
night replaced it, or the bare key of a row that a night added. The table at a moment is the live
one without the keys that were replaced since, and with their first row replaced since. So the log
costs what changed, a vacuum of the lake takes nothing from it, and the file can be copied away.

Columns that age (`crm_hygiene.contract.Column`) change every night in every row. They make no row a
replaced one, and are null for past moments.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta

import duckdb

from crm_hygiene.contract import Column, Contract

HISTORY = "history"

# Layers whose tables analysts ask about the past of, and tables besides: which record was whose.
_REMEMBERED_LAYERS = ("golden", "reconciled")
_REMEMBERED = ("linked.person_members", "linked.organisation_members")

# A cell's past follows from its record's; as rows they would outweigh all the rest.
_FORGOTTEN = ("golden.provenance",)

DUCKDB_TYPES = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "float": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "money": "DECIMAL(18,4)",
    "strings": "VARCHAR[]",
}


def literal(text: str) -> str:
    """`text` as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """`name` as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def qualified(table: str) -> str:
    """`golden.contacts` as an identifier of SQL."""
    return ".".join(quoted(part) for part in table.split(".", 1))


def is_remembered(contract: Contract) -> bool:
    """Whether the catalog keeps the table's past."""
    if contract.table in _FORGOTTEN:
        return False
    return contract.layer in _REMEMBERED_LAYERS or contract.table in _REMEMBERED


def history_of(contract: Contract) -> str:
    """Name of the table's undo log."""
    return f"{HISTORY}.{contract.table.replace('.', '_')}"


def _moment(at: datetime) -> str:
    return f"TIMESTAMPTZ {literal(at.isoformat())}"


def _layout(contract: Contract) -> str:
    """What must stay for the log to stay readable: the key and the types."""
    return json.dumps([contract.key, {c.name: c.type for c in contract.columns}])


def _fits(before: str, contract: Contract) -> bool:
    """Whether a log of an earlier contract can go on: the same key, no column of another type."""
    key, types = json.loads(before)
    return tuple(key) == contract.key and all(
        types.get(column.name, column.type) == column.type for column in contract.columns
    )


def make_register(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `history.tables`, the list of what is remembered since when."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {HISTORY}")
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {HISTORY}.tables (table_name VARCHAR, layout VARCHAR,"
        " remembered_from TIMESTAMP WITH TIME ZONE, published_at TIMESTAMP WITH TIME ZONE)"
    )
    connection.execute(
        f"COMMENT ON TABLE {HISTORY}.tables IS 'Tables whose past is kept: from when on as_of can tell it,"
        " and when the live rows were published.'"
    )


def begin(connection: duckdb.DuckDBPyConnection, contract: Contract, published_at: datetime) -> None:
    """Start the table's log anew: nothing before `published_at` is known."""
    log = qualified(history_of(contract))
    forget(connection, contract.table)
    columns = ", ".join(f"{quoted(c.name)} {DUCKDB_TYPES[c.type]}" for c in contract.columns)
    connection.execute(
        f"CREATE TABLE {log} ({columns}, replaced_at TIMESTAMP WITH TIME ZONE, was_absent BOOLEAN)"
    )
    connection.execute(
        f"COMMENT ON TABLE {log} IS {literal(f'Rows of {contract.table} as they were until replaced_at.')}"
    )
    for name, meaning in (
        ("replaced_at", "When a night changed, removed or (was_absent) added the row."),
        ("was_absent", "The row did not exist before; only its key is filled."),
    ):
        connection.execute(f"COMMENT ON COLUMN {log}.{name} IS {literal(meaning)}")
    connection.execute(
        f"INSERT INTO {HISTORY}.tables VALUES (?, ?, {_moment(published_at)}, {_moment(published_at)})",
        [contract.table, _layout(contract)],
    )


def forget(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Drop the table's log and its macro."""
    layer, name = table.split(".", 1)
    connection.execute(f"DROP TABLE IF EXISTS {HISTORY}.{quoted(table.replace('.', '_'))}")
    connection.execute(f"DROP MACRO TABLE IF EXISTS {quoted(layer)}.{quoted(name + '_as_of')}")
    connection.execute(f"DELETE FROM {HISTORY}.tables WHERE table_name = ?", [table])


def prepare(connection: duckdb.DuckDBPyConnection, contract: Contract) -> bool:
    """Whether the log can go on under today's contract; adds columns that are new to it."""
    found = connection.execute(
        f"SELECT layout FROM {HISTORY}.tables WHERE table_name = ?", [contract.table]
    ).fetchall()
    if not found or not _fits(found[0][0], contract):
        return False
    known = json.loads(found[0][0])[1]
    for column in contract.columns:
        if column.name not in known:
            connection.execute(
                f"ALTER TABLE {qualified(history_of(contract))}"
                f" ADD COLUMN IF NOT EXISTS {quoted(column.name)} {DUCKDB_TYPES[column.type]}"
            )
    layout = json.dumps([contract.key, known | {c.name: c.type for c in contract.columns}])
    connection.execute(
        f"UPDATE {HISTORY}.tables SET layout = ? WHERE table_name = ?", [layout, contract.table]
    )
    return True


def _names(columns: Iterable[str], alias: str = "") -> str:
    return ", ".join(f"{alias}{quoted(name)}" for name in columns)


def remember(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    before: str,
    after: str,
    published_at: datetime,
) -> None:
    """Log what turns the table `before` into `after`, both identifiers of SQL, published at that time."""
    log = qualified(history_of(contract))
    have = {row[0] for row in connection.execute(f"DESCRIBE {before}").fetchall()}
    kept = [name for name in contract.column_names if name in have]
    compared = [name for name in contract.told_by if name not in contract.key]
    same_key = " AND ".join(f"o.{quoted(k)} = n.{quoted(k)}" for k in contract.key)
    changed = " OR ".join(
        [f"n.{quoted(contract.key[0])} IS NULL"]
        + [
            f"{f'o.{quoted(name)}' if name in have else 'NULL'} IS DISTINCT FROM n.{quoted(name)}"
            for name in compared
        ]
    )
    at = _moment(published_at)
    connection.execute(
        f"INSERT INTO {log} ({_names(kept)}, replaced_at, was_absent)"
        f" SELECT {_names(kept, 'o.')}, {at}, false FROM {before} o LEFT JOIN {after} n ON {same_key}"
        f" WHERE {changed}"
    )
    connection.execute(
        f"INSERT INTO {log} ({_names(contract.key)}, replaced_at, was_absent)"
        f" SELECT {_names(contract.key, 'n.')}, {at}, true FROM {after} n"
        f" ANTI JOIN {before} o ON {same_key}"
    )
    connection.execute(
        f"UPDATE {HISTORY}.tables SET published_at = {at} WHERE table_name = ?", [contract.table]
    )


def shorten(connection: duckdb.DuckDBPyConnection, contract: Contract, days: int, latest: datetime) -> None:
    """Drop what was replaced more than `days` days before `latest`."""
    edge = _moment(latest - timedelta(days=days))
    connection.execute(f"DELETE FROM {qualified(history_of(contract))} WHERE replaced_at <= {edge}")
    connection.execute(
        f"UPDATE {HISTORY}.tables SET remembered_from = greatest(remembered_from, {edge})"
        " WHERE table_name = ?",
        [contract.table],
    )


def _then(column: Column, row: str) -> str:
    name = quoted(column.name)
    if not column.ages:
        return f"{row}.{name}"
    return f"CASE WHEN asked.at >= asked.live_at THEN {row}.{name} END AS {name}"


def as_of_macro(contract: Contract) -> str:
    """SQL of the table macro `<table>_as_of(moment)`: the table as it stood at a moment.

    `moment` is a timestamp, or a date, which stands for the end of that day. A moment before what is
    remembered is an error that says from when on it is.
    """
    layer, name = contract.table.split(".", 1)
    key = _names(contract.key)
    same_key = " AND ".join(f"r.{quoted(k)} = w.{quoted(k)}" for k in contract.key)
    # A date as text has ten characters; no timestamp has.
    instant = (
        "CASE WHEN length(CAST(moment AS VARCHAR)) = 10"
        " THEN CAST(moment AS TIMESTAMPTZ) + INTERVAL 1 DAY ELSE CAST(moment AS TIMESTAMPTZ) END"
    )
    refusal = (
        f"{literal(contract.table + ' is remembered from ')} || CAST(t.remembered_from AS VARCHAR) ||"
        " ' on; nothing earlier is known'"
    )
    return f"""
CREATE OR REPLACE MACRO {quoted(layer)}.{quoted(name + "_as_of")}(moment) AS TABLE
WITH asked AS MATERIALIZED (
    SELECT CASE WHEN {instant} < t.remembered_from THEN error({refusal}) ELSE {instant} END AS at,
        t.published_at AS live_at
    FROM {HISTORY}.tables t WHERE t.table_name = {literal(contract.table)}
), was AS MATERIALIZED (
    SELECT h.* FROM {qualified(history_of(contract))} h, asked WHERE h.replaced_at > asked.at
    QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY replaced_at) = 1
)
SELECT {", ".join(_then(c, "r") for c in contract.columns)}
FROM {qualified(contract.table)} r, asked
WHERE NOT EXISTS (FROM was w WHERE {same_key}) AND asked.at IS NOT NULL
UNION ALL
SELECT {", ".join(_then(c, "w") for c in contract.columns)}
FROM was w, asked WHERE NOT w.was_absent
"""


def make_macros(connection: duckdb.DuckDBPyConnection, contracts: Iterable[Contract]) -> None:
    """Make the macro of every table that has a log."""
    rows = connection.execute(f"SELECT table_name FROM {HISTORY}.tables").fetchall()
    logged = {row[0] for row in rows}
    for contract in contracts:
        if contract.table in logged:
            connection.execute(as_of_macro(contract))
            connection.execute(
                f"COMMENT ON MACRO TABLE {qualified(contract.table + '_as_of')} IS "
                + literal(
                    f"{contract.table} as it stood at a moment, a date meaning the end of that day."
                    " Columns that change with time alone are null for the past."
                )
            )

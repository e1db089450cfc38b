"""What the catalog offers beside the tables: views and macros that spare analysts the usual joins.

Each is plain SQL on tables of the catalog, named with what it needs, and made only where that is
there. What does not belong here: how a table stood in the past (`crm_hygiene.catalog_history`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb

from crm_hygiene.catalog_history import literal
from crm_hygiene.contract import Contract


@dataclass(frozen=True)
class Helper:
    """A view or macro: its kind in SQL, its name, what it is for, the tables it needs, its definition."""

    kind: str
    name: str
    meaning: str
    needs: tuple[str, ...]
    sql: str


_REGISTERS = ("linked.person_entities", "linked.organisation_entities")

HELPERS = (
    Helper(
        "VIEW",
        "main.entity_ids",
        "Every entity id ever published and the live id it stands for; null where the entity is gone.",
        _REGISTERS,
        " UNION ALL ".join(
            f"SELECT entity_id, {kind} AS entity_kind, status,"
            " CASE status WHEN 'live' THEN entity_id WHEN 'alias' THEN resolves_to END AS live_entity_id"
            f" FROM {table}"
            for table, kind in zip(_REGISTERS, ("'person'", "'organisation'"), strict=True)
        ),
    ),
    Helper(
        "MACRO",
        "main.resolve(id)",
        "The live entity id that an id of any night stands for; null if the entity is gone or was never.",
        _REGISTERS,
        "(SELECT e.live_entity_id FROM main.entity_ids e WHERE e.entity_id = id)",
    ),
    Helper(
        "MACRO TABLE",
        "main.as_of(table_name, moment)",
        "A table as it stood at a moment, a date meaning the end of that day:"
        " FROM as_of('golden.contacts', '2026-11-20').",
        (),
        "SELECT * FROM query('FROM ' || table_name || '_as_of(''' || CAST(moment AS VARCHAR) || ''')')",
    ),
)

JOINS = "main.joins"


def _join_rows(contracts: Iterable[Contract]) -> list[tuple[str, str, str, str]]:
    found = []
    for contract in contracts:
        for column in contract.columns:
            if column.references:
                table, _, joined = column.references.rpartition(".")
                found.append((contract.table, column.name, table, joined))
    return found


def make_helpers(connection: duckdb.DuckDBPyConnection, contracts: list[Contract]) -> None:
    """Make the views and macros whose tables are there, and `main.joins`, the list of what joins what."""
    tables = {contract.table for contract in contracts}
    for helper in HELPERS:
        if not tables.issuperset(helper.needs):
            continue
        kind = "MACRO" if helper.kind.startswith("MACRO") else helper.kind
        body = f"TABLE {helper.sql}" if helper.kind == "MACRO TABLE" else helper.sql
        connection.execute(f"CREATE OR REPLACE {kind} {helper.name} AS {body}")
        connection.execute(
            f"COMMENT ON {helper.kind} {helper.name.split('(')[0]} IS {literal(helper.meaning)}"
        )
    connection.execute(f"DROP TABLE IF EXISTS {JOINS}")
    connection.execute(
        f"CREATE TABLE {JOINS} (table_name VARCHAR, column_name VARCHAR,"
        " joins_table VARCHAR, joins_column VARCHAR)"
    )
    connection.execute(f"COMMENT ON TABLE {JOINS} IS 'Which column joins which table.'")
    for row in _join_rows(contracts):
        connection.execute(f"INSERT INTO {JOINS} VALUES (?, ?, ?, ?)", row)


def column_comment(contract: Contract, name: str) -> str:
    """What a column means, whether it is personal data, and what it joins."""
    column = next(c for c in contract.columns if c.name == name)
    parts = [column.meaning]
    if column.name in contract.key:
        parts.append("Part of the key." if len(contract.key) > 1 else "The key.")
    if column.values:
        parts.append(f"One of: {', '.join(column.values)}.")
    if column.references:
        parts.append(f"Joins {column.references}.")
    if column.pii:
        parts.append("Personal data.")
    return " ".join(parts)


def table_comment(contract: Contract) -> str:
    """What a table means, what one row is, its key and who owns it."""
    grain = contract.grain[:1].upper() + contract.grain[1:]
    return f"{contract.meaning} {grain}; key: {', '.join(contract.key)}; owner: {contract.owner}."

"""PostgreSQL rows: the statements that lock, change, make, mark and point rows.

What does not belong here: what an operation is made of (`postgresql_operations`), transactions and errors
(`postgresql`), types and names (`postgresql_tables`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crm_hygiene.writeback.operations import Operation
from crm_hygiene.writeback.targets.postgresql_tables import Column, Table, identifier, value

if TYPE_CHECKING:
    from psycopg import Connection, sql

LockedRow = tuple[int, dict[str, str | None]]
"""A row locked for us: its version and its values by field."""


class Rows:
    """The rows of one database, inside the caller's transaction; a database error is the caller's to read."""

    def __init__(self, connection: Connection[Any], table_of: Callable[[str], Table]) -> None:
        self._connection = connection
        self._table_of = table_of

    def lock(self, table: Table, record_id: str | None, fields: Sequence[str]) -> LockedRow | None:
        """The row by the fields asked for, locked until the transaction ends; None if there is none."""
        from psycopg import sql

        columns = {f: table.column(f) for f in fields}
        statement = sql.SQL("select {version}{columns} from {table} where {key} = {value} for update").format(
            version=identifier(table.version),
            columns=_as_texts(columns),
            table=table.quoted,
            key=identifier(table.key),
            value=value(table.key),
        )
        found = self._connection.execute(statement, [record_id]).fetchone()
        return None if found is None else (found[0], dict(zip(columns, found[1:], strict=True)))

    def update(
        self, table: Table, record_id: str | None, change: Mapping[str, str | None], version: int
    ) -> int:
        """The new version; the row is locked, and the version in the condition says so once more.

        Without a change the version stays: the next merge into the same survivor knows it as it was read.
        """
        from psycopg import sql

        if not change:
            return version
        columns = {table.writable(f): v or None for f, v in change.items()}
        statement = sql.SQL(
            "update {table} set {columns}{version} = {version} + 1 "
            "where {key} = {value} and {version} = %s returning {version}"
        ).format(
            table=table.quoted,
            columns=sql.SQL("").join(sql.SQL("{} = {}, ").format(identifier(c), value(c)) for c in columns),
            version=identifier(table.version),
            key=identifier(table.key),
            value=value(table.key),
        )
        found = self._connection.execute(statement, [*columns.values(), record_id, version]).fetchone()
        if found is None:
            raise RuntimeError(f"{table.name}: a locked row changed its version")
        return int(found[0])

    def insert(
        self, table: Table, texts: Mapping[Column, str | None], external: Column
    ) -> tuple[str, int] | None:
        """Key and version of a new row; None if `external` has its value already."""
        from psycopg import sql

        statement = sql.SQL(
            "insert into {table} ({columns}) values ({values}) on conflict ({external}) do nothing "
            "returning {key}::text, {version}"
        ).format(
            table=table.quoted,
            columns=sql.SQL(", ").join(identifier(c) for c in texts),
            values=sql.SQL(", ").join(value(c) for c in texts),
            external=identifier(external),
            key=identifier(table.key),
            version=identifier(table.version),
        )
        return self._connection.execute(statement, list(texts.values())).fetchone()

    def find(self, table: Table, external: Column, given: str) -> tuple[str, int] | None:
        """Key and version of the row whose unique column `external` holds a value."""
        from psycopg import sql

        statement = sql.SQL("select {key}::text, {version} from {table} where {external} = {given}").format(
            table=table.quoted,
            key=identifier(table.key),
            version=identifier(table.version),
            external=identifier(external),
            given=value(external),
        )
        return self._connection.execute(statement, [given]).fetchone()

    def delete(self, table: Table, record_id: str | None) -> None:
        """Delete one row."""
        from psycopg import sql

        statement = sql.SQL("delete from {table} where {key} = {value}").format(
            table=table.quoted, key=identifier(table.key), value=value(table.key)
        )
        self._connection.execute(statement, [record_id])

    def mark(self, table: Table, record_id: str) -> str | None:
        """The record a loser was merged into."""
        from psycopg import sql

        if table.merged is None:
            return None
        statement = sql.SQL("select {merged}::text from {table} where {key} = {value}").format(
            merged=identifier(table.merged),
            table=table.quoted,
            key=identifier(table.key),
            value=value(table.key),
        )
        found = self._connection.execute(statement, [record_id]).fetchone()
        return None if found is None else found[0]

    def remove(self, table: Table, loser: str, survivor: str) -> dict[str, Any]:
        """Mark or delete a loser; its row as it was."""
        from psycopg import sql

        parts = {"table": table.quoted, "key": identifier(table.key), "value": value(table.key)}
        image = self._connection.execute(
            sql.SQL("select to_jsonb(t)::text from {table} t where {key} = {value}").format(**parts), [loser]
        ).fetchone()
        if table.merged is not None:
            statement = sql.SQL(
                "update {table} set {merged} = {survivor}, {version} = {version} + 1 where {key} = {value}"
            ).format(
                **parts,
                merged=identifier(table.merged),
                survivor=value(table.merged),
                version=identifier(table.version),
            )
            self._connection.execute(statement, [survivor, loser])
        else:
            self.delete(table, loser)
        return dict(json.loads(image[0])) if image else {}

    def bring_back(self, table: Table, loser: str, image: Mapping[str, Any]) -> None:
        """Take `remove` back: the mark, or the whole row from its image."""
        from psycopg import sql

        if table.merged is not None:
            statement = sql.SQL(
                "update {table} set {merged} = null, {version} = {version} + 1 where {key} = {value}"
            ).format(
                table=table.quoted,
                merged=identifier(table.merged),
                version=identifier(table.version),
                key=identifier(table.key),
                value=value(table.key),
            )
            self._connection.execute(statement, [loser])
            return
        columns = [c for n, c in table.columns.items() if n in image]
        columns = [c for c in columns if not c.is_generated or c.name == table.key.name]
        statement = sql.SQL(
            "insert into {table} ({columns}) overriding system value "
            "select {columns} from jsonb_populate_record(null::{table}, %s::jsonb)"
        ).format(table=table.quoted, columns=sql.SQL(", ").join(identifier(c) for c in columns))
        self._connection.execute(statement, [json.dumps(image)])

    def reparent(self, operation: Operation, table: Table, losers: Sequence[str]) -> list[dict[str, str]]:
        """Point every child of a loser at the survivor, also those made since the plan; what was moved."""
        from psycopg import sql

        moved = []
        for name, field in sorted({*table.children, *((c.object, c.field) for c in operation.children)}):
            child = self._table_of(name)
            parts = {
                "table": child.quoted,
                "field": identifier(child.column(field)),
                "key": identifier(child.key),
                "value": value(child.column(field)),
            }
            find = sql.SQL("select {key}::text from {table} where {field} = {value} order by 1").format(
                **parts
            )
            for loser in losers:
                for (record_id,) in self._connection.execute(find, [loser]).fetchall():
                    if self.point(child, field, record_id, loser, operation.record_id or ""):
                        moved.append({"object": name, "field": field, "record_id": record_id, "loser": loser})
        return moved

    def point(self, table: Table, field: str, record_id: str, before: str, after: str) -> bool:
        """Change a child's parent where it still is `before`; whether it was."""
        from psycopg import sql

        column = table.column(field)
        statement = sql.SQL(
            "update {table} set {field} = {text}, {version} = {version} + 1 "
            "where {key} = {value} and {field} = {text}"
        ).format(
            table=table.quoted,
            field=identifier(column),
            text=value(column),
            version=identifier(table.version),
            key=identifier(table.key),
            value=value(table.key),
        )
        return self._connection.execute(statement, [after, record_id, before]).rowcount == 1


def _as_texts(columns: Mapping[str, Column]) -> sql.Composable:
    from psycopg import sql

    return sql.SQL("").join(sql.SQL(", {}::text").format(identifier(c)) for c in columns.values())

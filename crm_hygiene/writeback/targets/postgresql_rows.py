"""PostgreSQL rows: each kind of operation as the statements of one savepoint, and the operations ledger.

What does not belong here: transactions, errors and answers to them (`postgresql`), types and names
(`postgresql_tables`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crm_hygiene.writeback.operations import Answer, Operation, Outcome
from crm_hygiene.writeback.targets.postgresql_tables import (
    Column,
    Table,
    UnknownColumn,
    Values,
    identifier,
    value,
)

if TYPE_CHECKING:
    from psycopg import Connection, sql

#: The ledger: what was taken, written in the transaction that took it. `stored` is what an unmerge needs.
LEDGER = "crm_hygiene_operations"
LEDGER_COLUMNS = """
operation_id text primary key, kind text not null, object text not null, record_id text,
version bigint, stored jsonb, taken_at timestamptz not null default now()
""".strip().replace("\n", " ")

#: A row locked for us: its version and its values by field.
_Row = tuple[int, dict[str, str | None]]


class Rows:
    """Takes one operation at a time inside the caller's transaction."""

    def __init__(
        self,
        connection: Connection[Any],
        values: Values,
        table_of: Callable[[str], Table],
        ledger_schema: str,
    ) -> None:
        self._connection = connection
        self._values = values
        self._table_of = table_of
        self._ledger_schema = ledger_schema
        # Of this transaction: version of a row before a write of ours -> after it.
        self._ours: dict[tuple[str, str | None, int], int] = {}

    def take(self, operation: Operation) -> Answer:
        """Carry out one operation; a database error is the caller's to read."""
        how = {
            "write": self._write,
            "create": self._create,
            "merge": self._merge,
            "unmerge": self._unmerge,
            "delete": self._delete,
        }
        try:
            return how[operation.kind](operation, self._table_of(operation.object))
        except UnknownColumn as error:
            return _answer(operation, Outcome.REFUSED, str(error), code="FIELD")

    # --- the kinds ---

    def _write(self, operation: Operation, table: Table) -> Answer:
        for field in operation.after:
            table.writable(field)
        row = self._lock(table, operation.record_id, [*operation.before, *operation.after])
        if row is None:
            return _answer(operation, Outcome.CONFLICT, "the record is gone", code="GONE")
        version, held = row
        taken = self._taken(operation)
        if taken is not None and operation.version is not None and int(operation.version) < taken:
            # Taken once, its answer was lost; whatever happened since then is the user's.
            return _answer(operation, Outcome.DONE, version=taken, code="FOUND")
        mark = self._mark(table, operation.record_id or "")
        if mark is not None:
            return _answer(operation, Outcome.CONFLICT, f"merged into record {mark}", code="GONE")
        after = self._values.normalise(table, operation.after)
        here = self._values.normalise(table, held)
        change = {f: v for f, v in operation.after.items() if here[f] != after[f]}
        if not change:
            return _answer(operation, Outcome.DONE, version=version, code="UNCHANGED")
        moved = self._moved(operation, table, row)
        if moved is not None:
            return moved
        new = self._update(table, operation.record_id, change, version)
        self._enter(operation, operation.record_id, new)
        self._ours[operation.object, operation.record_id, version] = new
        return _answer(operation, Outcome.DONE, version=new)

    def _create(self, operation: Operation, table: Table) -> Answer:
        from psycopg import sql

        if operation.external_id is None:
            words = "a create needs a unique column to be found again by"
            return _answer(operation, Outcome.REFUSED, words, code="FIELD")
        field, given = operation.external_id
        external = table.column(field)
        texts: dict[Column, str | None] = {table.writable(f): v for f, v in operation.after.items()}
        texts[external] = given
        texts[table.version] = "1"
        if not table.key.has_default:
            texts[table.key] = given
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
        made = self._connection.execute(statement, list(texts.values())).fetchone()
        if made is not None:
            self._enter(operation, made[0], made[1])
            return _answer(operation, Outcome.DONE, record_id=made[0], version=made[1])
        find = sql.SQL("select {key}::text, {version} from {table} where {external} = {given}").format(
            table=table.quoted,
            key=identifier(table.key),
            version=identifier(table.version),
            external=identifier(external),
            given=value(external),
        )
        found = self._connection.execute(find, [given]).fetchone()
        if found is None:
            # Made and rolled back by another transaction meanwhile.
            return _answer(operation, Outcome.RETRY, "made by another transaction", code="RACE")
        return _answer(operation, Outcome.DONE, record_id=found[0], version=found[1], code="FOUND")

    def _delete(self, operation: Operation, table: Table) -> Answer:
        from psycopg import sql

        row = self._lock(table, operation.record_id, list(operation.before))
        if row is None:
            return _answer(operation, Outcome.DONE, code="FOUND")
        moved = self._moved(operation, table, row)
        if moved is not None:
            return moved
        statement = sql.SQL("delete from {table} where {key} = {value}").format(
            table=table.quoted, key=identifier(table.key), value=value(table.key)
        )
        self._connection.execute(statement, [operation.record_id])
        self._enter(operation, operation.record_id, None)
        return _answer(operation, Outcome.DONE)

    def _merge(self, operation: Operation, table: Table) -> Answer:
        if table.merged is None and not table.deletes_losers:
            words = f"say what becomes of a loser in {table.name}: merged_column, or merge_losers: delete"
            return _answer(operation, Outcome.REFUSED, words, code="KIND")
        for field in operation.after:
            table.writable(field)
        fields = [*operation.before, *operation.after]
        # In the order of their ids, so that two merges never wait for each other.
        ids = sorted({*operation.losers, operation.record_id or ""})
        rows = {i: self._lock(table, i, fields) for i in ids}
        row = rows[operation.record_id or ""]
        if row is None:
            return _answer(operation, Outcome.CONFLICT, "the survivor is gone", code="GONE")
        marks = {i: self._mark(table, i) for i in operation.losers if rows[i] is not None}
        left = [i for i, mark in marks.items() if mark != operation.record_id]
        elsewhere = [i for i in left if marks[i] is not None]
        if elsewhere:
            return _answer(
                operation, Outcome.CONFLICT, "a loser was merged into another record", code="CHANGED"
            )
        if not left:
            return _answer(operation, Outcome.DONE, version=row[0], code="FOUND")
        moved = self._moved(operation, table, row)
        if moved is not None:
            return moved
        after = self._values.normalise(table, operation.after)
        held = {f: [row[1][f], after[f]] for f in operation.after}
        stored = {
            "children": self._reparent(operation, table, left),
            "losers": {i: self._remove(table, i, operation.record_id or "") for i in left},
            "survivor": held,
        }
        new = self._update(table, operation.record_id, operation.after, row[0])
        self._enter(operation, operation.record_id, new, stored)
        return _answer(operation, Outcome.DONE, version=new)

    def _unmerge(self, operation: Operation, table: Table) -> Answer:
        """Take back a merge from what the ledger stored; what users moved since then stays where it is."""
        found = self._stored(operation)
        if found is None:
            words = "the ledger holds no such merge"
            return _answer(operation, Outcome.REFUSED, words, code="NO_MERGE")
        merge_id, stored = found
        row = self._lock(table, operation.record_id, list(stored["survivor"]))
        if row is None:
            return _answer(operation, Outcome.CONFLICT, "the survivor is gone", code="GONE")
        survivor = operation.record_id or ""
        if table.merged is not None and any(self._mark(table, i) != survivor for i in stored["losers"]):
            words = "a loser is no longer merged into the survivor"
            return _answer(operation, Outcome.CONFLICT, words, code="CHANGED")
        for loser, image in stored["losers"].items():
            self._bring_back(table, loser, image)
        left = 0
        for child in stored["children"]:
            left += not self._point(
                self._table_of(child["object"]), child["field"], child["record_id"], survivor, child["loser"]
            )
        here = self._values.normalise(table, row[1])
        back = {f: before for f, (before, after) in stored["survivor"].items() if here[f] == after}
        new = self._update(table, survivor, back, row[0])
        self._enter(operation, survivor, new)
        self._forget(merge_id)
        words = f"{left} children were moved since and stay" if left else ""
        return _answer(operation, Outcome.DONE, words, version=new)

    # --- rows ---

    def _lock(self, table: Table, record_id: str | None, fields: Sequence[str]) -> _Row | None:
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

    def _moved(self, operation: Operation, table: Table, row: _Row) -> Answer | None:
        """A conflict if the row is not as the operation's precondition says."""
        version, held = row
        if operation.version is not None and self._expected(operation) != version:
            words = f"version {operation.version} was read, {version} is there"
            return _answer(operation, Outcome.CONFLICT, words, version=version, code="CHANGED")
        expected = {f: operation.before.get(f) for f in (*operation.before, *operation.after)}
        before = self._values.normalise(table, expected)
        after = self._values.normalise(table, operation.after)
        here = self._values.normalise(table, {f: held[f] for f in expected})
        changed = sorted(f for f in expected if here[f] not in (before[f], after.get(f, before[f])))
        if not changed:
            return None
        words = f"changed since it was read: {', '.join(changed)}"
        return _answer(operation, Outcome.CONFLICT, words, version=version, code="CHANGED")

    def _expected(self, operation: Operation) -> int:
        """The version that was read, or what another operation of this transaction made of it."""
        version = int(operation.version or 0)
        while (operation.object, operation.record_id, version) in self._ours:
            version = self._ours[operation.object, operation.record_id, version]
        return version

    def _update(
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

    def _mark(self, table: Table, record_id: str) -> str | None:
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

    def _remove(self, table: Table, loser: str, survivor: str) -> dict[str, Any]:
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
            self._connection.execute(
                sql.SQL("delete from {table} where {key} = {value}").format(**parts), [loser]
            )
        return dict(json.loads(image[0])) if image else {}

    def _bring_back(self, table: Table, loser: str, image: Mapping[str, Any]) -> None:
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

    def _reparent(self, operation: Operation, table: Table, losers: Sequence[str]) -> list[dict[str, str]]:
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
                    if self._point(child, field, record_id, loser, operation.record_id or ""):
                        moved.append({"object": name, "field": field, "record_id": record_id, "loser": loser})
        return moved

    def _point(self, table: Table, field: str, record_id: str, before: str, after: str) -> bool:
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

    # --- the ledger ---

    @property
    def _ledger(self) -> sql.Identifier:
        from psycopg import sql

        return sql.Identifier(self._ledger_schema, LEDGER)

    def _taken(self, operation: Operation) -> int | None:
        """The version that this operation gave its record when it was taken, if it was."""
        from psycopg import sql

        statement = sql.SQL("select version from {} where operation_id = %s").format(self._ledger)
        found = self._connection.execute(statement, [operation.operation_id]).fetchone()
        return None if found is None else found[0]

    def _enter(
        self,
        operation: Operation,
        record_id: str | None,
        version: int | None,
        stored: Mapping[str, Any] | None = None,
    ) -> None:
        from psycopg import sql

        statement = sql.SQL(
            "insert into {} (operation_id, kind, object, record_id, version, stored) "
            "values (%s, %s, %s, %s, %s, %s::jsonb) on conflict (operation_id) do update set "
            "record_id = excluded.record_id, version = excluded.version, stored = excluded.stored, "
            "taken_at = now()"
        ).format(self._ledger)
        text = None if stored is None else json.dumps(stored, sort_keys=True)
        self._connection.execute(
            statement,
            [operation.operation_id, operation.kind, operation.object, record_id, version, text],
        )

    def _stored(self, operation: Operation) -> tuple[str, dict[str, Any]] | None:
        """The latest merge of some of these losers into this survivor that was not taken back.

        Of some: those that were gone already when it was sent were none of its losers.
        """
        from psycopg import sql

        statement = sql.SQL(
            "select operation_id, stored from {} where kind = 'merge' and object = %s and record_id = %s "
            "and stored is not null order by taken_at desc, operation_id"
        ).format(self._ledger)
        for key, stored in self._connection.execute(statement, [operation.object, operation.record_id]):
            if set(stored["losers"]) <= set(operation.losers):
                return key, stored
        return None

    def _forget(self, operation_id: str) -> None:
        from psycopg import sql

        statement = sql.SQL("update {} set stored = null where operation_id = %s").format(self._ledger)
        self._connection.execute(statement, [operation_id])


def _as_texts(columns: Mapping[str, Column]) -> sql.Composable:
    from psycopg import sql

    return sql.SQL("").join(sql.SQL(", {}::text").format(identifier(c)) for c in columns.values())


def _answer(
    operation: Operation,
    outcome: Outcome,
    message: str = "",
    *,
    record_id: str | None = None,
    version: int | None = None,
    code: str = "",
) -> Answer:
    return Answer(
        operation.operation_id,
        outcome,
        message,
        record_id or operation.record_id,
        None if version is None else str(version),
        code,
    )

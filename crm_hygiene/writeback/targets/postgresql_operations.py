"""PostgreSQL operations: each kind as what it does to rows inside one savepoint, entered in the ledger.

What does not belong here: statements (`postgresql_rows`, `postgresql_ledger`), transactions and errors
(`postgresql`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from crm_hygiene.writeback.operations import Answer, Operation, Outcome
from crm_hygiene.writeback.targets.postgresql_ledger import Ledger
from crm_hygiene.writeback.targets.postgresql_rows import LockedRow, Rows
from crm_hygiene.writeback.targets.postgresql_tables import Column, Table, UnknownColumn, Values

if TYPE_CHECKING:
    from psycopg import Connection


class Operations:
    """Takes one operation at a time inside the caller's transaction."""

    def __init__(
        self,
        connection: Connection[Any],
        values: Values,
        table_of: Callable[[str], Table],
        ledger_schema: str,
    ) -> None:
        self._values = values
        self._table_of = table_of
        self._rows = Rows(connection, table_of)
        self._ledger = Ledger(connection, ledger_schema)
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

    def _write(self, operation: Operation, table: Table) -> Answer:
        for field in operation.after:
            table.writable(field)
        row = self._rows.lock(table, operation.record_id, [*operation.before, *operation.after])
        if row is None:
            return _answer(operation, Outcome.CONFLICT, "the record is gone", code="GONE")
        version, held = row
        taken = self._ledger.version_of(operation)
        if taken is not None and operation.version is not None and int(operation.version) < taken:
            # Taken once, its answer was lost; whatever happened since then is the user's.
            return _answer(operation, Outcome.DONE, version=taken, code="FOUND")
        mark = self._rows.mark(table, operation.record_id or "")
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
        new = self._rows.update(table, operation.record_id, change, version)
        self._ledger.enter(operation, operation.record_id, new)
        self._ours[operation.object, operation.record_id, version] = new
        return _answer(operation, Outcome.DONE, version=new)

    def _create(self, operation: Operation, table: Table) -> Answer:
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
        made = self._rows.insert(table, texts, external)
        if made is not None:
            self._ledger.enter(operation, made[0], made[1])
            return _answer(operation, Outcome.DONE, record_id=made[0], version=made[1])
        found = self._rows.find(table, external, given)
        if found is None:
            # Made and rolled back by another transaction meanwhile.
            return _answer(operation, Outcome.RETRY, "made by another transaction", code="RACE")
        return _answer(operation, Outcome.DONE, record_id=found[0], version=found[1], code="FOUND")

    def _delete(self, operation: Operation, table: Table) -> Answer:
        row = self._rows.lock(table, operation.record_id, list(operation.before))
        if row is None:
            return _answer(operation, Outcome.DONE, code="FOUND")
        moved = self._moved(operation, table, row)
        if moved is not None:
            return moved
        self._rows.delete(table, operation.record_id)
        self._ledger.enter(operation, operation.record_id, None)
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
        rows = {i: self._rows.lock(table, i, fields) for i in ids}
        row = rows[operation.record_id or ""]
        if row is None:
            return _answer(operation, Outcome.CONFLICT, "the survivor is gone", code="GONE")
        marks = {i: self._rows.mark(table, i) for i in operation.losers if rows[i] is not None}
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
            "children": self._rows.reparent(operation, table, left),
            "losers": {i: self._rows.remove(table, i, operation.record_id or "") for i in left},
            "survivor": held,
        }
        new = self._rows.update(table, operation.record_id, operation.after, row[0])
        self._ledger.enter(operation, operation.record_id, new, stored)
        return _answer(operation, Outcome.DONE, version=new)

    def _unmerge(self, operation: Operation, table: Table) -> Answer:
        """Take back a merge from what the ledger stored; what users moved since then stays where it is."""
        found = self._ledger.merge_of(operation)
        if found is None:
            words = "the ledger holds no such merge"
            return _answer(operation, Outcome.REFUSED, words, code="NO_MERGE")
        merge_id, stored = found
        row = self._rows.lock(table, operation.record_id, list(stored["survivor"]))
        if row is None:
            return _answer(operation, Outcome.CONFLICT, "the survivor is gone", code="GONE")
        survivor = operation.record_id or ""
        if table.merged is not None and any(self._rows.mark(table, i) != survivor for i in stored["losers"]):
            words = "a loser is no longer merged into the survivor"
            return _answer(operation, Outcome.CONFLICT, words, code="CHANGED")
        for loser, image in stored["losers"].items():
            self._rows.bring_back(table, loser, image)
        left = 0
        for child in stored["children"]:
            left += not self._rows.point(
                self._table_of(child["object"]), child["field"], child["record_id"], survivor, child["loser"]
            )
        here = self._values.normalise(table, row[1])
        back = {f: before for f, (before, after) in stored["survivor"].items() if here[f] == after}
        new = self._rows.update(table, survivor, back, row[0])
        self._ledger.enter(operation, survivor, new)
        self._ledger.forget(merge_id)
        words = f"{left} children were moved since and stay" if left else ""
        return _answer(operation, Outcome.DONE, words, version=new)

    def _moved(self, operation: Operation, table: Table, row: LockedRow) -> Answer | None:
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

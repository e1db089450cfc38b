"""The PostgreSQL ledger: which operations were taken, written in the transaction that took them.

What does not belong here: making the table (`postgresql`), the records themselves (`postgresql_rows`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crm_hygiene.writeback.operations import Operation

if TYPE_CHECKING:
    from psycopg import Connection, sql

#: The ledger: what was taken, written in the transaction that took it. `stored` is what an unmerge needs.
LEDGER = "crm_hygiene_operations"
LEDGER_COLUMNS = """
operation_id text primary key, kind text not null, object text not null, record_id text,
version bigint, stored jsonb, taken_at timestamptz not null default now()
""".strip().replace("\n", " ")


class Ledger:
    """The table of operations in one schema, over the caller's transaction."""

    def __init__(self, connection: Connection[Any], schema: str) -> None:
        self._connection = connection
        self._schema = schema

    def _name(self) -> sql.Identifier:
        from psycopg import sql

        return sql.Identifier(self._schema, LEDGER)

    def version_of(self, operation: Operation) -> int | None:
        """The version that this operation gave its record when it was taken, if it was."""
        from psycopg import sql

        statement = sql.SQL("select version from {} where operation_id = %s").format(self._name())
        found = self._connection.execute(statement, [operation.operation_id]).fetchone()
        return None if found is None else found[0]

    def enter(
        self,
        operation: Operation,
        record_id: str | None,
        version: int | None,
        stored: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down that an operation was taken, and what its record was given by it."""
        from psycopg import sql

        statement = sql.SQL(
            "insert into {} (operation_id, kind, object, record_id, version, stored) "
            "values (%s, %s, %s, %s, %s, %s::jsonb) on conflict (operation_id) do update set "
            "record_id = excluded.record_id, version = excluded.version, stored = excluded.stored, "
            "taken_at = now()"
        ).format(self._name())
        text = None if stored is None else json.dumps(stored, sort_keys=True)
        self._connection.execute(
            statement,
            [operation.operation_id, operation.kind, operation.object, record_id, version, text],
        )

    def merge_of(self, operation: Operation) -> tuple[str, dict[str, Any]] | None:
        """The latest merge of some of these losers into this survivor that was not taken back.

        Of some: those that were gone already when it was sent were none of its losers.
        """
        from psycopg import sql

        statement = sql.SQL(
            "select operation_id, stored from {} where kind = 'merge' and object = %s and record_id = %s "
            "and stored is not null order by taken_at desc, operation_id"
        ).format(self._name())
        for key, stored in self._connection.execute(statement, [operation.object, operation.record_id]):
            if set(stored["losers"]) <= set(operation.losers):
                return key, stored
        return None

    def forget(self, operation_id: str) -> None:
        """Forget what a merge stored: it was taken back."""
        from psycopg import sql

        statement = sql.SQL("update {} set stored = null where operation_id = %s").format(self._name())
        self._connection.execute(statement, [operation_id])

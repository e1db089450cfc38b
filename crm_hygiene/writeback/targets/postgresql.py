"""PostgreSQL: tables of the user's, all operations of a batch in one transaction, each in a savepoint.

An operation reads its row under a lock, compares version and values, writes, and enters itself into the
ledger `crm_hygiene_operations`, all before the one commit: it is taken once or not at all. A row that is
refused goes back to its savepoint and the rest goes through. Only a connection lost during the commit
leaves anything unknown; sent again, the operation is found in the ledger or in the row.

What does not belong here: the kinds of operation (`postgresql_operations`), their statements
(`postgresql_rows`), types and names (`postgresql_tables`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.operations import Answer, Held, Operation, OperationKind, Outcome
from crm_hygiene.writeback.target import (
    AnswerLost,
    SessionExpired,
    SignInRefused,
    TargetError,
    TargetUnavailable,
)
from crm_hygiene.writeback.targets.postgresql_ledger import LEDGER, LEDGER_COLUMNS
from crm_hygiene.writeback.targets.postgresql_operations import Operations
from crm_hygiene.writeback.targets.postgresql_tables import (
    Table,
    UnknownColumn,
    Values,
    fragment,
    identifier,
    read_table,
)

if TYPE_CHECKING:
    from psycopg import Connection, Error

    from crm_hygiene.writeback.policy import TargetPolicy

#: Serialization failure, deadlock, lock not available, statement cancelled: a later time may do.
_LATER = frozenset({"40001", "40P01", "55P03", "57014"})

#: The server ends the session: administrator's stop, crash of another session, not yet or no longer up.
_ENDED = frozenset({"57P01", "57P02", "57P03", "25P03", "25P02"})

_SIGN_IN = ("authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist")

#: Where text means the same whatever the server's settings are.
_SETTINGS = "-c datestyle=ISO,YMD -c timezone=UTC -c intervalstyle=iso_8601 -c bytea_output=hex"


def open_target(policy: TargetPolicy, secrets: Mapping[str, str], folder: Path) -> PostgreSQLTarget:
    """The target of a policy with `connector: postgresql`; nothing is sent before `connect`.

    Parameters
    ----------
    secrets
        `password`; left out where the server asks for none (peer, certificate, password file).
    folder
        of the project; not used.

    Raises
    ------
    ConfigurationError
        if the connection is not encrypted and verified, or a number is none.
    """
    return PostgreSQLTarget(policy, secrets)


class PostgreSQLTarget:
    """`Target` for PostgreSQL 12 and later; docs/targets/postgresql.md lists the keys of `connection`."""

    kinds: Collection[OperationKind] = ("write", "create", "merge", "unmerge", "delete")
    is_live = True

    def __init__(self, policy: TargetPolicy, secrets: Mapping[str, str]) -> None:
        self.batch_size = policy.pace.batch
        self._policy = policy
        self._parameters = _parameters(policy, secrets)
        self._ledger_schema = policy.connection.get(
            "ledger_schema", policy.connection.get("schema", "public")
        )
        self._connection: Connection[Any] | None = None
        self._tables: dict[str, Table] = {}
        self._values: Values | None = None

    def connect(self) -> None:
        """Sign in, look at the tables of the policy's objects and at the ledger.

        Raises
        ------
        ConfigurationError
            if a table, its key or version column or the ledger is missing.
        """
        import psycopg

        self.close()
        try:
            self._connection = psycopg.connect(autocommit=True, **self._parameters)
        except psycopg.OperationalError as error:
            told = str(error)
            if error.sqlstate in ("28000", "28P01", "3D000") or any(w in told for w in _SIGN_IN):
                raise SignInRefused("PostgreSQL refuses the sign-in") from error
            raise TargetUnavailable("PostgreSQL cannot be reached") from error
        self._values = Values(self._connection)
        try:
            for name in sorted(self._policy.objects):
                self._table_of(name)
            self._check_ledger()
        except psycopg.Error as error:
            failure = self._failure(error)
            raise failure from None

    def _check_ledger(self) -> None:
        from psycopg import sql

        name = sql.Identifier(self._ledger_schema, LEDGER)
        quoted = name.as_string(self._live())
        found = self._live().execute("select to_regclass(%s)", [quoted]).fetchone()
        if found is None or found[0] is None:
            raise ConfigurationError(
                f"target {self._policy.target}: the ledger is missing; let its owner run: "
                f"create table {quoted} ({LEDGER_COLUMNS})"
            )

    def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._tables = {}
        self._values = None

    def _live(self) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            raise SessionExpired("PostgreSQL: not signed in")
        return self._connection

    def _table_of(self, object_name: str) -> Table:
        if object_name not in self._tables:
            self._tables[object_name] = read_table(self._live(), self._policy, object_name)
        return self._tables[object_name]

    def _failure(self, error: Error) -> TargetError:
        """What a database error outside of any operation means.

        Its own words may hold values, so that it is raised without the error as its cause.
        """
        if self._connection is None or self._connection.closed or error.sqlstate in _ENDED:
            return TargetUnavailable("PostgreSQL ended the connection")
        if error.sqlstate == "42501":
            return SignInRefused("PostgreSQL: the user lacks a privilege that this needs")
        return TargetUnavailable(f"PostgreSQL: {_words(error)}")

    # --- reading ---

    def normalise(self, object_name: str, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """Values as the database gives them back, by the column's type; an empty text is no value."""
        import psycopg

        self._live()
        try:
            assert self._values is not None
            return self._values.normalise(self._table_of(object_name), values)
        except psycopg.Error as error:
            raise self._failure(error) from None

    def read(self, object_name: str, record_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Held]:
        """Rows by key; one merged into another is `is_deleted`. An unknown field is an empty one."""
        import psycopg
        from psycopg import sql

        try:
            table = self._table_of(object_name)
            columns = {}
            for field in fields:
                try:
                    columns[field] = table.column(field)
                except UnknownColumn:
                    continue
            merged = table.merged
            statement = sql.SQL("select {key}::text, {version}::text, {gone}{columns} from {table}").format(
                key=identifier(table.key),
                version=identifier(table.version),
                gone=fragment("false")
                if merged is None
                else sql.SQL("{} is not null").format(identifier(merged)),
                columns=sql.SQL("").join(
                    sql.SQL(", {}::text").format(identifier(c)) for c in columns.values()
                ),
                table=table.quoted,
            )
            held = {}
            for row in self._by_key(statement, table, record_ids):
                values = dict.fromkeys(fields) | dict(zip(columns, row[3:], strict=True))
                held[row[0]] = Held(values, row[1], row[2])
            return {i: held[i] for i in record_ids if i in held}
        except psycopg.Error as error:
            raise self._failure(error) from None

    def _by_key(self, statement: Any, table: Table, record_ids: Sequence[str]) -> list[tuple[Any, ...]]:
        import psycopg
        from psycopg import sql

        where = sql.SQL(" where {} = any(%s::").format(identifier(table.key)) + fragment(
            f"{table.key.base}[])"
        )
        try:
            with self._live().transaction():
                return self._live().execute(statement + where, [list(record_ids)]).fetchall()
        except psycopg.DataError:
            # An id that the key's type cannot read: compared as text, at the cost of the index.
            text = sql.SQL(" where {}::text = any(%s)").format(identifier(table.key))
            return self._live().execute(statement + text, [list(record_ids)]).fetchall()

    def find(self, object_name: str, key_field: str, keys: Sequence[str]) -> dict[str, str]:
        """Keys of rows by the value of a unique column."""
        import psycopg
        from psycopg import sql

        try:
            table = self._table_of(object_name)
            external = table.column(key_field)
            statement = sql.SQL(
                "select {external}::text, {key}::text from {table} where {external}::text = any(%s)"
            ).format(external=identifier(external), key=identifier(table.key), table=table.quoted)
            normal = {k: self.normalise(object_name, {key_field: k})[key_field] for k in keys}
            rows = self._live().execute(statement, [[v for v in normal.values() if v]]).fetchall()
            found = {row[0]: row[1] for row in rows}
            return {k: found[v] for k, v in normal.items() if v in found}
        except UnknownColumn as error:
            raise ConfigurationError(f"target {self._policy.target}: {error}") from error
        except psycopg.Error as error:
            raise self._failure(error) from None

    # --- sending ---

    def send(self, operations: Sequence[Operation]) -> list[Answer]:
        """All operations in one transaction; what is refused or in conflict leaves the others untouched."""
        import psycopg

        connection = self._live()
        assert self._values is not None
        taking = Operations(connection, self._values, self._table_of, self._ledger_schema)
        try:
            connection.execute("begin")
            # A deferred constraint would only speak at the commit, and then for all operations at once.
            connection.execute("set constraints all immediate")
            answers = [self._take(taking, o) for o in operations]
        except psycopg.Error as error:
            failure = self._failure(error)
            self._roll_back()
            raise failure from None
        except BaseException:
            self._roll_back()
            raise
        self._commit()
        return answers

    def _take(self, taking: Operations, operation: Operation) -> Answer:
        import psycopg

        try:
            with self._live().transaction():
                return taking.take(operation)
        except psycopg.Error as error:
            if self._connection is None or self._connection.closed or error.sqlstate in _ENDED:
                raise
            state = error.sqlstate or ""
            outcome = Outcome.RETRY if state in _LATER else Outcome.REFUSED
            return Answer(operation.operation_id, outcome, _words(error), operation.record_id, code=state)

    def _commit(self) -> None:
        import psycopg

        try:
            done = self._live().execute("commit")
        except psycopg.Error as error:
            if error.sqlstate in _LATER:
                raise TargetUnavailable(f"PostgreSQL: {_words(error)}; nothing was taken") from None
            self._roll_back()
            raise AnswerLost("PostgreSQL: the connection was lost during the commit") from None
        if done.statusmessage != "COMMIT":
            raise TargetUnavailable("PostgreSQL rolled the batch back; nothing was taken")

    def _roll_back(self) -> None:
        import psycopg

        if self._connection is None or self._connection.closed:
            return
        try:
            self._connection.execute("rollback")
        except psycopg.Error:
            # The server rolls back whatever a closed connection left open.
            self._connection.close()


def _words(error: Error) -> str:
    """A database error without the values that its own text repeats."""
    told = error.diag
    named = [n for n in (told.table_name, told.column_name, told.constraint_name) if n]
    kind = type(error).__name__
    return f"{kind} ({', '.join(named)})" if named else kind


def _parameters(policy: TargetPolicy, secrets: Mapping[str, str]) -> dict[str, Any]:
    """What psycopg connects with: TLS verified, but on this machine; every wait bounded."""
    told = policy.connection
    host = told.get("host", "")
    is_here = host.startswith(("/", "@")) or host in ("", "localhost", "127.0.0.1", "::1")
    mode = told.get("sslmode", "prefer" if is_here else "verify-full")
    if not is_here and mode not in ("verify-full", "verify-ca"):
        raise ConfigurationError(
            f"target {policy.target}: connection.sslmode must be verify-full (or verify-ca) for {host}"
        )
    try:
        seconds = {
            k: float(told.get(k, v))
            for k, v in (("connect_seconds", "10"), ("answer_seconds", "60"), ("lock_seconds", "5"))
        }
        port = int(told.get("port", "5432"))
    except ValueError as error:
        raise ConfigurationError(
            f"target {policy.target}: port, connect_seconds, answer_seconds and lock_seconds are numbers"
        ) from error
    answer = int(seconds["answer_seconds"] * 1000)
    parameters: dict[str, Any] = {
        "host": host,
        "port": port,
        "dbname": told.get("database"),
        "user": told.get("user"),
        "password": secrets.get("password"),
        "sslmode": mode,
        "connect_timeout": max(2, round(seconds["connect_seconds"])),
        "tcp_user_timeout": answer,
        "keepalives_idle": 10,
        "application_name": "crm-hygiene",
        "options": f"{_SETTINGS} -c statement_timeout={answer} "
        f"-c lock_timeout={int(seconds['lock_seconds'] * 1000)}",
    }
    if mode.startswith("verify"):
        parameters["sslrootcert"] = told.get("ca_file", "system")
    for key in ("cert_file", "key_file"):
        if key in told:
            parameters[{"cert_file": "sslcert", "key_file": "sslkey"}[key]] = told[key]
    return {k: v for k, v in parameters.items() if v not in (None, "")}

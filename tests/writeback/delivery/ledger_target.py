"""A target that lives in a SQLite file: it keeps records and counts every change, and fails as it is told to.

Records survive the process, as those of a real target do. Faults are taken from a queue in the file, one
per call of `send` or `read`, so that a killed process and the next one share them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from crm_hygiene.writeback.operations import Answer, Held, Operation, OperationKind, Outcome
from crm_hygiene.writeback.target import (
    AnswerLost,
    RateLimited,
    SessionExpired,
    SignInRefused,
    TargetUnavailable,
)

SCHEMA = """
create table if not exists records
    (object text, id text, held text, version integer, gone integer, primary key (object, id));
create table if not exists changes (n integer primary key, kind text, object text, id text, operation text);
create table if not exists faults (n integer primary key, call text, fault text);
create table if not exists calls (n integer primary key, call text, operations integer);
"""


class LedgerTarget:
    """See `crm_hygiene.writeback.target.Target`."""

    kinds: Collection[OperationKind] = ("write", "create", "merge", "delete", "unmerge")
    batch_size = 1000
    is_live = True

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.executescript(SCHEMA)
        self.session: str | None = None

    # -- what a test says and asks

    def seed(self, object_name: str, record_id: str, values: Mapping[str, str | None]) -> None:
        self._file.execute(
            "insert or replace into records values (?, ?, ?, 1, 0)",
            (object_name, record_id, json.dumps(dict(values))),
        )

    def user_writes(self, object_name: str, record_id: str, values: Mapping[str, str | None]) -> None:
        """Somebody changes a record at the target."""
        held, version, _ = self._row(object_name, record_id) or ({}, 0, False)
        self._put(object_name, record_id, {**held, **values}, version + 1)

    def fail(self, call: str, *faults: str) -> None:
        """The next calls of `send`, `read` or `connect` end so; `ok` lets one through."""
        for fault in faults:
            self._file.execute("insert into faults (call, fault) values (?, ?)", (call, fault))

    def mend(self) -> None:
        self._file.execute("delete from faults")

    def state(self) -> dict[tuple[str, str], dict[str, str | None]]:
        rows = self._file.execute("select object, id, held from records where gone = 0")
        return {(name, key): json.loads(held) for name, key, held in rows}

    def changes(self) -> list[tuple[str, str, str]]:
        """Every change made through `send`: kind, object, record."""
        return list(self._file.execute("select kind, object, id from changes order by n"))

    def calls(self, call: str) -> int:
        return int(self._file.execute("select count(*) from calls where call = ?", (call,)).fetchone()[0])

    # -- the protocol

    def connect(self) -> None:
        fault = self._fault("connect")
        if fault == "refused":
            raise SignInRefused("no such user")
        if fault == "down":
            raise TargetUnavailable("connection refused")
        self.session = "open"

    def read(self, object_name: str, record_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Held]:
        self._check("read", len(record_ids))
        found = {}
        for record_id in record_ids:
            row = self._row(object_name, record_id)
            if row is not None:
                held, version, gone = row
                found[record_id] = Held({f: held.get(f) for f in fields}, str(version), gone)
        return found

    def find(self, object_name: str, key_field: str, keys: Sequence[str]) -> dict[str, str]:
        self._check("find", len(keys))
        return {
            held[key_field]: record_id
            for (name, record_id), held in self.state().items()
            if name == object_name and held.get(key_field) in keys
        }

    def send(self, operations: Sequence[Operation]) -> list[Answer]:
        fault = self._check("send", len(operations))
        answers = []
        self._file.execute("begin")
        for number, operation in enumerate(operations):
            if fault == "half" and number % 2:
                answers.append(
                    Answer(operation.operation_id, Outcome.REFUSED, "value not allowed", code="BAD")
                )
            elif fault == "all locked" or (fault == "locked" and number % 2):
                answers.append(Answer(operation.operation_id, Outcome.RETRY, "row locked", code="LOCKED"))
            else:
                answers.append(self._do(operation))
        self._file.execute("commit")
        if fault == "lost":
            raise AnswerLost("time-out")
        if fault == "short":
            return answers[: len(answers) // 2]
        return answers

    def normalise(self, object_name: str, values: Mapping[str, str | None]) -> dict[str, str | None]:
        return {name: value.strip() if value else None for name, value in values.items()}

    def close(self) -> None:
        self._file.close()

    # -- within

    def _fault(self, call: str) -> str:
        row = self._file.execute("select n, fault from faults where call = ? order by n", (call,)).fetchone()
        if row is None:
            return "ok"
        if not row[1].startswith("always "):
            self._file.execute("delete from faults where n = ?", (row[0],))
        return str(row[1]).removeprefix("always ")

    def _check(self, call: str, operations: int) -> str:
        self._file.execute("insert into calls (call, operations) values (?, ?)", (call, operations))
        if self.session is None:
            raise SessionExpired("sign in first")
        fault = self._fault(call)
        if fault == "down":
            raise TargetUnavailable("503 service unavailable")
        if fault == "expired":
            self.session = None
            raise SessionExpired("session ended")
        if fault.startswith("limited"):
            after = fault.removeprefix("limited").strip()
            raise RateLimited("429 too many requests", float(after) if after else None)
        if fault == "lost early":
            raise AnswerLost("connection reset")
        return fault

    def _row(self, object_name: str, record_id: str) -> tuple[dict[str, Any], int, bool] | None:
        row = self._file.execute(
            "select held, version, gone from records where object = ? and id = ?", (object_name, record_id)
        ).fetchone()
        return None if row is None else (json.loads(row[0]), int(row[1]), bool(row[2]))

    def _put(
        self,
        object_name: str,
        record_id: str,
        held: Mapping[str, str | None],
        version: int,
        gone: bool = False,
    ) -> None:
        self._file.execute(
            "insert or replace into records values (?, ?, ?, ?, ?)",
            (object_name, record_id, json.dumps(dict(held)), version, int(gone)),
        )

    def _do(self, operation: Operation) -> Answer:
        name, key = operation.object, operation.record_id
        if operation.kind == "create":
            assert operation.external_id is not None
            key = f"new-{self._file.execute('select count(*) from records').fetchone()[0]}"
            field, value = operation.external_id
            self._put(name, key, {**operation.after, field: value}, 1)
        else:
            assert key is not None
            row = self._row(name, key)
            if row is None or row[2]:
                return Answer(operation.operation_id, Outcome.REFUSED, "no such record", code="GONE")
            held, version, _ = row
            if operation.version is not None and operation.version != str(version):
                return Answer(operation.operation_id, Outcome.CONFLICT, "record changed", code="CONFLICT")
            if operation.kind == "write":
                self._put(name, key, {**held, **operation.after}, version + 1)
            elif operation.kind == "delete":
                self._put(name, key, held, version + 1, gone=True)
            else:
                self._merge(operation)
        self._file.execute(
            "insert into changes (kind, object, id, operation) values (?, ?, ?, ?)",
            (operation.kind, name, key, operation.operation_id),
        )
        new = self._row(name, key)
        assert new is not None
        return Answer(operation.operation_id, Outcome.DONE, "done", record_id=key, version=str(new[1]))

    def _merge(self, operation: Operation) -> None:
        ends = operation.kind == "merge"
        for loser in operation.losers:
            held, version, _ = self._row(operation.object, loser) or ({}, 0, False)
            self._put(operation.object, loser, held, version + 1, gone=ends)
        for child in operation.children:
            held, version, _ = self._row(child.object, child.record_id) or ({}, 0, False)
            parent = operation.record_id if ends else operation.losers[0]
            self._put(child.object, child.record_id, {**held, child.field: parent}, version + 1)

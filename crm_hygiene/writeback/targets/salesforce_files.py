"""Salesforce as files: Bulk API 2.0 jobs to upload by hand or by another tool, and their results read back.

    <folder>/Contact-update-3f2a9c01d4e5/data.csv       what to upload
    <folder>/Contact-update-3f2a9c01d4e5/manifest.json  the job's parameters, and the operations in row order

A job's folder appears whole or not at all. Result files (any name with `success`, `failed` or
`unprocessed`, as successfulResults.csv has) are laid into the job's folder, or into <folder>, where they are
matched by their content. A file has no precondition: what somebody changes between the export and the upload
is overwritten.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError, FileRefused
from crm_hygiene.writeback.operations import Answer, Held, Operation, OperationKind, Outcome
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.target import Target, TargetUnavailable
from crm_hygiene.writeback.targets.salesforce_answers import bulk_refusal
from crm_hygiene.writeback.targets.salesforce_bulk_csv import (
    CREATED_COLUMN,
    ERROR_COLUMN,
    ID_COLUMN,
    MAX_BYTES,
    JobRows,
    ResultCut,
    csv_line,
    job_cells,
    jobs_of,
    result_rows,
    submitted,
)

_DATA, _MANIFEST = "data.csv", "manifest.json"
#: Word in a result file's name -> its kind; the API's own names and those of Salesforce's command line.
_KINDS = {"unprocessed": "unprocessed", "failed": "failed", "success": "successful"}
_CONNECTION = ["folder", "rows_per_file", "bytes_per_file"]
_BOOLEANS = frozenset({"true", "false"})


@dataclass(frozen=True)
class _Job:
    """A job as written: each row's cells and the operation it stands for."""

    folder: Path
    key: str
    attempt: int
    rows: dict[str, tuple[str, dict[str, str]]]

    @property
    def operation_ids(self) -> list[str]:
        """In row order."""
        return [operation_id for operation_id, _ in self.rows.values()]

    def operation_of(self, row: Mapping[str, str]) -> str | None:
        """The operation whose row this is, cell for cell but for blanks; None if it is no row of this job."""
        operation_id, cells = self.rows.get(row.get(self.key, ""), ("", {}))
        return operation_id if operation_id and _evened(row) == _evened(cells) else None


class SalesforceFiles:
    """See `writeback.target.Target`; `collect` reads the result files back."""

    kinds: Collection[OperationKind] = frozenset({"write", "create", "delete"})
    is_live = False

    def __init__(self, policy: TargetPolicy, folder: Path) -> None:
        for key in policy.connection:
            if key not in _CONNECTION:
                raise ConfigurationError(
                    f"salesforce_files: unknown key 'connection.{key}'{nearest(key, _CONNECTION)}"
                )
        self._folder = folder / policy.connection.get("folder", "outbox/salesforce")
        self._rows = _whole(policy, "rows_per_file", 10_000)
        self._bytes = min(_whole(policy, "bytes_per_file", MAX_BYTES, 100_000), MAX_BYTES)
        self._names = {name: dict(of.names) for name, of in policy.objects.items()}
        self._written: tuple[dict[str, str], dict[str, int]] | None = None
        self.batch_size = self._rows

    def connect(self) -> None:
        """Make the folder, and clear what a killed process left half written.

        Raises
        ------
        TargetUnavailable
            if the folder cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for left in self._folder.glob(".*.part"):
                shutil.rmtree(left)
        except OSError as error:
            raise TargetUnavailable(f"{self._folder}: {error.strerror}") from error
        self._written = None

    def close(self) -> None:
        """Nothing is held."""

    def read(self, object_name: str, record_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Held]:
        """Nothing: files cannot be asked; the next export tells."""
        return {}

    def find(self, object_name: str, key_field: str, keys: Sequence[str]) -> dict[str, str]:
        """Nothing, as `read`."""
        return {}

    def normalise(self, object_name: str, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """Values trimmed, with LF, true and false in lower case; types are not known without Salesforce."""
        clean = {f: (v or "").strip().replace("\r\n", "\n").replace("\r", "\n") for f, v in values.items()}
        return {f: (v.lower() if v.lower() in _BOOLEANS else v) or None for f, v in clean.items()}

    def send(self, operations: Sequence[Operation]) -> list[Answer]:
        """Write jobs. An operation that an earlier call wrote is left where it is, unless a result file says
        that it was not taken: then it goes into a new job.

        Raises
        ------
        TargetUnavailable
            if the folder cannot be written; what was written before stays.
        FileRefused
            as `collect`.
        """
        written, latest = self._already_written()
        answers: dict[str, Answer] = {}
        rows: dict[str, Operation] = {}
        for operation in operations:
            if operation.operation_id in written:
                job = written[operation.operation_id]
                answers[operation.operation_id] = _written_answer(operation, job)
                continue
            try:
                row = self._row(operation)
                key = next(iter(job_cells(row).values()))
                too_long = len(csv_line(list(job_cells(row).values()))) * 2 > self._bytes
            except ValueError as error:
                answers[operation.operation_id] = _refusal(operation, str(error), "INVALID_VALUE")
                continue
            if too_long:
                answers[operation.operation_id] = _refusal(operation, "longer than a whole file", "TOO_LARGE")
            elif key in rows:
                message = "another change of this record goes first"
                answers[operation.operation_id] = Answer(
                    operation.operation_id, Outcome.RETRY, message, operation.record_id, code="SAME_RECORD"
                )
            else:
                rows[key] = row
        for rows_of_job in jobs_of(list(rows.values()), self._rows, self._bytes):
            attempt = 1 + max(latest.get(o.operation_id, 0) for o in rows_of_job.operations)
            name = self._write_job(operations[0].object, rows_of_job, attempt)
            for operation in rows_of_job.operations:
                written[operation.operation_id] = name
                latest[operation.operation_id] = attempt
                answers[operation.operation_id] = _written_answer(operation, name)
        return [answers[operation.operation_id] for operation in operations]

    def collect(self) -> list[Answer]:
        """What the result files in the folder say, by operation; every time anew, in a stable order.

        Rows without a result yet give no answer; of an operation that was written again, its last job tells.

        Raises
        ------
        FileRefused
            naming every result file that is cut, tells a row twice, or belongs to no job or to several;
            nothing is taken until it is mended or taken away.
        """
        return self._collected([self._read_job(path) for path in self._manifests()])

    def _collected(self, jobs: Sequence[_Job]) -> list[Answer]:
        by_folder = {job.folder: job for job in jobs}
        wrong: list[str] = []
        told: dict[tuple[str, Path], tuple[Path, Answer]] = {}
        for path, kind in self._result_files():
            try:
                rows = _rows_of(path, kind)
                if not rows:
                    continue
                job = _job_of(path, rows, by_folder.get(path.parent), jobs)
                for row in rows:
                    answer = _result_answer(kind, row, job)
                    other = told.get((answer.operation_id, job.folder))
                    if other is not None:
                        where = "twice" if other[0] == path else f"already by {other[0].name}"
                        raise ValueError(f"the record {submitted(row)[job.key]} is told {where}")
                    told[(answer.operation_id, job.folder)] = (path, answer)
            except ValueError as error:
                wrong.append(f"{path}: {error}")
        if wrong:
            raise FileRefused("\n".join(wrong))
        last = {o: job.folder for job in sorted(jobs, key=lambda j: j.attempt) for o in job.operation_ids}
        return [told[key][1] for key in sorted(last.items()) if key in told]

    def _row(self, operation: Operation) -> Operation:
        """The operation by Salesforce's field names."""
        names = self._names.get(operation.object, {})
        after = self.normalise(operation.object, operation.after)
        key = operation.external_id
        return replace(
            operation,
            after={names.get(field, field): value for field, value in after.items()},
            external_id=(names.get(key[0], key[0]), key[1]) if key else None,
        )

    def _manifests(self) -> list[Path]:
        return sorted(self._folder.glob(f"[!.]*/{_MANIFEST}"))

    def _result_files(self) -> list[tuple[Path, str]]:
        found = []
        for path in sorted([*self._folder.glob("*.csv"), *self._folder.glob("[!.]*/*.csv")]):
            kind = next((k for word, k in _KINDS.items() if word in path.name.lower()), None)
            if kind is not None:
                found.append((path, kind))
        return found

    def _already_written(self) -> tuple[dict[str, str], dict[str, int]]:
        """The job of each operation that needs no other, and the last attempt at each that has had one."""
        if self._written is None:
            jobs = sorted((self._read_job(path) for path in self._manifests()), key=lambda j: j.attempt)
            open_again = {a.operation_id for a in self._collected(jobs) if a.outcome is not Outcome.DONE}
            names = {o: job.folder.name for job in jobs for o in job.operation_ids if o not in open_again}
            self._written = names, {o: job.attempt for job in jobs for o in job.operation_ids}
        return self._written

    def _write_job(self, object_name: str, rows: JobRows, attempt: int) -> str:
        ids = [operation.operation_id for operation in rows.operations]
        digest = hashlib.sha256("\n".join([str(attempt), *ids, ""]).encode() + rows.body).hexdigest()[:12]
        name = f"{object_name}-{rows.operation}-{digest}"
        manifest: dict[str, Any] = {
            "job": {
                "object": object_name,
                "operation": rows.operation,
                "externalIdFieldName": rows.key if rows.operation == "upsert" else None,
                "contentType": "CSV",
                "columnDelimiter": "COMMA",
                "lineEnding": "LF",
            },
            "data": {
                "file": _DATA,
                "rows": len(ids),
                "bytes": len(rows.body),
                "sha256": hashlib.sha256(rows.body).hexdigest(),
            },
            "attempt": attempt,
            "operation_ids": ids,
        }
        part = self._folder / f".{name}.part"
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            _write_through(part / _DATA, rows.body)
            text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
            _write_through(part / _MANIFEST, text.encode())
            part.rename(self._folder / name)
        except OSError as error:
            raise TargetUnavailable(f"{self._folder / name}: {error.strerror}") from error
        return name

    def _read_job(self, path: Path) -> _Job:
        manifest = _manifest(path)
        try:
            body = (path.parent / _DATA).read_bytes()
        except OSError as error:
            raise FileRefused(f"{path.parent / _DATA}: {error.strerror}; the job's file is needed") from error
        if hashlib.sha256(body).hexdigest() != manifest["data"]["sha256"]:
            raise FileRefused(f"{path.parent / _DATA}: changed since it was written; put the file back")
        rows = result_rows(body.decode())
        key = manifest["job"]["externalIdFieldName"] or "Id"
        pairs = zip(manifest["operation_ids"], rows, strict=True)
        by_key = {row[key]: (operation_id, row) for operation_id, row in pairs}
        return _Job(path.parent, key, manifest["attempt"], by_key)


def _whole(policy: TargetPolicy, key: str, default: int, least: int = 1) -> int:
    text = policy.connection.get(key, str(default))
    if not text.isdecimal() or int(text) < least:
        raise ConfigurationError(f"salesforce_files: connection.{key} must be a whole number from {least}")
    return int(text)


def _write_through(path: Path, content: bytes) -> None:
    """Write and wait until the disk has it: after a power cut a renamed folder must not hold empty files."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = manifest["operation_ids"], manifest["attempt"] + 0
        _ = manifest["job"]["externalIdFieldName"], manifest["data"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise FileRefused(f"{path}: not a manifest written here; put it back or take it away") from None
    return manifest


def _rows_of(path: Path, kind: str) -> list[dict[str, str]]:
    try:
        rows = result_rows(path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except ResultCut as error:
        raise ValueError(f"{error}; download it again") from None
    needed = {"successful": ID_COLUMN, "failed": ERROR_COLUMN}.get(kind)
    if rows and needed is not None and needed not in rows[0]:
        raise ValueError(f"no column {needed}, which {kind} results have")
    return rows


def _job_of(path: Path, rows: Sequence[Mapping[str, str]], own: _Job | None, jobs: Sequence[_Job]) -> _Job:
    """The job whose rows these are; a file in a job's folder must be of that job."""
    among = [own] if own is not None else jobs
    fitting = [job for job in among if all(job.operation_of(submitted(row)) for row in rows)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(job.folder.name for job in fitting)
        raise ValueError(f"fits several jobs ({names}); lay it into the folder of its own")
    where = f"the job {own.folder.name}" if own is not None else "any job written here"
    raise ValueError(f"holds rows that are not of {where}")


def _result_answer(kind: str, row: Mapping[str, str], job: _Job) -> Answer:
    operation_id = job.operation_of(submitted(row)) or ""
    record_id = row.get(ID_COLUMN) or (row.get("Id") if job.key == "Id" else None) or None
    where = f"job {job.folder.name}"
    if kind == "successful":
        is_there = job.key != "Id" and row.get(CREATED_COLUMN, "").lower() == "false"
        message = f"{where}: already there" if is_there else where
        return Answer(operation_id, Outcome.DONE, message, record_id)
    if kind == "unprocessed":
        return Answer(operation_id, Outcome.RETRY, f"{where}: not processed", record_id, code="UNPROCESSED")
    # The row's own cells are the values that must not stand in the message.
    operation = Operation(operation_id, "write", "", record_id, after=submitted(row))
    answer = bulk_refusal(operation, row.get(ERROR_COLUMN, ""))
    # Named by its job: the same words of a later job are another answer.
    return replace(answer, message=f"{where}: {answer.message}")


def _evened(row: Mapping[str, str]) -> dict[str, str]:
    """Salesforce and spreadsheets may trim cells and change the ends of their lines."""
    return {name: " ".join(cell.split()) for name, cell in row.items()}


def _written_answer(operation: Operation, job: str) -> Answer:
    return Answer(operation.operation_id, Outcome.DONE, f"written to {job}/{_DATA}", operation.record_id)


def _refusal(operation: Operation, reason: str, code: str) -> Answer:
    return Answer(operation.operation_id, Outcome.REFUSED, reason, operation.record_id, code=code)


def open_target(policy: TargetPolicy, secrets: Mapping[str, str], folder: Path) -> Target:
    """The files of a policy, below `folder`.

    Raises
    ------
    ConfigurationError
        if `connection` is wrong.
    """
    return SalesforceFiles(policy, folder)

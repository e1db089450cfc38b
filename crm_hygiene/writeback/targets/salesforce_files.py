"""Salesforce as files: Bulk API 2.0 jobs to upload by hand or by another tool, and their results read back.

    <folder>/Contact-update-3f2a9c01d4e5/data.csv       what to upload
    <folder>/Contact-update-3f2a9c01d4e5/manifest.json  the job's parameters, and the operations in row order

Result files (any name with `success`, `failed` or `unprocessed`, as successfulResults.csv has) are laid into
the job's folder, or into <folder>, where they are matched by their content. A file has no precondition: what
somebody changes between the export and the upload is overwritten.

What does not belong here: folders (`job_folders`), rows and cells (`salesforce_bulk_csv`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crm_hygiene.errors import FileRefused
from crm_hygiene.writeback.operations import Answer, Operation, OperationKind, Outcome
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.targets.job_folders import (
    DATA,
    MANIFEST,
    Job,
    JobFolders,
    Manifest,
    RowRefused,
)
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

#: Word in a result file's name -> its kind; the API's own names and those of Salesforce's command line.
_KINDS = {"unprocessed": "unprocessed", "failed": "failed", "success": "successful"}


@dataclass(frozen=True)
class _Job(Job):
    """A job as written: each row's operation and cells, by the record's key."""

    rows: dict[str, tuple[str, dict[str, str]]]

    def operation_of(self, row: Mapping[str, str]) -> str | None:
        """The operation whose row this is, cell for cell but for blanks; None if it is no row of this job."""
        operation_id, cells = self.rows.get(row.get(self.manifest.key, ""), ("", {}))
        return operation_id if operation_id and _evened(row) == _evened(cells) else None


class SalesforceFiles(JobFolders[Operation, JobRows, _Job]):
    """See `writeback.target.Target`; `collect` reads the result files back.

    A result file that tells a row twice, or fits several jobs, is refused.
    """

    kinds: Collection[OperationKind] = frozenset({"write", "create", "delete"})
    connector, default_folder, word = "salesforce_files", "outbox/salesforce", "job"

    def __init__(self, policy: TargetPolicy, folder: Path) -> None:
        super().__init__(policy, folder)
        self._rows = self._whole("rows_per_file", 10_000)
        self._bytes = min(self._whole("bytes_per_file", MAX_BYTES, 100_000), MAX_BYTES)
        self.batch_size = self._rows

    def _row(self, operation: Operation) -> tuple[str, Operation]:
        try:
            row = self._named(operation)
            cells = list(job_cells(row).values())
            is_too_long = len(csv_line(cells)) * 2 > self._bytes
        except ValueError as error:
            raise RowRefused("INVALID_VALUE", str(error)) from error
        if is_too_long:
            raise RowRefused("TOO_LARGE", "longer than a whole file")
        return cells[0], row

    def _named(self, operation: Operation) -> Operation:
        """The operation by Salesforce's field names."""
        names = self._names.get(operation.object, {})
        after = self.normalise(operation.object, operation.after)
        key = operation.external_id
        return replace(
            operation,
            after={names.get(field, field): value for field, value in after.items()},
            external_id=(names.get(key[0], key[0]), key[1]) if key else None,
        )

    def _files(self, rows: Sequence[Operation]) -> Iterator[JobRows]:
        return jobs_of(rows, self._rows, self._bytes)

    def _title(self, file: JobRows) -> str:
        return f"{file.operations[0].object}-{file.operation}"

    def _documents(self, name: str, file: JobRows, attempt: int) -> dict[str, dict[str, Any]]:
        ids = [operation.operation_id for operation in file.operations]
        manifest = {
            "job": {
                "object": file.operations[0].object,
                "operation": file.operation,
                "externalIdFieldName": file.key if file.operation == "upsert" else None,
                "contentType": "CSV",
                "columnDelimiter": "COMMA",
                "lineEnding": "LF",
            },
            "data": {
                "file": DATA,
                "rows": len(ids),
                "bytes": len(file.body),
                "sha256": hashlib.sha256(file.body).hexdigest(),
            },
            "attempt": attempt,
            "operation_ids": ids,
        }
        return {MANIFEST: manifest}

    def _manifest(self, document: Mapping[str, Any]) -> Manifest:
        return Manifest(
            document["job"]["externalIdFieldName"] or "Id",
            document["attempt"] + 0,
            tuple(document["operation_ids"]),
            document["data"]["sha256"],
        )

    def _job(self, folder: Path, manifest: Manifest, body: bytes) -> _Job:
        pairs = zip(manifest.operation_ids, result_rows(body.decode()), strict=True)
        return _Job(folder, manifest, {row[manifest.key]: (key, row) for key, row in pairs})

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
                        raise ValueError(f"the record {submitted(row)[job.manifest.key]} is told {where}")
                    told[(answer.operation_id, job.folder)] = (path, answer)
            except ValueError as error:
                wrong.append(f"{path}: {error}")
        if wrong:
            raise FileRefused("\n".join(wrong))
        last = {
            o: job.folder
            for job in sorted(jobs, key=lambda j: j.manifest.attempt)
            for o in job.manifest.operation_ids
        }
        return [told[key][1] for key in sorted(last.items()) if key in told]

    def _result_files(self) -> list[tuple[Path, str]]:
        found = []
        for path in sorted([*self._folder.glob("*.csv"), *self._folder.glob("[!.]*/*.csv")]):
            kind = next((k for word, k in _KINDS.items() if word in path.name.lower()), None)
            if kind is not None:
                found.append((path, kind))
        return found


open_target = SalesforceFiles.open_target


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
    record_id = row.get(ID_COLUMN) or (row.get("Id") if job.manifest.key == "Id" else None) or None
    where = f"job {job.folder.name}"
    if kind == "successful":
        is_there = job.manifest.key != "Id" and row.get(CREATED_COLUMN, "").lower() == "false"
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

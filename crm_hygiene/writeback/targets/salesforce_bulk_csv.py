"""Bulk API 2.0 CSV: rows of a job out, rows of its result files in. Pure, and deterministic to the byte.

UTF-8, LF, comma, RFC 4180 quoting; an empty cell leaves a field as it is, `#N/A` empties it. Source: Bulk API
2.0 Developer Guide, "Prepare CSV Files". What does not belong here: files (`salesforce_files`), jobs over
HTTP (`salesforce_bulk`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from crm_hygiene.writeback.operations import Operation

NULL = "#N/A"

#: Published: 150 MB of base64, which is 100 MB as it stands.
MAX_BYTES = 100_000_000

JobOperation = Literal["update", "upsert", "delete"]

#: Salesforce's own columns in result files.
ID_COLUMN, CREATED_COLUMN, ERROR_COLUMN = "sf__Id", "sf__Created", "sf__Error"


class ResultCut(ValueError):  # noqa: N818 - named as the state of the file
    """A result file that ends before its end, or whose rows do not fit its header."""


@dataclass(frozen=True)
class JobRows:
    """The rows of one job: `body` as it is uploaded, `operations` in row order, `key` its column of ids."""

    operation: JobOperation
    key: str
    header: tuple[str, ...]
    body: bytes
    operations: tuple[Operation, ...]


def job_operation(operation: Operation) -> tuple[JobOperation, str]:
    """The job operation that an operation of ours takes, and its column of ids.

    Raises
    ------
    ValueError
        if there is none: Bulk API cannot merge, a create needs an external id, the rest a record id.
    """
    if operation.kind == "create":
        if operation.external_id is None:
            raise ValueError("a create needs external_id in the target's policy: it would be made twice")
        return "upsert", operation.external_id[0]
    if operation.kind not in ("write", "delete"):
        raise ValueError(f"Bulk API has no {operation.kind}")
    if not operation.record_id:
        raise ValueError("no record id")
    return ("update" if operation.kind == "write" else "delete"), "Id"


def row_key(operation: Operation) -> str:
    """The id or external id by which a row is found again in result files."""
    key = operation.external_id[1] if operation.kind == "create" and operation.external_id else None
    return key or operation.record_id or ""


def cell(value: str | None) -> str:
    """A value as a cell.

    Raises
    ------
    ValueError
        for a text that Salesforce would read as something else.
    """
    if not value:
        return NULL
    if value == NULL:
        raise ValueError(f"a field cannot hold the text {NULL}: in a Bulk API file it means empty")
    if "\x00" in value:
        raise ValueError("a field cannot hold the character U+0000")
    return value.replace("\r\n", "\n").replace("\r", "\n")


def csv_line(cells: Sequence[str]) -> bytes:
    """One line, ended by LF."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n", quoting=csv.QUOTE_MINIMAL).writerow(cells)
    return line.getvalue().encode()


def job_cells(operation: Operation) -> dict[str, str]:
    """An operation's cells by column, its key included. Raises ValueError as `job_operation` and `cell`."""
    kind, key = job_operation(operation)
    if kind == "delete":
        return {key: row_key(operation)}
    values = {name: cell(value) for name, value in operation.after.items() if name != key}
    return {key: row_key(operation), **values}


def jobs_of(operations: Sequence[Operation], max_rows: int, max_bytes: int = MAX_BYTES) -> Iterator[JobRows]:
    """Jobs of at most `max_rows` rows and `max_bytes` bytes, in the order of the operations.

    Parameters
    ----------
    operations
        of one kind and one object; each must pass `job_cells` and no two may have one key.

    Raises
    ------
    ValueError
        if a single row is over `max_bytes`.
    """
    if not operations:
        return
    kind, key = job_operation(operations[0])
    cells = [job_cells(operation) for operation in operations]
    header = (key, *sorted({name for row in cells for name in row if name != key}))
    head = csv_line(header)
    lines: list[bytes] = []
    taken: list[Operation] = []
    size = len(head)
    for operation, row in zip(operations, cells, strict=True):
        line = csv_line([row.get(name, "") for name in header])
        if len(head) + len(line) > max_bytes:
            raise ValueError(f"one record takes {len(line)} bytes; the limit is {max_bytes}")
        if taken and (len(taken) == max_rows or size + len(line) > max_bytes):
            yield JobRows(kind, key, header, head + b"".join(lines), tuple(taken))
            lines, taken, size = [], [], len(head)
        lines.append(line)
        taken.append(operation)
        size += len(line)
    yield JobRows(kind, key, header, head + b"".join(lines), tuple(taken))


def result_rows(text: str) -> list[dict[str, str]]:
    """The rows of a result file; an empty file has none.

    Raises
    ------
    ResultCut
        if the file ends within a row, or a row has more or fewer cells than the header.
    """
    if not text.strip():
        return []
    if text.count('"') % 2 or not text.endswith("\n"):
        raise ResultCut("it ends within a row")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[dict[str, str]] = []
    header: list[str] = []
    try:
        for number, cells in enumerate(reader):
            if number == 0:
                header = cells
                if len(set(header)) != len(header):
                    raise ResultCut("its header names a column twice")
            elif len(cells) != len(header):
                raise ResultCut(f"row {number} has {len(cells)} cells; the header has {len(header)}")
            else:
                rows.append(dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise ResultCut(str(error)) from None
    return rows


def submitted(row: Mapping[str, str]) -> dict[str, str]:
    """A result row without Salesforce's own columns: the row as it was uploaded."""
    return {k: v for k, v in row.items() if k not in (ID_COLUMN, CREATED_COLUMN, ERROR_COLUMN)}

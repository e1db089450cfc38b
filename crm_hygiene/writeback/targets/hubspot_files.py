"""HubSpot as files: imports to upload by hand or with the imports API, and their error files read back.

    <folder>/contact-update-3f2a9c01d4e5/data.csv       what to upload
    <folder>/contact-update-3f2a9c01d4e5/import.json    the importRequest that goes with it
    <folder>/contact-update-3f2a9c01d4e5/manifest.json  the operations in row order

The error file that HubSpot gives after the import (any CSV with "error" in its name; one without rows if
there was none) is laid into the import's folder: rows it names were refused, the others were taken. A file
has no precondition: what somebody changes between the export and the import is overwritten.

What does not belong here: folders (`job_folders`), rows and mappings (`hubspot_import`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crm_hygiene.errors import ConfigurationError, FileRefused
from crm_hygiene.writeback.operations import Answer, Operation, OperationKind, Outcome
from crm_hygiene.writeback.targets.hubspot_import import (
    ERROR_TYPES,
    FREE_BYTES,
    MAX_BYTES,
    MAX_COLUMNS,
    MAX_ROWS,
    ImportRows,
    cells,
    error_rows,
    files_of,
    import_request,
    row_of,
)
from crm_hygiene.writeback.targets.job_folders import (
    DATA,
    MANIFEST,
    Job,
    JobFolders,
    Manifest,
    RowRefused,
)

if TYPE_CHECKING:
    from crm_hygiene.writeback.policy import TargetPolicy

_REQUEST = "import.json"

#: Columns that HubSpot adds to an error file.
_LINE = re.compile(r"^(row|line)( number)?$|^(row|line)_?number$", re.IGNORECASE)
_KIND = re.compile(r"^(error|error ?_?-?type|error ?_?-?code)$", re.IGNORECASE)

_Row = tuple[Operation, Mapping[str, str]]


@dataclass(frozen=True)
class _Import(Job):
    """An import as written; `keys` are the ids of its rows, in their order."""

    keys: tuple[str, ...]


class HubSpotFiles(JobFolders[_Row, ImportRows, _Import]):
    """See `writeback.target.Target`; `collect` reads the error files back.

    Imports without an error file give no answer yet.
    """

    kinds: Collection[OperationKind] = frozenset({"write", "create"})
    connector, default_folder, word = "hubspot_files", "outbox/hubspot", "import"

    def __init__(self, policy: TargetPolicy, folder: Path) -> None:
        super().__init__(policy, folder, ["headers"])
        headers = policy.connection.get("headers", "plan")
        if headers not in ("plan", "names"):
            raise ConfigurationError("hubspot_files: connection.headers is plan or names")
        self._rows = self._whole("rows_per_file", 10_000, most=MAX_ROWS)
        self._bytes = self._whole("bytes_per_file", FREE_BYTES, most=MAX_BYTES)
        self._links = {name: of.links for name, of in policy.objects.items()}
        self._has_names = headers == "names"
        self.batch_size = self._rows

    def _row(self, operation: Operation) -> tuple[str, _Row]:
        names = self._names.get(operation.object, {}) if self._has_names else {}
        try:
            row = row_of(operation, names, self._links.get(operation.object))
            if len(cells(list(row.values()))) + len(cells(list(row))) > self._bytes:
                raise ValueError("longer than a whole file")
            if len(row) > MAX_COLUMNS:
                raise ValueError("more columns than an import may have")
        except ValueError as error:
            raise RowRefused("NOT_IMPORTABLE", str(error)) from error
        return next(iter(row.values())), (operation, row)

    def _files(self, rows: Sequence[_Row]) -> Iterator[ImportRows]:
        return files_of(rows, self._rows, self._bytes)

    def _title(self, file: ImportRows) -> str:
        object_name = file.operations[0].object
        return f"{re.sub(r'[^A-Za-z0-9_-]', '_', object_name)}-{file.kind.lower()}"

    def _documents(self, name: str, file: ImportRows, attempt: int) -> dict[str, dict[str, Any]]:
        object_name = file.operations[0].object
        properties = {} if self._has_names else self._names.get(object_name, {})
        return {
            _REQUEST: import_request(f"crm-hygiene {name}", DATA, object_name, file, properties),
            MANIFEST: {
                "object": object_name,
                "key": file.header[0],
                "sha256": hashlib.sha256(file.body).hexdigest(),
                "attempt": attempt,
                "operation_ids": [o.operation_id for o in file.operations],
            },
        }

    def _manifest(self, document: Mapping[str, Any]) -> Manifest:
        return Manifest(
            str(document["key"]),
            int(document["attempt"]),
            tuple(document["operation_ids"]),
            str(document["sha256"]),
        )

    def _job(self, folder: Path, manifest: Manifest, body: bytes) -> _Import:
        keys = tuple(row[manifest.key] for row in error_rows(body.decode()))
        return _Import(folder, manifest, keys)

    def _collected(self, jobs: Sequence[_Import]) -> list[Answer]:
        wrong: list[str] = []
        told: dict[str, Answer] = {}
        for one in sorted(jobs, key=lambda i: (i.manifest.attempt, i.folder.name)):
            for key in one.manifest.operation_ids:
                told.pop(key, None)
            paths = sorted(p for p in one.folder.glob("*.csv") if "error" in p.name.lower())
            if not paths:
                continue
            refused: dict[str, Answer] = {}
            for path in paths:
                try:
                    for row in error_rows(path.read_bytes().decode("utf-8-sig")):
                        answer = _refusal(row, one)
                        refused.setdefault(answer.operation_id, answer)
                except UnicodeDecodeError:
                    wrong.append(f"{path}: not UTF-8")
                except ValueError as error:
                    wrong.append(f"{path}: {error}")
            where = f"import {one.folder.name}"
            for key in one.manifest.operation_ids:
                told[key] = refused.get(key) or Answer(key, Outcome.DONE, where)
        if wrong:
            raise FileRefused("\n".join(wrong))
        return [told[key] for key in sorted(told)]


open_target = HubSpotFiles.open_target


def _refusal(row: Mapping[str, str], of: _Import) -> Answer:
    """A row of an error file; found by the id column, or else by its line (the header is line 1)."""
    number = None
    given = row.get(of.manifest.key, "").strip()
    if given in of.keys:
        number = of.keys.index(given)
    else:
        line = next((v for k, v in row.items() if _LINE.match(k)), "").strip()
        if line.isdecimal() and 2 <= int(line) <= len(of.keys) + 1:
            number = int(line) - 2
    if number is None:
        raise ValueError(f"holds a row that is not of the import {of.folder.name}")
    told = next((v for k, v in row.items() if _KIND.match(k)), "").strip().upper().replace(" ", "_")
    # HubSpot's own sentences repeat the value; only a published type is passed on.
    code = told if told in ERROR_TYPES else "IMPORT_ERROR"
    words = f"import {of.folder.name}: {code}"
    record_id = of.keys[number] if of.manifest.key == "Record ID" else None
    return Answer(of.manifest.operation_ids[number], Outcome.REFUSED, words, record_id, code=code)

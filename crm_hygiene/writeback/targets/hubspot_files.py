"""HubSpot as files: imports to upload by hand or with the imports API, and their error files read back.

    <folder>/contact-update-3f2a9c01d4e5/data.csv       what to upload
    <folder>/contact-update-3f2a9c01d4e5/import.json    the importRequest that goes with it
    <folder>/contact-update-3f2a9c01d4e5/manifest.json  the operations in row order

An import's folder appears whole or not at all. The error file that HubSpot gives after the import (any CSV
with "error" in its name; one without rows if there was none) is laid into the import's folder: rows it names
were refused, the others were taken. A file has no precondition: what somebody changes between the export and
the import is overwritten.

What does not belong here: rows and mappings (`hubspot_import`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError, FileRefused
from crm_hygiene.writeback.operations import Answer, Held, Operation, OperationKind, Outcome
from crm_hygiene.writeback.target import TargetUnavailable
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
    trimmed,
)

if TYPE_CHECKING:
    from crm_hygiene.writeback.policy import TargetPolicy

_DATA, _REQUEST, _MANIFEST = "data.csv", "import.json", "manifest.json"
_CONNECTION = ["folder", "rows_per_file", "bytes_per_file", "headers"]
_BOOLEANS = frozenset({"true", "false"})

#: Columns that HubSpot adds to an error file.
_LINE = re.compile(r"^(row|line)( number)?$|^(row|line)_?number$", re.IGNORECASE)
_KIND = re.compile(r"^(error|error ?_?-?type|error ?_?-?code)$", re.IGNORECASE)


def open_target(policy: TargetPolicy, secrets: Mapping[str, str], folder: Path) -> HubSpotFiles:
    """The files of a policy with `connector: hubspot_files`, below `folder`.

    Raises
    ------
    ConfigurationError
        if `connection` is wrong.
    """
    return HubSpotFiles(policy, folder)


@dataclass(frozen=True)
class _Import:
    """An import as written: its folder, its rows by their id, the operations in row order."""

    folder: Path
    key: str
    attempt: int
    operation_ids: tuple[str, ...]
    keys: tuple[str, ...]


class HubSpotFiles:
    """See `writeback.target.Target`; `collect` reads the error files back."""

    kinds: Collection[OperationKind] = frozenset({"write", "create"})
    is_live = False

    def __init__(self, policy: TargetPolicy, folder: Path) -> None:
        for key in policy.connection:
            if key not in _CONNECTION:
                raise ConfigurationError(
                    f"hubspot_files: unknown key 'connection.{key}'{nearest(key, _CONNECTION)}"
                )
        headers = policy.connection.get("headers", "plan")
        if headers not in ("plan", "names"):
            raise ConfigurationError("hubspot_files: connection.headers is plan or names")
        self._folder = folder / policy.connection.get("folder", "outbox/hubspot")
        self._rows = _whole(policy, "rows_per_file", 10_000, MAX_ROWS)
        self._bytes = _whole(policy, "bytes_per_file", FREE_BYTES, MAX_BYTES)
        self._names = {name: dict(of.names) for name, of in policy.objects.items()}
        self._links = {name: of.links for name, of in policy.objects.items()}
        self._has_names = headers == "names"
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
        """Values trimmed, with LF, true and false in lower case; kinds are not known without HubSpot."""
        clean = {f: trimmed(v) for f, v in values.items()}
        return {f: (v.lower() if v.lower() in _BOOLEANS else v) or None for f, v in clean.items()}

    def send(self, operations: Sequence[Operation]) -> list[Answer]:
        """Write imports. An operation that an earlier call wrote is left where it is, unless an error file
        names it: then it goes into a new import.

        Raises
        ------
        TargetUnavailable
            if the folder cannot be written; what was written before stays.
        FileRefused
            as `collect`.
        """
        written, attempts = self._already_written()
        answers: dict[str, Answer] = {}
        rows: list[tuple[Operation, Mapping[str, str]]] = []
        seen: set[str] = set()
        for operation in operations:
            key = operation.operation_id
            if key in written:
                answers[key] = _written_answer(operation, written[key])
                continue
            try:
                names = self._names.get(operation.object, {}) if self._has_names else {}
                row = row_of(operation, names, self._links.get(operation.object))
                if len(cells(list(row.values()))) + len(cells(list(row))) > self._bytes:
                    raise ValueError("longer than a whole file")
                if len(row) > MAX_COLUMNS:
                    raise ValueError("more columns than an import may have")
            except ValueError as error:
                answers[key] = Answer(
                    key, Outcome.REFUSED, str(error), operation.record_id, code="NOT_IMPORTABLE"
                )
                continue
            record = next(iter(row.values()))
            if record in seen:
                words = "another change of this record goes first"
                answers[key] = Answer(key, Outcome.RETRY, words, operation.record_id, code="SAME_RECORD")
                continue
            seen.add(record)
            rows.append((operation, row))
        for file in files_of(rows, self._rows, self._bytes):
            attempt = 1 + max(attempts.get(o.operation_id, 0) for o in file.operations)
            name = self._write(operations[0].object, file, attempt)
            for operation in file.operations:
                written[operation.operation_id] = name
                attempts[operation.operation_id] = attempt
                answers[operation.operation_id] = _written_answer(operation, name)
        return [answers[o.operation_id] for o in operations]

    def collect(self) -> list[Answer]:
        """What the error files say, by operation; every time anew, in a stable order.

        Imports without an error file give no answer yet; of an operation that was written again, its last
        import tells.

        Raises
        ------
        FileRefused
            naming every error file that is cut or holds rows of no operation of its import; nothing is
            taken until it is mended or taken away.
        """
        return self._collected([_read_import(path) for path in self._manifests()])

    def _collected(self, imports: Sequence[_Import]) -> list[Answer]:
        wrong: list[str] = []
        told: dict[str, Answer] = {}
        for one in sorted(imports, key=lambda i: (i.attempt, i.folder.name)):
            for key in one.operation_ids:
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
            for key in one.operation_ids:
                told[key] = refused.get(key) or Answer(key, Outcome.DONE, where)
        if wrong:
            raise FileRefused("\n".join(wrong))
        return [told[key] for key in sorted(told)]

    def _manifests(self) -> list[Path]:
        return sorted(self._folder.glob(f"[!.]*/{_MANIFEST}"))

    def _already_written(self) -> tuple[dict[str, str], dict[str, int]]:
        """The import of each operation that needs no other, and the last attempt at each."""
        if self._written is None:
            imports = sorted((_read_import(p) for p in self._manifests()), key=lambda i: i.attempt)
            again = {a.operation_id for a in self._collected(imports) if a.outcome is not Outcome.DONE}
            names = {k: i.folder.name for i in imports for k in i.operation_ids if k not in again}
            self._written = names, {k: i.attempt for i in imports for k in i.operation_ids}
        return self._written

    def _write(self, object_name: str, rows: ImportRows, attempt: int) -> str:
        ids = [o.operation_id for o in rows.operations]
        digest = hashlib.sha256("\n".join([str(attempt), *ids, ""]).encode() + rows.body).hexdigest()[:12]
        name = f"{re.sub(r'[^A-Za-z0-9_-]', '_', object_name)}-{rows.kind.lower()}-{digest}"
        properties = {} if self._has_names else self._names.get(object_name, {})
        request = import_request(f"crm-hygiene {name}", _DATA, object_name, rows, properties)
        manifest = {
            "object": object_name,
            "key": rows.header[0],
            "sha256": hashlib.sha256(rows.body).hexdigest(),
            "attempt": attempt,
            "operation_ids": ids,
        }
        part = self._folder / f".{name}.part"
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            _write_through(part / _DATA, rows.body)
            for file, document in ((_REQUEST, request), (_MANIFEST, manifest)):
                text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
                _write_through(part / file, text.encode())
            part.rename(self._folder / name)
        except OSError as error:
            raise TargetUnavailable(f"{self._folder / name}: {error.strerror}") from error
        return name


def _whole(policy: TargetPolicy, key: str, default: int, most: int) -> int:
    text = policy.connection.get(key, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise ConfigurationError(f"hubspot_files: connection.{key} must be a whole number from 1 to {most}")
    return int(text)


def _write_through(path: Path, content: bytes) -> None:
    """Write and wait until the disk has it: after a power cut a renamed folder must not hold empty files."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read_import(path: Path) -> _Import:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        ids, attempt = tuple(manifest["operation_ids"]), int(manifest["attempt"])
        key, digest = str(manifest["key"]), str(manifest["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        raise FileRefused(f"{path}: not a manifest written here; put it back or take it away") from None
    data = path.parent / _DATA
    try:
        body = data.read_bytes()
    except OSError as error:
        raise FileRefused(f"{data}: {error.strerror}; the import's file is needed") from error
    if hashlib.sha256(body).hexdigest() != digest:
        raise FileRefused(f"{data}: changed since it was written; put the file back")
    return _Import(path.parent, key, attempt, ids, tuple(row[key] for row in error_rows(body.decode())))


def _refusal(row: Mapping[str, str], of: _Import) -> Answer:
    """A row of an error file; found by the id column, or else by its line (the header is line 1)."""
    number = None
    given = row.get(of.key, "").strip()
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
    record_id = of.keys[number] if of.key == "Record ID" else None
    return Answer(of.operation_ids[number], Outcome.REFUSED, words, record_id, code=code)


def _written_answer(operation: Operation, name: str) -> Answer:
    return Answer(operation.operation_id, Outcome.DONE, f"written to {name}/{_DATA}", operation.record_id)

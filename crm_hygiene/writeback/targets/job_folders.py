"""Job folders: what a target that is written to as files leaves for somebody to upload, one folder a job.

    <folder>/<object>-<kind>-<digest>/data.csv       what to upload
    <folder>/<object>-<kind>-<digest>/manifest.json  what it is, and the operations in row order

A folder appears whole or not at all, and what was written is never changed. Which operation has which
folder is read from the manifests, so a process that was killed goes on where it was. What does not belong
here: what a vendor's rows, manifests and results look like (`salesforce_files`, `hubspot_files`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError, FileRefused
from crm_hygiene.writeback.operations import Answer, Held, Operation, Outcome
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.target import TargetUnavailable

DATA, MANIFEST = "data.csv", "manifest.json"
_BOOLEANS = frozenset({"true", "false"})


@dataclass(frozen=True)
class Manifest:
    """What a job says of itself: its column of ids, the operations in row order, the data's SHA-256.

    `attempt` counts from 1: how often these operations were written, those that were refused before.
    """

    key: str
    attempt: int
    operation_ids: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Job:
    """A job as written, read back."""

    folder: Path
    manifest: Manifest


class JobFile(Protocol):
    """The rows of one job: `body` as it is uploaded, `operations` in row order."""

    @property
    def body(self) -> bytes:
        """The file."""

    @property
    def operations(self) -> tuple[Operation, ...]:
        """One for each row."""


class RowRefused(Exception):  # noqa: N818 - named as what happened
    """An operation cannot be a row; the message never holds a value."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


RowT = TypeVar("RowT")
FileT = TypeVar("FileT", bound=JobFile)
JobT = TypeVar("JobT", bound=Job)


class JobFolders(ABC, Generic[RowT, FileT, JobT]):
    """All of `writeback.target.Target` that is the same for every vendor's files.

    `connection` may hold `folder`, `rows_per_file`, `bytes_per_file` and what the vendor adds.

    Attributes
    ----------
    connector
        its name in policies.
    default_folder
        below the project's folder.
    word
        what the vendor calls a job.
    """

    connector: ClassVar[str]
    default_folder: ClassVar[str]
    word: ClassVar[str]
    is_live = False
    batch_size: int

    def __init__(self, policy: TargetPolicy, folder: Path, further_keys: Sequence[str] = ()) -> None:
        known = ["folder", "rows_per_file", "bytes_per_file", *further_keys]
        for key in policy.connection:
            if key not in known:
                raise ConfigurationError(
                    f"{self.connector}: unknown key 'connection.{key}'{nearest(key, known)}"
                )
        self._connection = policy.connection
        self._folder = folder / policy.connection.get("folder", self.default_folder)
        self._names = {name: dict(of.names) for name, of in policy.objects.items()}
        self._written: tuple[dict[str, str], dict[str, int]] | None = None

    @classmethod
    def open_target(cls, policy: TargetPolicy, secrets: Mapping[str, str], folder: Path) -> Self:
        """The files of a policy, below `folder`, the project's; no secret is needed.

        Raises
        ------
        ConfigurationError
            if `connection` is wrong.
        """
        return cls(policy, folder)

    def _whole(self, key: str, default: int, least: int = 1, most: int | None = None) -> int:
        """A whole number of the connection."""
        text = self._connection.get(key, str(default))
        if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
            extent = f"from {least}" if most is None else f"from {least} to {most}"
            raise ConfigurationError(f"{self.connector}: connection.{key} must be a whole number {extent}")
        return int(text)

    # --- what a vendor adds ---

    @abstractmethod
    def _row(self, operation: Operation) -> tuple[str, RowT]:
        """The id of the record and its row.

        Raises
        ------
        RowRefused
            if files cannot do it.
        """

    @abstractmethod
    def _files(self, rows: Sequence[RowT]) -> Iterator[FileT]:
        """The rows as files within the limits, in their order."""

    @abstractmethod
    def _title(self, file: FileT) -> str:
        """What the folder's name begins with: the object and what is done to it."""

    @abstractmethod
    def _documents(self, name: str, file: FileT, attempt: int) -> dict[str, dict[str, Any]]:
        """What lies beside the data, by file name, the manifest last; `name` is the folder's."""

    @abstractmethod
    def _manifest(self, document: Mapping[str, Any]) -> Manifest:
        """A manifest as `_documents` wrote it; ValueError, KeyError or TypeError if it is none."""

    @abstractmethod
    def _job(self, folder: Path, manifest: Manifest, body: bytes) -> JobT:
        """A job from what was read."""

    @abstractmethod
    def _collected(self, jobs: Sequence[JobT]) -> list[Answer]:
        """What the results that lie there say of these jobs; FileRefused if some cannot be read."""

    # --- the target ---

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
        """Values trimmed, with LF, true and false in lower case; types are not known without the vendor."""
        clean = {f: trimmed(v) for f, v in values.items()}
        return {f: (v.lower() if v.lower() in _BOOLEANS else v) or None for f, v in clean.items()}

    def send(self, operations: Sequence[Operation]) -> list[Answer]:
        """Write jobs. An operation that an earlier call wrote is left where it is, unless the results say
        that it was not taken: then it goes into a new job.

        Raises
        ------
        TargetUnavailable
            if the folder cannot be written; what was written before stays.
        FileRefused
            as `collect`.
        """
        written, attempts = self._already_written()
        answers: dict[str, Answer] = {}
        rows: dict[str, RowT] = {}
        for operation in operations:
            key, record_id = operation.operation_id, operation.record_id
            if key in written:
                answers[key] = _written_answer(operation, written[key])
                continue
            try:
                record, row = self._row(operation)
            except RowRefused as error:
                answers[key] = Answer(key, Outcome.REFUSED, str(error), record_id, code=error.code)
                continue
            if record in rows:
                words = "another change of this record goes first"
                answers[key] = Answer(key, Outcome.RETRY, words, record_id, code="SAME_RECORD")
            else:
                rows[record] = row
        for file in self._files(list(rows.values())):
            attempt = 1 + max(attempts.get(o.operation_id, 0) for o in file.operations)
            name = self._write(file, attempt)
            for operation in file.operations:
                written[operation.operation_id] = name
                attempts[operation.operation_id] = attempt
                answers[operation.operation_id] = _written_answer(operation, name)
        return [answers[o.operation_id] for o in operations]

    def collect(self) -> list[Answer]:
        """What the results that lie there say, by operation; every time anew, in a stable order.

        Operations without a result yet give no answer; of one that was written again, its last job tells.

        Raises
        ------
        FileRefused
            naming every file of results that cannot be read or is of no job; nothing is taken until it is
            mended or taken away.
        """
        return self._collected(self._jobs())

    # --- the folders ---

    def _jobs(self) -> list[JobT]:
        return [self._read_job(path) for path in sorted(self._folder.glob(f"[!.]*/{MANIFEST}"))]

    def _already_written(self) -> tuple[dict[str, str], dict[str, int]]:
        """The folder of each operation that needs no other, and the last attempt at each that had one."""
        if self._written is None:
            jobs = sorted(self._jobs(), key=lambda job: job.manifest.attempt)
            again = {a.operation_id for a in self._collected(jobs) if a.outcome is not Outcome.DONE}
            names = {o: j.folder.name for j in jobs for o in j.manifest.operation_ids if o not in again}
            self._written = names, {o: j.manifest.attempt for j in jobs for o in j.manifest.operation_ids}
        return self._written

    def _write(self, file: FileT, attempt: int) -> str:
        ids = [operation.operation_id for operation in file.operations]
        digest = hashlib.sha256("\n".join([str(attempt), *ids, ""]).encode() + file.body).hexdigest()[:12]
        name = f"{self._title(file)}-{digest}"
        documents = self._documents(name, file, attempt)
        part = self._folder / f".{name}.part"
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            _write_through(part / DATA, file.body)
            for document_name, document in documents.items():
                text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
                _write_through(part / document_name, text.encode())
            part.rename(self._folder / name)
        except OSError as error:
            raise TargetUnavailable(f"{self._folder / name}: {error.strerror}") from error
        return name

    def _read_job(self, path: Path) -> JobT:
        try:
            manifest = self._manifest(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            raise FileRefused(f"{path}: not a manifest written here; put it back or take it away") from None
        data = path.parent / DATA
        try:
            body = data.read_bytes()
        except OSError as error:
            raise FileRefused(f"{data}: {error.strerror}; the {self.word}'s file is needed") from error
        if hashlib.sha256(body).hexdigest() != manifest.sha256:
            raise FileRefused(f"{data}: changed since it was written; put the file back")
        return self._job(path.parent, manifest, body)


def trimmed(value: str | None) -> str:
    """A value as a cell: without blanks around it, and with LF, since a bare CR would end the row."""
    return (value or "").strip().replace("\r\n", "\n").replace("\r", "\n")


def _write_through(path: Path, content: bytes) -> None:
    """Write and wait until the disk has it: after a power cut a renamed folder must not hold empty files."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _written_answer(operation: Operation, name: str) -> Answer:
    return Answer(operation.operation_id, Outcome.DONE, f"written to {name}/{DATA}", operation.record_id)

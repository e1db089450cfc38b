"""A private copy of a file, so that what is hashed is what is read, whoever writes to the original."""

from __future__ import annotations

import codecs
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from crm_hygiene.errors import FileRefused

_BLOCK = 4 * 1024 * 1024

# Beginnings of files that people deliver in place of an export.
_MAGIC = (
    (b"PK\x03\x04", "a ZIP archive or Excel workbook; unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save the sheet as CSV"),
    (b"\x1f\x8b", "gzip-compressed; unpack it first"),
    (b"%PDF", "a PDF; ask for the data as CSV, JSON or camt.053"),
    (b"PAR1", "a Parquet file; export it as CSV or JSON"),
    (b"SQLite format 3", "an SQLite database; export its tables as CSV"),
)


@dataclass
class Snapshot:
    """The copy: a temporary file that vanishes with this object.

    `is_utf8` says whether all of it decodes as UTF-8; `has_nul` whether it holds a zero byte.
    """

    file: IO[bytes]
    path: Path
    file_hash: str
    byte_count: int
    is_utf8: bool
    has_nul: bool

    def head(self, size: int = 65536) -> bytes:
        """The first bytes."""
        with self.path.open("rb") as stream:
            return stream.read(size)


def take_snapshot(path: Path, scratch: Path | None = None, may_be_pdf: bool = False) -> Snapshot:
    """Copy `path` into the folder `scratch` (default: the system's temporary folder) while hashing it.

    Raises
    ------
    FileRefused
        if it is empty, a folder, not readable, of a kind that is no text, or changes meanwhile.
    """
    # The snapshot lives as long as the reader that holds it, which no with-block can span.
    copy = tempfile.NamedTemporaryFile(prefix="crm-hygiene-", dir=scratch)  # noqa: SIM115
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_utf8, has_nul, count = True, False, 0
    try:
        before = path.stat()
        with path.open("rb") as stream:
            # A writer that keeps ahead must not keep us copying for ever.
            while count <= before.st_size and (block := stream.read(_BLOCK)):
                digest.update(block)
                copy.write(block)
                count += len(block)
                has_nul = has_nul or b"\0" in block
                if is_utf8:
                    try:
                        decoder.decode(block)
                    except UnicodeDecodeError:
                        is_utf8 = False
        after = path.stat()
    except FileNotFoundError as error:
        raise FileRefused(f"{path}: the file is gone; deliver it again") from error
    except IsADirectoryError as error:
        raise FileRefused(f"{path}: is a folder, not a file") from error
    except PermissionError as error:
        raise FileRefused(f"{path}: may not be read; give this user read permission") from error
    except OSError as error:
        raise FileRefused(f"{path}: cannot be read: {error.strerror or error}") from error
    copy.flush()
    if is_utf8:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            is_utf8 = False
    if (before.st_size, before.st_mtime_ns, before.st_ino) != (
        after.st_size,
        after.st_mtime_ns,
        after.st_ino,
    ) or (count != after.st_size):
        raise FileRefused(
            f"{path}: changed while it was read; it is tried again once its delivery has finished"
        )
    snapshot = Snapshot(copy, Path(copy.name), digest.hexdigest(), count, is_utf8, has_nul)
    _refuse_non_text(path, snapshot, may_be_pdf)
    return snapshot


def _refuse_non_text(path: Path, snapshot: Snapshot, may_be_pdf: bool) -> None:
    if snapshot.byte_count == 0:
        raise FileRefused(
            f"{path}: is empty (0 bytes); a delivery without rows still has a header; deliver it again"
        )
    head = snapshot.head(4096)
    for magic, what in _MAGIC:
        if head.startswith(magic) and not (may_be_pdf and magic == b"%PDF"):
            raise FileRefused(f"{path}: is {what}")
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()[:64].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        raise FileRefused(
            f"{path}: is an HTML page, not data; "
            "often a login or error page was saved in place of the export; export again"
        )

"""Character encodings: any text file as UTF-8 lines, with a mark where bytes could not be read.

Files that are UTF-8 are read where they are. Others are written once more as UTF-8: as a whole if the
encoding is declared or told by a byte order mark, else line by line, because exports that were glued
together hold lines of both kinds. What does not belong here: which code page it was (`code_pages`).
"""

from __future__ import annotations

import codecs
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from crm_hygiene.errors import FileRefused
from crm_hygiene.readers.code_pages import code_page
from crm_hygiene.readers.landed_file import MAX_RECORD_BYTES
from crm_hygiene.readers.snapshot import Snapshot

# A noncharacter of Unicode, which no text may hold: stands where bytes could not be decoded.
UNDECODABLE = "\ufdd0"
_BLOCK = 4 * 1024 * 1024
# Bytes that tell the code page.
_SAMPLE = 64 * 1024
# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass
class Text:
    """UTF-8 text in a file: where it starts, how it was encoded, and whether rows need looking at.

    `is_suspect`: some lines hold NUL characters or undecodable bytes.
    """

    path: Path
    start: int
    encoding: str
    is_suspect: bool
    warnings: list[str] = field(default_factory=list)
    holder: object = field(default=None, repr=False)

    def open(self) -> IO[bytes]:
        """The bytes from the first character on."""
        stream = self.path.open("rb")
        stream.seek(self.start)
        return stream

    def lines(self) -> Iterator[tuple[str, bool]]:
        """Physical lines with their newline; True beside the beginning of one that is over the limit."""
        with self.open() as stream:
            yield from physical_lines(stream)


def physical_lines(stream: IO[bytes]) -> Iterator[tuple[str, bool]]:
    r"""Lines of UTF-8 text up to and with `\n`, never more than the record limit in memory.

    A longer line comes as its first `MAX_RECORD_BYTES` with True; the rest of it is skipped.
    """
    rest = b""
    skipping = False
    while block := stream.read(_BLOCK):
        if skipping:
            end = block.find(b"\n")
            if end < 0:
                continue
            block = block[end + 1 :]
            skipping = False
        cut = block.rfind(b"\n")
        if cut < 0:
            rest += block
        else:
            complete = rest + block[: cut + 1]
            rest = block[cut + 1 :]
            for line in complete.decode("utf-8").split("\n")[:-1]:
                yield line + "\n", len(line) > MAX_RECORD_BYTES
        if len(rest) > MAX_RECORD_BYTES:
            yield rest[:MAX_RECORD_BYTES].decode("utf-8", "ignore"), True
            rest, skipping = b"", True
    if rest:
        yield rest.decode("utf-8"), False


def as_utf8(path: Path, snapshot: Snapshot, encoding: str, scratch: Path | None = None) -> Text:
    """The snapshot of `path` as UTF-8 text; `encoding` is the mapping's, `auto` to find out.

    Raises
    ------
    FileRefused
        if a declared encoding or the one of the byte order mark does not fit.
    """
    head = snapshot.head(4096)
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    found = marked or (encoding if encoding != "auto" else _guess_wide(head))
    if found in ("utf-16", "utf-16-le", "utf-16-be", "utf-32") or found.startswith(("utf_16", "utf_32")):
        text = _transcode(path, snapshot, found, scratch)
    elif snapshot.is_utf8 and codecs.lookup(found).name in ("utf-8", "utf-8-sig", "ascii"):
        start = len(codecs.BOM_UTF8) if marked == "utf-8-sig" else 0
        text = Text(snapshot.path, start, "utf-8", snapshot.has_nul, holder=snapshot)
    else:
        text = _line_by_line(snapshot, found, scratch)
    return _with_newlines(text, scratch)


def _guess_wide(head: bytes) -> str:
    """UTF-16 without a mark shows as a zero in every second byte of Western text; else UTF-8."""
    half = max(len(head) // 2, 1)
    if head[1::2].count(0) > half * 0.6:
        return "utf-16-le"
    if head[0::2].count(0) > half * 0.6:
        return "utf-16-be"
    return "utf-8"


def _transcode(path: Path, snapshot: Snapshot, encoding: str, scratch: Path | None) -> Text:
    out = tempfile.NamedTemporaryFile(prefix="crm-hygiene-", dir=scratch)  # noqa: SIM115
    decoder = codecs.getincrementaldecoder(encoding)()
    has_nul = False
    try:
        with snapshot.path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                text = decoder.decode(block)
                has_nul = has_nul or "\0" in text
                out.write(text.encode("utf-8"))
            out.write(decoder.decode(b"", final=True).encode("utf-8"))
    except UnicodeError as error:
        raise FileRefused(
            f"{path}: cannot be read as {encoding}: {error}; "
            "export it as UTF-8, or set `encoding` in the mapping"
        ) from error
    out.flush()
    return Text(Path(out.name), 0, encoding, has_nul, holder=out)


def _line_by_line(snapshot: Snapshot, declared: str, scratch: Path | None) -> Text:
    """Each line in the declared encoding (default UTF-8), else in a code page, else with marks."""
    out = tempfile.NamedTemporaryFile(prefix="crm-hygiene-", dir=scratch)  # noqa: SIM115
    declared = codecs.lookup(declared).name
    fallback = ""  # told by the first lines that need one
    as_declared = as_fallback = unreadable = plain = 0
    with snapshot.path.open("rb") as stream:
        if snapshot.head(3) == codecs.BOM_UTF8:
            stream.seek(3)
        while line := stream.readline(MAX_RECORD_BYTES + 1):
            if line.isascii():
                plain += 1
                out.write(line)
                continue
            try:
                text = line.decode(declared)
                as_declared += 1
            except UnicodeDecodeError:
                fallback = fallback or code_page(_sample(line, stream, declared))
                try:
                    text = line.decode(fallback)
                    as_fallback += 1
                except UnicodeDecodeError:
                    text = line.decode(declared, "replace").replace("\ufffd", UNDECODABLE)
                    unreadable += 1
            out.write(text.encode("utf-8"))
    out.flush()
    warnings = []
    if as_fallback:
        warnings.append(
            f"{as_fallback} lines are not {declared} and were read as {fallback}, {as_declared + plain} are; "
            "if names look wrong, set `encoding` in the mapping"
        )
    if unreadable:
        warnings.append(f"{unreadable} lines are neither {declared} nor {fallback}")
    encoding = (
        f"{declared}+{fallback}" if as_declared and as_fallback else fallback if as_fallback else declared
    )
    return Text(Path(out.name), 0, encoding, bool(unreadable) or snapshot.has_nul, warnings, holder=out)


def _sample(first: bytes, stream: IO[bytes], declared: str) -> bytes:
    """A line that is not in the declared encoding and more such after it; the stream stays where it is."""
    lines = [first[:_SAMPLE]]
    size = len(lines[0])
    at = stream.tell()
    while size < _SAMPLE and (line := stream.readline(MAX_RECORD_BYTES + 1)):
        try:
            line.decode(declared)
        except UnicodeDecodeError:
            lines.append(line[:_SAMPLE])
            size += len(lines[-1])
    stream.seek(at)
    return b"".join(lines)


def _with_newlines(text: Text, scratch: Path | None) -> Text:
    r"""Old Macintosh files end lines with `\r` alone; give them `\n`."""
    with text.open() as stream:
        head = stream.read(65536)
    if b"\r" not in head or b"\n" in head:
        return text
    out = tempfile.NamedTemporaryFile(prefix="crm-hygiene-", dir=scratch)  # noqa: SIM115
    with text.open() as stream:
        while block := stream.read(_BLOCK):
            out.write(block.replace(b"\r", b"\n"))
    out.flush()
    warning = "lines end with carriage returns alone; read as line ends"
    return Text(Path(out.name), 0, text.encoding, text.is_suspect, [*text.warnings, warning], holder=out)

"""JSON files: a list of records, a REST envelope around one, or one record per line.

Numbers keep the text they were written in: 1e3, 0.10 and 18-digit identifiers come out as they went in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import polars as pl

from crm_hygiene.errors import FileRefused
from crm_hygiene.mapping import HeaderMatch, Mapping
from crm_hygiene.readers.batches import accept_header, shape_batch, warn_of_absent
from crm_hygiene.readers.encodings import UNDECODABLE, Text
from crm_hygiene.readers.landed_file import BATCH_ROWS, MAX_RECORD_BYTES, RefusedRow

Record = dict[str, Any]

_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str, strict=False)
_CHUNK = 4 * 1024 * 1024
_LIMIT = MAX_RECORD_BYTES // 1024 // 1024


def flatten(record: Record, unwrap: tuple[str, ...]) -> Record:
    """Nested objects become dotted keys, those named in `unwrap` are lifted, lists become JSON text."""
    flat: Record = {}
    lifted: Record = {}

    def add(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{prefix}.{key}", inner)
        elif isinstance(value, list):
            flat[prefix] = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        else:
            flat[prefix] = value

    for key, value in record.items():
        if key in unwrap and isinstance(value, dict):
            lifted |= {k: (key, v) for k, v in value.items()}
        else:
            add(key, value)
    for name, (parent, value) in lifted.items():
        # The record's own key wins; the lifted one keeps its full name.
        add(f"{parent}.{name}" if name in flat else name, value)
    return flat


class _Stream:
    """A window over JSON text that is read as far as needed."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self.path = path
        self.stream = stream
        self.text = ""
        self.at = 0
        self.rest = b""
        self.ended = False

    def more(self) -> bool:
        """Read on and forget what is behind; False at the end of the file."""
        if self.ended:
            return False
        block = self.stream.read(_CHUNK)
        self.ended = not block
        data = self.rest + block
        # UTF-8 sequences can be cut by the block; the snapshot is known to be valid as a whole.
        text = data.decode("utf-8", "ignore") if self.ended else _whole(data)
        self.rest = b"" if self.ended else data[len(text.encode("utf-8")) :]
        self.text = self.text[self.at :] + text
        self.at = 0
        return True

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def value(self) -> Any:
        """The next JSON value."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
                # A number at the very end of the window may go on beyond it.
                if end < len(self.text) or not self.more():
                    self.at = end
                    return value
            except (json.JSONDecodeError, RecursionError) as error:
                if isinstance(error, RecursionError):
                    raise FileRefused(f"{self.path}: JSON nested too deeply to be data") from error
                if len(self.text) - self.at > MAX_RECORD_BYTES:
                    raise self.broken(f"a record over {_LIMIT} MiB, or broken within it") from error
                if not self.more():
                    raise self.broken(error.msg) from error

    def expect(self, wanted: str) -> str:
        """The next character, which must be one of `wanted`."""
        found = self.peek()
        if not found or found not in wanted:
            raise self.broken(f"expected {' or '.join(wanted)}, found {found or 'the end of the file'}")
        self.at += 1
        return found

    def broken(self, what: str) -> FileRefused:
        """The error for text that is no JSON; says what stands there, for the reader to find it."""
        near = self.text[max(self.at - 20, 0) : self.at + 40].replace("\n", " ")
        return FileRefused(
            f"{self.path}: malformed JSON ({what}) near {near!r}; was the file cut off? Export it again"
        )


def _whole(data: bytes) -> str:
    for cut in range(4):
        try:
            return data[: len(data) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", "replace")


def document_records(
    path: Path, text: Text, records_at: tuple[str, ...], warnings: list[str]
) -> Iterator[Any]:
    """Elements of the list in a JSON document, one at a time.

    Raises
    ------
    FileRefused
        if the document is malformed or has no list where the mapping says.
    """
    with text.open() as raw:
        stream = _Stream(path, raw)
        opening = stream.peek()
        if opening == "[":
            yield from _elements(stream)
        elif opening == "{":
            yield from _envelope(stream, records_at, warnings)
        else:
            raise stream.broken("expected a list or an object")
        if stream.peek():
            raise stream.broken("text after the end of the document")


def _envelope(stream: _Stream, records_at: tuple[str, ...], warnings: list[str]) -> Iterator[Any]:
    stream.expect("{")
    found = False
    keys: list[str] = []
    if stream.peek() == "}":
        stream.at += 1
    else:
        while True:
            key = stream.value()
            keys.append(str(key))
            stream.expect(":")
            if key in records_at and not found and stream.peek() == "[":
                found = True
                yield from _elements(stream)
            else:
                value = stream.value()
                if (key == "done" and value is False) or (key in ("nextRecordsUrl", "paging") and value):
                    warnings.append(f"the file is one page of several ({key}); were all pages delivered?")
            if stream.expect(",}") == "}":
                break
    if not found:
        raise FileRefused(
            f"{stream.path}: no list of records at {' or '.join(records_at)}; the document has "
            f"{', '.join(keys[:10]) or 'no keys'}; "
            "is it an error message in place of data? Else set `records_at`"
        )


def _elements(stream: _Stream) -> Iterator[Any]:
    stream.expect("[")
    if stream.peek() == "]":
        stream.at += 1
        return
    while True:
        yield stream.value()
        if stream.expect(",]") == "]":
            return


def numbered_document(
    path: Path, text: Text, mapping: Mapping, warnings: list[str], refused: list[RefusedRow]
) -> Iterator[tuple[int, Record]]:
    """Records of a JSON document with their ordinals; elements that are no objects are refused."""
    for number, record in enumerate(document_records(path, text, mapping.records_at, warnings), start=1):
        if isinstance(record, dict):
            yield number, record
        else:
            refused.append(RefusedRow.of(number, "not a JSON object", json.dumps(record, ensure_ascii=False)))


def numbered_lines(text: Text, refused: list[RefusedRow]) -> Iterator[tuple[int, Record]]:
    """Records of a JSON Lines file with their ordinals, blank lines left out; bad lines are refused."""
    number = 0
    decode = _DECODER.raw_decode
    for line, is_long in text.lines():
        stripped = line.strip()
        if not stripped:
            continue
        number += 1
        reason = ""
        record: Any = None
        if is_long:
            reason = f"line over {_LIMIT} MiB"
        elif text.is_suspect and "\0" in line:
            reason = "NUL byte in the row"
        elif text.is_suspect and UNDECODABLE in line:
            reason = "bytes that are neither in the file's encoding nor in its code page"
        else:
            try:
                record, end = decode(stripped)
                if end != len(stripped):
                    reason = "text after the JSON object"
                elif not isinstance(record, dict):
                    reason = "not a JSON object"
            except json.JSONDecodeError as error:
                reason = f"malformed JSON: {error.msg} at character {error.pos + 1}"
            except RecursionError:
                reason = "JSON nested too deeply to be data"
        if reason:
            refused.append(RefusedRow.of(number, reason, stripped.replace(UNDECODABLE, "\ufffd")))
        else:
            yield number, record


def read_json(
    path: Path, text: Text, mapping: Mapping, warnings: list[str], refused: list[RefusedRow], lines: bool
) -> tuple[list[str], Iterator[pl.DataFrame]]:
    """Header so far and batches of a JSON document, or of JSON Lines if `lines`.

    The header is known from the first batch on and grows with keys that later records bring.

    Raises
    ------
    FileRefused
        if the document is malformed, a required key never occurs in the first batch, or a key is
        neither mapped nor ignored and the mapping refuses those.
    """
    source = (
        numbered_lines(text, refused) if lines else numbered_document(path, text, mapping, warnings, refused)
    )
    header: list[str] = []
    batches = _batches(path, source, header, mapping, warnings, refused)
    first = next(batches, None)  # so that what refuses the file is known at once
    if first is None and lines and refused:
        raise FileRefused(f"{path}: not one line could be read; the first: {refused[0].reasons[0]}")
    return header, _again(first, batches)


def _again(first: pl.DataFrame | None, rest: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    if first is not None:
        yield first
        yield from rest


def _batches(
    path: Path,
    source: Iterator[tuple[int, Record]],
    header: list[str],
    mapping: Mapping,
    warnings: list[str],
    refused: list[RefusedRow],
) -> Iterator[pl.DataFrame]:
    match: HeaderMatch | None = None
    done = False
    while not done:
        numbers: list[int] = []
        records: list[Record] = []
        for number, record in source:
            numbers.append(number)
            records.append(record)
            if len(records) == BATCH_ROWS:
                break
        else:
            done = True
        if not records:
            break
        raw, ordinals = _frame(numbers, records, mapping.unwrap, refused)
        new = [c for c in raw.columns if c not in header]
        if match is None or new:
            header += new
            match_now = accept_header(path, header, mapping, warnings)
            if match is None:
                warn_of_absent(match_now, mapping, warnings)
            match = match_now
        present = HeaderMatch({c: h for c, h in match.columns.items() if h in raw.columns})
        yield shape_batch(raw, present, mapping, ordinals)
    if match is None and not refused:
        warnings.append("the file has no records")


def _frame(
    numbers: list[int], records: list[Record], unwrap: tuple[str, ...], refused: list[RefusedRow]
) -> tuple[pl.DataFrame, pl.Series]:
    """All-String frame over the union of keys; records with characters no text may hold are refused."""
    columns = _columns(records)
    if any(dict in types or list in types for _, types in columns.values()):
        records = [flatten(r, unwrap) for r in records]
        columns = _columns(records)
    try:
        raw = pl.DataFrame([pl.Series(n, values, dtype=pl.String) for n, (values, _) in columns.items()])
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell and UTF-8 cannot
        good = [_is_encodable(r) for r in records]
        _refuse_where([not g for g in good], numbers, records, "half a surrogate pair in the row", refused)
        kept = [(n, r) for n, r, g in zip(numbers, records, good, strict=True) if g]
        return _frame([n for n, _ in kept], [r for _, r in kept], unwrap, refused)
    ordinals = pl.Series(numbers, dtype=pl.Int64)
    if raw.width:
        has_nul = raw.select(
            pl.any_horizontal(pl.all().str.contains("\0", literal=True).fill_null(False))
        ).to_series()
        if has_nul.any():
            _refuse_where(has_nul.to_list(), numbers, records, "NUL byte in the row", refused)
            raw, ordinals = raw.filter(~has_nul), ordinals.filter(~has_nul)
    elif records:
        raw = pl.DataFrame({"": pl.Series([None] * len(records), dtype=pl.String)})
    return raw, ordinals


def _columns(records: list[Record]) -> dict[str, tuple[list[Any], set[type]]]:
    keys: Record = {}
    for record in records:
        keys.update(record)
    columns = {}
    for key in keys:
        values = [r.get(key) for r in records]
        types = set(map(type, values))
        if bool in types:
            values = [("true" if v else "false") if isinstance(v, bool) else v for v in values]
        columns[key] = (values, types)
    return columns


def _is_encodable(record: Record) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _refuse_where(
    flags: list[bool], numbers: list[int], records: list[Record], reason: str, refused: list[RefusedRow]
) -> None:
    for flag, number, record in zip(flags, numbers, records, strict=True):
        if flag:
            refused.append(RefusedRow.of(number, reason, json.dumps(record)))

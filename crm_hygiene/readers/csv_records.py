"""CSV record by record: the patient path, which takes any damage one line at a time.

Every record comes out, either as fields or with the reason why it could not be read. A record that
cannot be read costs only its first line: reading goes on with the next, so an unclosed quote does not
swallow the file.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from crm_hygiene.readers.encodings import UNDECODABLE, Text
from crm_hygiene.readers.landed_file import MAX_RECORD_BYTES


@dataclass(frozen=True)
class CsvRecord:
    """Fields of one record, or None and the reason; the text it was read from."""

    fields: list[str] | None
    reason: str
    text: str


class _LineTooLong(Exception):  # noqa: N818 - a signal between generator and loop, not an error
    """The next physical line is over the limit; its beginning is the argument."""


def csv_records(text: Text, delimiter: str, skip_lines: int = 0) -> Iterator[CsvRecord]:
    """Records of CSV text in order, blank lines left out; the header is the first.

    `skip_lines` physical lines are passed over first.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_BYTES + 1))
    source = text.lines()
    for _ in range(skip_lines):
        next(source, None)
    returned: deque[tuple[str, bool]] = deque()
    consumed: list[str] = []

    def feed() -> Iterator[str]:
        size = 0
        while True:
            item = returned.popleft() if returned else next(source, None)
            if item is None:
                return
            line, is_long = item
            if is_long:
                if consumed:
                    returned.appendleft(item)
                    return
                raise _LineTooLong(line)
            size = len(line) if not consumed else size + len(line)
            if size > MAX_RECORD_BYTES:
                returned.appendleft(item)
                return
            consumed.append(line)
            yield line

    reader = csv.reader(feed(), delimiter=delimiter, strict=True)
    while True:
        consumed.clear()
        try:
            fields = next(reader)
        except StopIteration:
            if not returned:
                return
            reader = csv.reader(feed(), delimiter=delimiter, strict=True)
            continue
        except _LineTooLong as signal:
            yield CsvRecord(None, f"line over {MAX_RECORD_BYTES // 1024 // 1024} MiB", str(signal))
            reader = csv.reader(feed(), delimiter=delimiter, strict=True)
            continue
        except csv.Error as error:
            first = consumed[0] if consumed else ""
            returned.extendleft((line, False) for line in reversed(consumed[1:]))
            yield CsvRecord(None, _reason(error), first)
            reader = csv.reader(feed(), delimiter=delimiter, strict=True)
            continue
        if not fields:
            continue
        raw = consumed[0] if len(consumed) == 1 else "".join(consumed)
        if text.is_suspect and "\0" in raw:
            yield CsvRecord(None, "NUL byte in the row", raw)
        elif text.is_suspect and UNDECODABLE in raw:
            shown = raw.replace(UNDECODABLE, "\ufffd")
            yield CsvRecord(None, "bytes that are neither in the file's encoding nor in its code page", shown)
        else:
            yield CsvRecord(fields, "", raw)


def _reason(error: csv.Error) -> str:
    said = str(error)
    if "unexpected end of data" in said:
        return "a quote is opened and never closed"
    if "expected after" in said:
        return "text after a closing quote"
    if "new-line character" in said:
        return "a carriage return outside quotes"
    return f"not readable as CSV: {said}"

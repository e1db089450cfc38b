"""CSV files: delimiter, header, rows; fast where the file is clean, patient from the first damage on."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from crm_hygiene.errors import FileRefused
from crm_hygiene.mapping import HeaderMatch, Mapping, header_key
from crm_hygiene.readers.batches import accept_header, shape_batch, warn_of_absent
from crm_hygiene.readers.csv_blocks import csv_blocks, is_cleanly_quoted
from crm_hygiene.readers.csv_records import csv_records
from crm_hygiene.readers.encodings import Text
from crm_hygiene.readers.landed_file import BATCH_ROWS, RefusedRow

DELIMITERS = (",", ";", "\t", "|", "^", "`")
# Excel writes and reads a first line that names the delimiter.
_SEP_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)


@dataclass(frozen=True)
class CsvLayout:
    """Delimiter, column names, and where the rows begin."""

    delimiter: str
    header: list[str]
    skip_lines: int
    rows_start: int


def sniff_delimiter(line: str, mapping: Mapping) -> str:
    """The delimiter under which the header line shows most columns the mapping knows, else most fields."""
    known = {header_key(c) for c in mapping.vendor_columns}

    def worth(delimiter: str) -> tuple[int, int]:
        names = next(csv.reader([line], delimiter=delimiter), [])
        found = sum(1 for n in names if header_key(mapping.without_prefix(n)) in known or mapping.ignores(n))
        return found, len(names)

    # max keeps the first of equals: the comma.
    return max(DELIMITERS, key=worth)


def find_layout(path: Path, text: Text, mapping: Mapping, warnings: list[str]) -> CsvLayout:
    """Read the header.

    Raises
    ------
    FileRefused
        if it cannot be read.
    """
    first, is_long = next(text.lines(), ("", False))
    if is_long or not first.strip():
        raise FileRefused(
            f"{path}: the first line is {'too long' if is_long else 'blank'}, so there is no header"
        )
    skip, offset = 0, 0
    delimiter = mapping.delimiter
    named = _SEP_LINE.fullmatch(first)
    if named:
        skip, offset = 1, len(first.encode("utf-8"))
        delimiter = named[1]
        lines = text.lines()
        next(lines, None)
        first = next(lines, ("", False))[0]
    if delimiter == "auto":
        delimiter = sniff_delimiter(first, mapping)
    record = next(csv_records(text, delimiter, skip), None)
    if record is None or record.fields is None:
        reason = record.reason if record else "nothing there"
        raise FileRefused(f"{path}: the header cannot be read: {reason}; export it again")
    header = [name.strip() for name in record.fields]
    unnamed = [i for i, name in enumerate(header) if not name]
    for i in unnamed:
        header[i] = f"column_{i + 1}"
    if unnamed:
        warnings.append(f"columns without a name, kept in `extra`: {', '.join(header[i] for i in unnamed)}")
    start = text.start + offset + len(record.text.encode("utf-8"))
    return CsvLayout(delimiter, header, skip, start)


def read_csv(
    path: Path,
    text: Text,
    mapping: Mapping,
    warnings: list[str],
    refused: list[RefusedRow],
    fast: bool = True,
) -> tuple[list[str], Iterator[pl.DataFrame]]:
    """Header and batches of a CSV file; `fast=False` takes the patient path from the start.

    Raises
    ------
    FileRefused
        see `find_layout` and `accept_header`.
    """
    layout = find_layout(path, text, mapping, warnings)
    match = accept_header(path, layout.header, mapping, warnings)
    warn_of_absent(match, mapping, warnings)
    return layout.header, _batches(text, layout, match, mapping, warnings, refused, fast)


def _batches(
    text: Text,
    layout: CsvLayout,
    match: HeaderMatch,
    mapping: Mapping,
    warnings: list[str],
    refused: list[RefusedRow],
    fast: bool,
) -> Iterator[pl.DataFrame]:
    done, complete = 0, False
    if fast and not text.is_suspect and layout.delimiter.isascii():
        with text.path.open("rb") as stream:
            stream.seek(layout.rows_start)
            clean = is_cleanly_quoted(stream, layout.delimiter)
        if clean:
            blocks = csv_blocks(text, layout.rows_start, layout.delimiter, layout.header)
            while True:
                try:
                    raw = next(blocks)
                except StopIteration as end:
                    complete = bool(end.value)
                    break
                yield shape_batch(raw, match, mapping, done + 1)
                done += raw.height
    if not complete:
        for raw, numbers in _patient(text, layout, refused, done):
            yield shape_batch(raw, match, mapping, numbers)
            done += raw.height
    if done + len(refused) == 0:
        warnings.append("the file has a header and no rows")


def _patient(
    text: Text, layout: CsvLayout, refused: list[RefusedRow], skip_rows: int
) -> Iterator[tuple[pl.DataFrame, pl.Series]]:
    """Raw frames with row numbers; the first `skip_rows` rows were already given by the fast path."""
    width = len(layout.header)
    rows: list[list[str]] = []
    numbers: list[int] = []
    short: RefusedRow | None = None
    records = csv_records(text, layout.delimiter, layout.skip_lines)
    next(records)
    for number, record in enumerate(records, start=1):
        if short is not None:
            refused.append(short)
            short = None
        if number <= skip_rows:
            continue
        if record.fields is not None and len(record.fields) == width:
            rows.append(record.fields)
            numbers.append(number)
            if len(rows) == BATCH_ROWS:
                yield _frame(rows, layout.header), pl.Series(numbers, dtype=pl.Int64)
                rows, numbers = [], []
            continue
        if record.fields is None:
            refused.append(RefusedRow.of(number, record.reason, record.text))
            continue
        reason = f"{len(record.fields)} fields where the header has {width}"
        row = RefusedRow.of(number, reason, record.text)
        if len(record.fields) < width:
            short = row  # held back one record: only the last can have been cut off
        else:
            refused.append(row)
    if short is not None:
        cut = f"{short.reasons[0]}; it is the last line: was the file cut off?"
        refused.append(RefusedRow(short.row_number, (cut,), short.row_text))
    if rows:
        yield _frame(rows, layout.header), pl.Series(numbers, dtype=pl.Int64)


def _frame(rows: list[list[str]], header: list[str]) -> pl.DataFrame:
    columns = zip(*rows, strict=True)
    return pl.DataFrame([pl.Series(n, c, dtype=pl.String) for n, c in zip(header, columns, strict=True)])

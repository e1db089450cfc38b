"""CSV as spreadsheets write and read it: encodings, delimiters, and cells that must not run as formulas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.readers.code_pages import code_page

# OWASP, CSV Injection: a cell that begins with one of these may be run as a formula. The full-width forms
# are read as the plain ones by some spreadsheets.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_DELIMITERS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


def guarded(cell: str) -> str:
    """The cell with an apostrophe in front if a spreadsheet could take it for a formula."""
    return "'" + cell if _FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    """What `guarded` was given; a cell whose apostrophe a spreadsheet has dropped stays as it is."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


@dataclass(frozen=True)
class Line:
    """One record of the file: the line it begins on (1 is the first), its cells by column name."""

    number: int
    cells: dict[str, str]


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> None:
    """Write UTF-8 with a byte order mark, as Excel needs it, and guarded cells; all of it or nothing.

    Raises
    ------
    ConfigurationError
        if the file cannot be written.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(columns)
    writer.writerows([guarded(cell or "") for cell in row] for row in rows)
    try:
        draft = path.with_name(path.name + ".part")
        draft.write_bytes(buffer.getvalue().encode("utf-8-sig"))
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror or error}") from error


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Spreadsheets on Windows save a plain "CSV" in the code page of the country.
        return data.decode(code_page(data), errors="replace")


def _delimiter(header: str, known: Iterable[str]) -> str:
    """The delimiter under which the header shows most known columns; a comma among equals."""
    names = set(known)

    def worth(delimiter: str) -> int:
        cells = next(csv.reader([header], delimiter=delimiter), [])
        return sum(1 for cell in cells if cell.strip().casefold() in names)

    return max(_DELIMITERS, key=worth)


def read_csv(path: Path, known: Iterable[str]) -> tuple[bytes, list[str], list[Line]]:
    """Bytes, column names (lower case) and lines of a file; blank lines are left out.

    Raises
    ------
    ConfigurationError
        if the file cannot be read, or is not a CSV file with a header.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror or error}") from error
    if data.startswith(b"PK\x03\x04"):
        raise ConfigurationError(f"{path}: this is a workbook; save it as CSV (UTF-8) and import that")
    text = _decoded(data)
    if "\0" in text:
        raise ConfigurationError(f"{path}: not a text file")
    first, _, rest = text.partition("\n")
    separator = _SEPARATOR_LINE.fullmatch(first.strip())
    offset = 1 if separator else 0
    body = rest if separator else text
    delimiter = separator.group(1) if separator else _delimiter(body.split("\n", 1)[0], known)
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter)
    lines: list[Line] = []
    header: list[str] = []
    start = 0
    try:
        for cells in reader:
            begins, start = start + 1, reader.line_num
            if not header:
                header = [cell.strip().casefold() for cell in cells]
            elif any(cell.strip() for cell in cells):
                values = {n: unguarded(c) for n, c in zip(header, cells, strict=False)}
                lines.append(Line(begins + offset, values))
    except csv.Error as error:
        raise ConfigurationError(
            f"{path}: line {start + 1 + offset}: not readable as CSV: {error}"
        ) from error
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise ConfigurationError(f"{path}: column '{repeated[0]}' occurs twice")
    return data, header, lines

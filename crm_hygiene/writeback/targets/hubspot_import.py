"""HubSpot imports: the rows of an import file, its `importRequest`, and the rows of an error file. Pure.

UTF-8, comma, LF, RFC 4180 quoting. An empty cell leaves a property as it is, so an import cannot clear one.
Source: HubSpot's imports API guide and "Set up import files". What does not belong here: folders and
manifests (`hubspot_files`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from crm_hygiene.writeback.operations import Operation
from crm_hygiene.writeback.targets.hubspot_properties import OBJECT_TYPE_IDS, object_type
from crm_hygiene.writeback.targets.job_folders import trimmed

ImportOperation = Literal["UPDATE", "CREATE"]

#: The column that holds HubSpot's own id of a record.
RECORD_ID = "Record ID"

#: Published: rows of a file, bytes of a file (20 MB on free accounts, 512 MB on paid), fewer than 1,000
#: columns.
MAX_ROWS = 1_048_576
MAX_BYTES = 512 * 1024 * 1024
FREE_BYTES = 20 * 1024 * 1024
MAX_COLUMNS = 999

#: Opt-outs are a list of their own in HubSpot; the flag of a contact is read-only.
OPT_OUT_FIELDS = frozenset({"unsubscribed from all email", "hs_email_optout"})

#: Published error types of rows; anything else in an error file may repeat a value.
ERROR_TYPES = frozenset(
    {
        "AMBIGUOUS_ENUMERATION_OPTION",
        "ASSOCIATION_LIMIT_EXCEEDED",
        "COULD_NOT_FIND_BUSINESS_UNIT",
        "COULD_NOT_FIND_OWNER",
        "COULD_NOT_PARSE_DATE",
        "COULD_NOT_PARSE_NUMBER",
        "COULD_NOT_PARSE_ROW",
        "COULD_NOT_PARSE_TERM",
        "DUPLICATE_ALTERNATE_ID",
        "DUPLICATE_ASSOCIATION_ID",
        "DUPLICATE_OBJECT_ID",
        "DUPLICATE_ROW_CONTENT",
        "DUPLICATE_UNIQUE_PROPERTY_VALUE",
        "FAILED_TO_CREATE_ASSOCIATION",
        "FAILED_TO_OPT_OUT_CONTACT",
        "FAILED_TO_PROCESS_OBJECT_WITH_EMPTY_PROPERTY_VALUES",
        "FAILED_VALIDATION",
        "GDPR_BLACKLISTED_EMAIL",
        "INCORRECT_NUMBER_OF_COLUMNS",
        "INVALID_ALTERNATE_ID",
        "INVALID_ASSOCIATION_IDENTIFIER",
        "INVALID_COLUMN_CONFIGURATION",
        "INVALID_DOMAIN",
        "INVALID_EMAIL",
        "INVALID_ENUMERATION_OPTION",
        "INVALID_NUMBER_SIZE",
        "INVALID_OBJECT_ID",
        "INVALID_REQUIRED_PROPERTY",
        "LIMIT_EXCEEDED",
        "MISSING_REQUIRED_PROPERTY",
        "MULTIPLE_COMPANIES_WITH_THIS_DOMAIN",
        "MULTIPLE_OWNERS_FOUND",
        "NO_OBJECT_ID_FROM_ASSOCIATION_IDENTIFIER",
        "OUTSIDE_VALID_TERM_RANGE",
        "OUTSIDE_VALID_TIME_RANGE",
        "PORTAL_WIDE_CUSTOM_OBJECT_LIMIT_EXCEEDED",
        "PROPERTY_DEFINITION_NOT_FOUND",
        "PROPERTY_VALUE_NOT_FOUND",
        "SECONDARY_EMAIL_WRITE_FAILURE",
        "UNKNOWN_BAD_REQUEST",
        "UNKNOWN_ERROR",
    }
)


@dataclass(frozen=True)
class ImportRows:
    """One file: `body` as it is uploaded, `operations` in row order, `header` with the id column first."""

    kind: ImportOperation
    header: tuple[str, ...]
    body: bytes
    operations: tuple[Operation, ...]


def row_of(operation: Operation, names: Mapping[str, str], link: str | None) -> dict[str, str]:
    """The cells of an operation, the id column first; `names` from the plan's field to the header.

    Raises
    ------
    ValueError
        if an import cannot do it, with the reason; it never holds a value.
    """
    if operation.kind not in ("write", "create"):
        raise ValueError(f"an import cannot {operation.kind} records")
    if operation.kind == "create":
        if operation.external_id is None:
            raise ValueError("a create needs external_id in the target's policy: it would be made twice")
        field, value = operation.external_id
        row = {names.get(field, field): trimmed(value)}
    elif not operation.record_id:
        raise ValueError("no record id")
    else:
        row = {RECORD_ID: operation.record_id}
    for field, given in operation.after.items():
        name = names.get(field, field)
        if field == link:
            raise ValueError(f"'{field}' is an association; import it in HubSpot or use connector: hubspot")
        if name.lower() in OPT_OUT_FIELDS:
            raise ValueError("an object import takes no opt-outs; HubSpot imports them as an opt-out list")
        text = trimmed(given)
        if not text and operation.kind == "create":
            continue
        if not text:
            raise ValueError(f"'{name}' cannot be cleared by an import: an empty cell leaves it as it is")
        if row.setdefault(name, text) != text:
            raise ValueError(f"'{name}' is written twice")
    return row


def cells(row: Sequence[str]) -> bytes:
    """One line of the file."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(row)
    return line.getvalue().encode()


def files_of(
    rows: Sequence[tuple[Operation, Mapping[str, str]]], most_rows: int, most_bytes: int
) -> Iterator[ImportRows]:
    """Files within the limits, updates and creates apart, rows in their order.

    A file has every column that one of its rows has: accounts are given few imports a day, and the empty
    cells of the other rows leave their records as they are.
    """
    by_key: dict[str, list[tuple[Operation, Mapping[str, str]]]] = {}
    for operation, row in rows:
        by_key.setdefault(next(iter(row)), []).append((operation, row))
    for key, of_key in sorted(by_key.items()):
        taken: list[tuple[Operation, Mapping[str, str]]] = []
        names: set[str] = set()
        content = 0
        for operation, row in of_key:
            grown = names | set(row)
            more = content + sum(len(cells([value])) - 1 for value in row.values())
            # A line's cells, the commas between them and its end.
            size = len(cells(_header(key, grown))) + more + (len(taken) + 1) * len(grown)
            if taken and (len(taken) >= most_rows or size > most_bytes or len(grown) > MAX_COLUMNS):
                yield _file(key, names, taken)
                more -= content
                taken, grown = [], set(row)
            taken.append((operation, row))
            names, content = grown, more
        yield _file(key, names, taken)


def _header(key: str, names: Collection[str]) -> tuple[str, ...]:
    return (key, *sorted(set(names) - {key}))


def _file(
    key: str, names: Collection[str], rows: Sequence[tuple[Operation, Mapping[str, str]]]
) -> ImportRows:
    kind: ImportOperation = "UPDATE" if key == RECORD_ID else "CREATE"
    header = _header(key, names)
    lines = [cells(header), *(cells([row.get(name, "") for name in header]) for _, row in rows)]
    return ImportRows(kind, header, b"".join(lines), tuple(operation for operation, _ in rows))


def import_request(
    name: str, file_name: str, object_name: str, rows: ImportRows, properties: Mapping[str, str]
) -> dict[str, Any]:
    """The `importRequest` of the imports API for one file.

    `properties` maps headers to internal names; a header that it lacks is taken to be one. A create is an
    UPSERT by the unique property: imported twice, the second import finds the record of the first.
    """
    kind = OBJECT_TYPE_IDS.get(object_type(object_name), object_name)
    mappings: list[dict[str, Any]] = []
    for number, header in enumerate(rows.header):
        column: dict[str, Any] = {
            "columnObjectTypeId": kind,
            "columnName": header,
            "propertyName": properties.get(header, header),
        }
        if number == 0 and header == RECORD_ID:
            column |= {"propertyName": "hs_object_id", "columnType": "HUBSPOT_OBJECT_ID"}
        elif number == 0:
            column["columnType"] = "HUBSPOT_ALTERNATE_ID"
        mappings.append(column)
    return {
        "name": name,
        "importOperations": {kind: "UPDATE" if rows.kind == "UPDATE" else "UPSERT"},
        "dateFormat": "YEAR_MONTH_DAY",
        "files": [
            {
                "fileName": file_name,
                "fileFormat": "CSV",
                "fileImportPage": {"hasHeader": True, "columnMappings": mappings},
            }
        ],
    }


def error_rows(text: str) -> list[dict[str, str]]:
    """The rows of an error file, by header.

    Raises
    ------
    ValueError
        if it is empty, cut within a row, or its rows do not fit the header.
    """
    if '"' in text and text.count('"') % 2:
        raise ValueError("cut within a quoted cell; download it again")
    rows = [r for r in csv.reader(io.StringIO(text)) if r]
    if not rows:
        raise ValueError("empty; download it again")
    header = [name.strip() for name in rows[0]]
    if any(len(r) != len(header) for r in rows[1:]):
        raise ValueError("a row does not fit the header; download it again")
    return [dict(zip(header, r, strict=True)) for r in rows[1:]]

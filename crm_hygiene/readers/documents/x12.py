"""Reading an X12 file: 810 invoices, 850 purchase orders, 820 remittance advices of all its interchanges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from crm_hygiene.errors import FileRefused
from crm_hygiene.mapping import HeaderMatch, Mapping
from crm_hygiene.readers.batches import accept_header, shape_batch
from crm_hygiene.readers.documents.x12_fields import COLUMNS, Row
from crm_hygiene.readers.documents.x12_interchange import TransactionSet, read_interchanges
from crm_hygiene.readers.documents.x12_invoice import invoice_rows
from crm_hygiene.readers.documents.x12_order import order_rows
from crm_hygiene.readers.documents.x12_remittance import advice_rows
from crm_hygiene.readers.landed_file import BATCH_ROWS, RefusedRow
from crm_hygiene.readers.snapshot import Snapshot

MAX_X12_BYTES = 256 * 1024 * 1024
_READERS: dict[str, Callable[[TransactionSet], tuple[list[Row], list[str]]]] = {
    "810": invoice_rows,
    "820": advice_rows,
    "850": order_rows,
}


def read_x12(
    path: Path, snapshot: Snapshot, mapping: Mapping, warnings: list[str], refused: list[RefusedRow]
) -> tuple[list[str], Iterator[pl.DataFrame]]:
    """Header and batches of an X12 file, a row for each document and each of its lines.

    A transaction set whose counts or sums are wrong is a refused row where it is one of many, and the file is
    refused where it is the only one; with `strict_balances: false` it is a warning.

    Raises
    ------
    FileRefused
        if it is no X12, its envelopes do not agree, or it holds none of the sets that are read.
    """
    match = accept_header(path, list(COLUMNS), mapping, warnings)
    if snapshot.byte_count > MAX_X12_BYTES:
        raise FileRefused(f"{path}: {snapshot.byte_count} bytes; split it into files of {MAX_X12_BYTES}")
    # Envelopes close at the end, so all sets are read before any row is handed on.
    documents = list(read_interchanges(path, snapshot.path.read_bytes()))
    read = [d for d in documents if d.kind in _READERS]
    others = sorted({d.kind for d in documents} - set(_READERS))
    if not read:
        kinds = ", ".join(others) or "none"
        raise FileRefused(f"{path}: holds no 810, 820 or 850; its transaction sets are: {kinds}")
    if others:
        warnings.append(f"transaction sets that are not read: {', '.join(others)}")
    return list(COLUMNS), _batches(path, read, match, mapping, warnings, refused)


def _batches(
    path: Path,
    documents: list[TransactionSet],
    match: HeaderMatch,
    mapping: Mapping,
    warnings: list[str],
    refused: list[RefusedRow],
) -> Iterator[pl.DataFrame]:
    rows: list[Row] = []
    first = 1
    for document in documents:
        found, faults = _READERS[document.kind](document)
        faults = [*document.faults, *faults]
        if faults and (mapping.strict_balances or not found):
            said = f"transaction set {document.kind} {document.control}: {'; '.join(faults)}"
            if len(documents) == 1:
                raise FileRefused(f"{path}: {said}; ask its sender for a right one")
            # Its ordinal among the file's sets stands in for the row it never became.
            refused.append(RefusedRow.of(document.ordinal, said, document.as_text()))
            continue
        warnings += [f"transaction set {document.kind} {document.control}: {fault}" for fault in faults]
        rows += found
        if len(rows) >= BATCH_ROWS:
            yield _batch(rows, match, mapping, first)
            first += len(rows)
            rows = []
    if rows:
        yield _batch(rows, match, mapping, first)


def _batch(rows: list[Row], match: HeaderMatch, mapping: Mapping, first: int) -> pl.DataFrame:
    raw = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String))
    return shape_batch(raw.with_columns(pl.all().fill_null("")), match, mapping, first)

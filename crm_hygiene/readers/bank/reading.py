"""Reading one bank file: which format it is, by its content, and its entries in batches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from crm_hygiene.errors import FileRefused
from crm_hygiene.mapping import HeaderMatch, Mapping
from crm_hygiene.readers.bank.bai2 import read_bai2
from crm_hygiene.readers.bank.camt import check_root, read_camt
from crm_hygiene.readers.bank.entry import COLUMNS, Row, Told
from crm_hygiene.readers.bank.mt940 import read_mt940
from crm_hygiene.readers.bank.ofx import read_ofx
from crm_hygiene.readers.bank.proof import Proof
from crm_hygiene.readers.batches import accept_header, shape_batch
from crm_hygiene.readers.encodings import as_utf8
from crm_hygiene.readers.landed_file import BATCH_ROWS, RefusedRow
from crm_hygiene.readers.snapshot import Snapshot

BankFormat = Literal["camt", "mt940", "bai2", "ofx"]
BANK_FORMATS: tuple[str, ...] = get_args(BankFormat)

_SIGNS: tuple[tuple[BankFormat, re.Pattern[bytes]], ...] = (
    ("ofx", re.compile(rb"\AOFXHEADER|<\?OFX\b|<OFX>", re.IGNORECASE)),
    ("camt", re.compile(rb"\A<")),
    ("bai2", re.compile(rb"\A0[0-9],[^\n]*")),
    (
        "mt940",
        re.compile(rb"^:(20|25|28C?|60[FM]|61|62[FM]|64|65|86|13D?|34F|NS|940):|\A\{1:F01", re.MULTILINE),
    ),
)


def detect(head: bytes) -> BankFormat | None:
    """The bank format a file's beginning shows, else None."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\0\1 \t\r\n")
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = text.decode("utf-16", "replace").encode()
    return next((kind for kind, sign in _SIGNS if sign.search(text.replace(b"\r", b"\n"))), None)


def read_bank(
    path: Path,
    snapshot: Snapshot,
    mapping: Mapping,
    warnings: list[str],
    refused: list[RefusedRow],
    kind: BankFormat | None = None,
    scratch: Path | None = None,
) -> tuple[list[str], Iterator[pl.DataFrame], str]:
    """Header, batches and encoding of a bank file; consuming the batches proves its balances and sums.

    Raises
    ------
    FileRefused
        if it is of no known bank format or broken; while it is consumed, if its balances, counts or
        sums do not hold.
    """
    kind = kind or detect(snapshot.head())
    if kind is None:
        raise FileRefused(
            f"{path}: is no bank statement: neither camt (XML), MT940/942 (lines like `:20:`), BAI2 "
            "(`01,` header) nor OFX; ask the bank for one of these"
        )
    match = accept_header(path, list(COLUMNS), mapping, warnings)
    proof = Proof(path, mapping, warnings)
    if kind == "camt":
        check_root(path, snapshot)
        told, encoding = read_camt(path, snapshot, proof), "xml"
    else:
        text = as_utf8(path, snapshot, mapping.encoding, scratch)
        warnings += text.warnings
        encoding = text.encoding
        read = {"mt940": read_mt940, "bai2": read_bai2, "ofx": read_ofx}[kind]
        told = read(path, text, proof)
    return list(COLUMNS), _batches(told, match, mapping, warnings, refused), encoding


def _batches(
    told: Iterator[Told],
    match: HeaderMatch,
    mapping: Mapping,
    warnings: list[str],
    refused: list[RefusedRow],
) -> Iterator[pl.DataFrame]:
    rows: list[Row] = []
    numbers: list[int] = []
    number = 0
    for row, problem, text in told:
        number += 1
        if problem:
            refused.append(RefusedRow.of(number, problem, text))
            continue
        rows.append(row)
        numbers.append(number)
        if len(rows) == BATCH_ROWS:
            yield _shape(rows, numbers, match, mapping)
            rows, numbers = [], []
    if rows:
        yield _shape(rows, numbers, match, mapping)
    if number == 0:
        warnings.append("the file has no entries")


def _shape(rows: list[Row], numbers: list[int], match: HeaderMatch, mapping: Mapping) -> pl.DataFrame:
    raw = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String))
    return shape_batch(raw, match, mapping, pl.Series(numbers, dtype=pl.Int64))

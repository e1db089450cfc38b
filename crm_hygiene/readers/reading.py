"""Reading one file: snapshot, format, encoding, and the reader for it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal, cast

from crm_hygiene.errors import FileRefused
from crm_hygiene.mapping import Mapping
from crm_hygiene.readers.bank import BANK_FORMATS, BankFormat, detect, read_bank
from crm_hygiene.readers.csv_format import read_csv
from crm_hygiene.readers.documents import read_einvoice, read_x12
from crm_hygiene.readers.encodings import Text, as_utf8
from crm_hygiene.readers.json_format import read_json
from crm_hygiene.readers.landed_file import LandedFile, RefusedRow
from crm_hygiene.readers.snapshot import Snapshot, take_snapshot

Format = Literal["csv", "json", "jsonl", "camt053", "bank", "camt", "mt940", "bai2", "ofx", "einvoice", "x12"]

_BY_EXTENSION: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".tab": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".xml": "camt",
    ".sta": "mt940",
    ".940": "mt940",
    ".942": "mt940",
    ".mt940": "mt940",
    ".mt942": "mt940",
    ".bai": "bai2",
    ".bai2": "bai2",
    ".ofx": "ofx",
    ".qfx": "ofx",
}
# `camt053` is the older name of `camt`; `bank` takes whichever of them the content is.
_BANK: dict[str, BankFormat | None] = {
    "bank": None,
    "camt053": "camt",
    **{name: cast(BankFormat, name) for name in BANK_FORMATS},
}
# Roots of UBL and CII documents, and the ISA segment with two-digit qualifier of an X12 interchange.
_INVOICE_ROOT = re.compile(
    rb"<(?:\w+:)?(?:Invoice|CreditNote|CrossIndustryInvoice|CrossIndustryDocument)[\s>]"
)
_ISA = re.compile(rb"ISA([^A-Za-z0-9\s])\d\d\1")
_NEEDS = {"csv": "CSV", "json": "JSON", "jsonl": "JSON Lines"}


def read_file(path: Path, mapping: Mapping, scratch: Path | None = None, fast: bool = True) -> LandedFile:
    """Read one file the way its mapping says.

    Parameters
    ----------
    path
        The file; it is copied first, so a writer cannot change what is being read.
    mapping
        The source it belongs to.
    scratch
        Folder for the private copy; default: the system's temporary folder. The copy is gone when
        the returned object is.
    fast
        False reads CSV record by record from the start; the result is the same.

    Raises
    ------
    FileRefused
        if the file cannot be taken as a whole: it is empty, changes meanwhile, is of no supported
        format, lacks a required column, has unknown ones. Consuming `chunks` can raise it too: a JSON
        document that breaks off, a bank statement whose balances do not add up.
    """
    snapshot = take_snapshot(path, scratch, may_be_pdf=mapping.format == "einvoice")
    warnings: list[str] = []
    refused: list[RefusedRow] = []
    kind = _format(path, snapshot, mapping)
    if kind in _BANK:
        bank = _BANK[kind]
        header, chunks, encoding = read_bank(path, snapshot, mapping, warnings, refused, bank, scratch)
    elif kind == "einvoice":
        header, chunks = read_einvoice(path, snapshot, mapping, warnings)
        encoding = "xml"
    elif kind == "x12":
        header, chunks = read_x12(path, snapshot, mapping, warnings, refused)
        encoding = "x12"
    else:
        text = as_utf8(path, snapshot, mapping.encoding, scratch)
        warnings += text.warnings
        encoding = text.encoding
        _refuse_markup(path, text, kind)
        if kind == "csv":
            header, chunks = read_csv(path, text, mapping, warnings, refused, fast)
        else:
            header, chunks = read_json(path, text, mapping, warnings, refused, lines=kind == "jsonl")
    return LandedFile(snapshot.file_hash, snapshot.byte_count, encoding, header, warnings, chunks, refused)


def _format(path: Path, snapshot: Snapshot, mapping: Mapping) -> Format:
    """The mapping's format, else by content where that is plain, else by extension."""
    if mapping.format != "auto":
        return mapping.format
    head = snapshot.head().removeprefix(b"\xef\xbb\xbf").lstrip()
    by_name = _BY_EXTENSION.get(path.suffix.lower())
    if head.startswith(b"<") and _INVOICE_ROOT.search(head):
        return "einvoice"
    if _ISA.match(head):
        return "x12"
    bank = detect(head)
    # Tables stay tables: a first line may begin like a bank's record, or be markup saved as a table.
    if bank is not None and (by_name not in ("csv", "json", "jsonl") or bank in ("mt940", "ofx")):
        return bank
    if head.startswith((b"{", b"[")) and by_name not in BANK_FORMATS:
        return "jsonl" if by_name == "jsonl" or _is_lines(head) else "json"
    if by_name is None:
        known = ", ".join(sorted(_BY_EXTENSION))
        raise FileRefused(
            f"{path}: unsupported format: neither its name nor its beginning tells what it is; name it "
            f"{known}, or set `format` in the mapping of {mapping.source}"
        )
    return by_name


def _is_lines(head: bytes) -> bool:
    """Whether the first line is a whole JSON object and more follows."""
    first, _, rest = head.partition(b"\n")
    if not first.startswith(b"{") or not rest.lstrip().startswith(b"{"):
        return False
    try:
        json.loads(first)
    except ValueError:
        return False
    return True


def _refuse_markup(path: Path, text: Text, kind: Format) -> None:
    with text.open() as stream:
        head = stream.read(256).lstrip()
    if head.startswith(b"<") and head[1:2] in b"?!abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ":
        raise FileRefused(
            f"{path}: holds markup (HTML or XML) where {_NEEDS[kind]} is expected; "
            "often an error page was saved in place of the export; export again"
        )

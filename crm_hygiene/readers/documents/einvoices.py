"""Reading an e-invoice file: XML of either syntax, or a PDF that carries it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from crm_hygiene.errors import FileRefused
from crm_hygiene.mapping import Mapping
from crm_hygiene.readers.batches import accept_header, shape_batch
from crm_hygiene.readers.documents import cii, ubl
from crm_hygiene.readers.documents.einvoice import COLUMNS, EInvoice
from crm_hygiene.readers.documents.elements import MAX_XML_BYTES, Element, local_name, parse_document
from crm_hygiene.readers.documents.invoice_pdf import xml_of_pdf
from crm_hygiene.readers.documents.invoice_sums import broken_sums
from crm_hygiene.readers.snapshot import Snapshot

_OTHER_ROOTS = {
    "testSet": "a set of validator tests, no invoice",
    "SCRDMCCBDACIOMessageStructure": "a Cross Industry Order (Order-X), no invoice",
    "CrossIndustryOrder": "a Cross Industry Order, no invoice",
    "Order": "a UBL order, no invoice",
    "ApplicationResponse": "a UBL answer to a document, no invoice",
    "FatturaElettronica": "an Italian FatturaPA, which is not read; ask for UBL or CII",
    "Facturae": "a Spanish Facturae, which is not read; ask for UBL or CII",
    "Document": "an ISO 20022 message, no invoice; put it where statements are",
    "html": "a web page, often an error page saved in place of the document",
}


def read_einvoice(
    path: Path, snapshot: Snapshot, mapping: Mapping, warnings: list[str]
) -> tuple[list[str], Iterator[pl.DataFrame]]:
    """Header and the one batch of an e-invoice: a row for the document, one for each line.

    Raises
    ------
    FileRefused
        if it is no e-invoice, lacks number, currency or amount, or does not add up (a warning with
        `strict_balances: false`).
    """
    match = accept_header(path, list(COLUMNS), mapping, warnings)
    if snapshot.byte_count > MAX_XML_BYTES:
        raise FileRefused(f"{path}: {snapshot.byte_count} bytes; an e-invoice has at most {MAX_XML_BYTES}")
    content = snapshot.path.read_bytes()
    if content.lstrip()[:5] == b"%PDF-":
        content = xml_of_pdf(path, content)
    invoice = invoice_of(path, parse_document(path, content))
    _prove(path, invoice, mapping, warnings)
    raw = pl.DataFrame(invoice.rows(), schema=dict.fromkeys(COLUMNS, pl.String))
    return list(COLUMNS), iter([shape_batch(raw.with_columns(pl.all().fill_null("")), match, mapping, 1)])


def invoice_of(path: Path, root: Element) -> EInvoice:
    """The invoice of a parsed document, or FileRefused for any other document."""
    name = local_name(root)
    if name in ubl.ROOTS:
        return ubl.read_ubl(root)
    if name in cii.ROOTS:
        return cii.read_cii(root)
    is_what = _OTHER_ROOTS.get(
        name, f"<{name}>, neither UBL (Invoice, CreditNote) nor CII (CrossIndustryInvoice)"
    )
    raise FileRefused(f"{path}: is {is_what}")


def _prove(path: Path, invoice: EInvoice, mapping: Mapping, warnings: list[str]) -> None:
    lacks = [
        name
        for name, value in (
            ("number (BT-1)", invoice.number),
            ("currency (BT-5)", invoice.currency),
            ("amount due (BT-115)", invoice.amount),
        )
        if value in ("", None)
    ]
    if lacks:
        raise FileRefused(
            f"{path}: the document has no {' and no '.join(lacks)}; ask its sender for a whole one"
        )
    broken = broken_sums(invoice.totals, invoice.currency)
    if broken and mapping.strict_balances:
        raise FileRefused(
            f"{path}: {'; '.join(broken)}; ask its sender for a right one, or set `strict_balances: false`"
        )
    warnings += broken
    if not invoice.lines:
        warnings.append("the document states no lines, so its total cannot be checked against them")

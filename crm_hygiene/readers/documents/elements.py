"""XML of strangers: parsed without entities, document types or network, read by local names.

Namespaces differ between versions of one format and their local names hardly do, so paths are of local names.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from lxml import etree

from crm_hygiene.errors import FileRefused

Element = Any

# The largest invoices carry attachments; beyond this the file is no invoice.
MAX_XML_BYTES = 64 * 1024 * 1024
# Any reasonable amount; more digits are damage, or somebody's attempt to be slow.
_MAX_NUMBER_LENGTH = 40


def parse_document(path: Path, content: bytes) -> Element:
    """The root element of a document.

    Raises
    ------
    FileRefused
        if it is too large, not well-formed, or declares a document type.
    """
    if len(content) > MAX_XML_BYTES:
        raise FileRefused(f"{path}: {len(content)} bytes of XML; an invoice has at most {MAX_XML_BYTES}")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise FileRefused(f"{path}: not well-formed XML: {error}; fetch the document again") from error
    if root.getroottree().docinfo.doctype:
        raise FileRefused(f"{path}: declares a document type, which no e-invoice does; it was not read")
    return root


def local_name(element: Element) -> str:
    """Name of an element without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def children(element: Element | None, path: str) -> list[Element]:
    """Descendants along a path of local names, in the order of the document."""
    found = [] if element is None else [element]
    for step in path.split("/"):
        found = [child for parent in found for child in parent.iterchildren(f"{{*}}{step}")]
    return found


def child(element: Element | None, path: str) -> Element | None:
    """The first of `children`."""
    return next(iter(children(element, path)), None)


def text(element: Element | None, *paths: str) -> str:
    """Text of the first path that has any, blanks folded; else empty."""
    for path in paths:
        for found in children(element, path):
            said = " ".join((found.text or "").split())
            if said:
                return said
    return ""


def number(said: str) -> Decimal | None:
    """A plain XML decimal; None for anything else, `NaN` and `1e9` too."""
    if not said or len(said) > _MAX_NUMBER_LENGTH or set(said) - set("+-.0123456789"):
        return None
    try:
        return Decimal(said)
    except InvalidOperation:
        return None


def plain_number(value: Decimal | None) -> str | None:
    """A number as text without exponent."""
    return None if value is None else format(value, "f")

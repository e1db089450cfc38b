"""The XML inside a Factur-X or ZUGFeRD PDF.

pypdf finds the attachments, as it does for the factur-x library. That library then parses each of them with
the parser's defaults, entities resolved; here the bytes are taken as they are.
"""

from __future__ import annotations

import logging
from io import BytesIO
from pathlib import Path

from pypdf import PdfReader

from crm_hygiene.errors import FileRefused
from crm_hygiene.readers.documents.elements import MAX_XML_BYTES

MAX_PDF_BYTES = 64 * 1024 * 1024
_MAX_ATTACHMENTS = 50
# The standards' own names, newest first; any other XML comes after them.
_NAMES = ("factur-x.xml", "zugferd-invoice.xml", "xrechnung.xml", "cii.xml")


def xml_of_pdf(path: Path, content: bytes) -> bytes:
    """The invoice's XML attachment.

    Raises
    ------
    FileRefused
        if the PDF is too large, encrypted, damaged, or holds no XML: then it is a picture of an invoice.
    """
    if len(content) > MAX_PDF_BYTES:
        raise FileRefused(f"{path}: a PDF of {len(content)} bytes; at most {MAX_PDF_BYTES} are read")
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    found: list[tuple[int, str, bytes]] = []
    try:
        reader = PdfReader(BytesIO(content))
        if reader.is_encrypted:
            raise FileRefused(f"{path}: the PDF is encrypted; export it without a password")
        for ordinal, attachment in enumerate(reader.attachment_list):
            if ordinal == _MAX_ATTACHMENTS:
                break
            name = (attachment.name or "").lower()
            if name.endswith(".xml"):
                # pypdf bounds what one stream may unpack to (75 MB), and refuses beyond it.
                rank = _NAMES.index(name) if name in _NAMES else len(_NAMES)
                found.append((rank, name, bytes(attachment.content)))
    except FileRefused:
        raise
    except Exception as error:  # pypdf raises whatever a damaged file makes Python raise
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise FileRefused(f"{path}: the PDF cannot be read: {said}; fetch it again") from error
    if not found:
        raise FileRefused(
            f"{path}: the PDF holds no XML invoice (Factur-X, ZUGFeRD, XRechnung); ask for an e-invoice"
        )
    best = min(found, key=lambda f: f[:2])[2]
    if len(best) > MAX_XML_BYTES:
        raise FileRefused(f"{path}: its XML has {len(best)} bytes; an invoice has at most {MAX_XML_BYTES}")
    return best

"""Business documents: e-invoices (UBL, CII, Factur-X and ZUGFeRD PDF) and X12 (810, 820, 850).

Every reader turns a document into rows of its family's landing layout and proves the document's own sums
first. What a row means is said by the mapping of the source.
"""

from crm_hygiene.readers.documents.einvoices import read_einvoice
from crm_hygiene.readers.documents.x12 import read_x12

__all__ = ["read_einvoice", "read_x12"]

"""Readers of what banks deliver: camt.052/053/054, MT940/942, BAI2, OFX and QFX.

All give the same columns (`entry.COLUMNS`), so one mapping serves every format.
"""

from __future__ import annotations

from crm_hygiene.readers.bank.reading import BANK_FORMATS, BankFormat, detect, read_bank

__all__ = ["BANK_FORMATS", "BankFormat", "detect", "read_bank"]

"""Readers: one file of any supported format becomes batches of text columns, or is refused with a reason.

Here is what turns bytes into rows: snapshots, encodings, CSV, JSON, camt.053. What columns mean is
`crm_hygiene.mapping`'s business, keeping the rows is `crm_hygiene.landing`'s.
"""

from crm_hygiene.readers.landed_file import LandedFile, RefusedRow
from crm_hygiene.readers.reading import read_file

__all__ = ["LandedFile", "RefusedRow", "read_file"]

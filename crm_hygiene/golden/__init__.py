"""Golden records: one row per person and per organisation, and what hangs on them.

Here belongs what a contact, an account, a lead, a relationship, an activity is made of. Choosing
between values belongs to `crm_hygiene.survivorship`; storing tables to `crm_hygiene.lake`.
"""

from crm_hygiene.golden.build import Golden, build_golden
from crm_hygiene.golden.provenance import Provenance

__all__ = ["Golden", "Provenance", "build_golden"]

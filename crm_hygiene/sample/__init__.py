"""Seeded exports of any size in true vendor layouts, with truth files.

What does not belong here: reading the exports; the sample knows nothing of mappings or tables.
"""

from crm_hygiene.sample.generate import SampleCounts, generate

__all__ = ["SampleCounts", "generate"]

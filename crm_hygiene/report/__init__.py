"""The report of a lake as one page that opens offline.

It shows counts and shares, never a person's data. What does not belong here: measuring
(`crm_hygiene.quality`) and charts of the linkage (`crm_hygiene.explanation.charts`).
"""

from crm_hygiene.report.page import Report, report_path, write_report

__all__ = ["Report", "report_path", "write_report"]

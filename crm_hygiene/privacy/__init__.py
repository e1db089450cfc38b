"""Privacy: the suppression list, and that nothing outbound speaks of people who said no.

What a person said and what follows from it belongs to `crm_hygiene.golden.consent`.
"""

from crm_hygiene.privacy.outbound import INTERNAL, outbound_tables, suppressed_rows
from crm_hygiene.privacy.suppression import new_salt, recall_opt_outs, suppress_opt_outs

__all__ = [
    "INTERNAL",
    "new_salt",
    "outbound_tables",
    "recall_opt_outs",
    "suppress_opt_outs",
    "suppressed_rows",
]

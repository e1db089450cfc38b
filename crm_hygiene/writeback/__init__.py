"""Write-back: the difference between golden and the systems it came from, as a plan to read."""

from crm_hygiene.writeback.plan import plan_changes
from crm_hygiene.writeback.policy import WritebackPolicy, policies_of

__all__ = ["WritebackPolicy", "plan_changes", "policies_of"]

"""Write-back: the difference between golden and the systems it came from, planned, then delivered."""

from crm_hygiene.writeback.mapped_object import MappedObject, mapped_objects
from crm_hygiene.writeback.plan import plan_changes, plan_parts
from crm_hygiene.writeback.policy import TargetPolicy, target_policies

__all__ = ["MappedObject", "TargetPolicy", "mapped_objects", "plan_changes", "plan_parts", "target_policies"]

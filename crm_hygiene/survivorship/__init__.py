"""Survivorship: which record's value becomes the golden one, field by field, and why.

Here belong the rules, source trust and the choice itself, for any kind of entity. What a contact or
an account is belongs to `crm_hygiene.golden`.
"""

from crm_hygiene.survivorship.candidates import Candidates, gather_candidates
from crm_hygiene.survivorship.choose import Choice, choose
from crm_hygiene.survivorship.loading import load_rules
from crm_hygiene.survivorship.rules import FieldRule, GroupRule, Rules, TableRules

__all__ = [
    "Candidates",
    "Choice",
    "FieldRule",
    "GroupRule",
    "Rules",
    "TableRules",
    "choose",
    "gather_candidates",
    "load_rules",
]

"""Linkage: which records are one person or one organisation, and the ids they keep for ever."""

from crm_hygiene.linkage.linking import Linkage, link
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.register import Register
from crm_hygiene.linkage.settings import EntityKind, LinkageSettings

__all__ = [
    "EntityKind",
    "FrozenModel",
    "Linkage",
    "LinkageSettings",
    "Register",
    "link",
]

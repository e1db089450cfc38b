"""Connectors by name, and what each can do to records; known without importing a vendor's client."""

from __future__ import annotations

from collections.abc import Mapping

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.operations import OperationKind
from crm_hygiene.writeback.policy import TargetPolicy

#: What each connector's `Target.kinds` holds; a test compares the two.
CONNECTOR_KINDS: Mapping[str, frozenset[OperationKind]] = {
    "salesforce_files": frozenset({"write", "create", "delete"}),
    "hubspot_files": frozenset({"write", "create"}),
    "salesforce": frozenset({"write", "create", "merge", "delete"}),
    "hubspot": frozenset({"write", "create", "merge", "delete"}),
    "postgresql": frozenset({"write", "create", "merge", "unmerge", "delete"}),
    "tryton": frozenset({"write", "create", "merge", "unmerge", "delete"}),
}


def check_kinds(policy: TargetPolicy) -> None:
    """Refuse a policy that asks for what its connector cannot do; one that only plans may ask for all.

    Raises
    ------
    ConfigurationError
        naming target, key, connector, and the connectors that can.
    """
    if policy.connector == "none":
        return
    asked: list[tuple[str, OperationKind]] = []
    for name, allowed in sorted(policy.objects.items()):
        asked += [(f"objects.{name}.creates", "create")] if allowed.creates else []
        asked += [(f"objects.{name}.merges", "merge")] if allowed.merges else []
    asked += [("postings", "create")] if policy.postings is not None else []
    for key, kind in asked:
        if kind not in CONNECTOR_KINDS[policy.connector]:
            able = ", ".join(name for name, kinds in CONNECTOR_KINDS.items() if kind in kinds)
            raise ConfigurationError(
                f"target {policy.target}: {key}: the connector {policy.connector} cannot {kind} records; "
                f"leave it out, say connector: none to read the plan only, or take one that can: {able}"
            )

"""The canary: the few operations that go first and are read back before the rest goes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from crm_hygiene.writeback.delivery.outbox import Entry
from crm_hygiene.writeback.policy import CanaryPolicy

#: Kinds whose outcome can be read back.
_READABLE = frozenset({"write", "create"})

#: The answer's code of canary operations that did not read back as sent.
CANARY_CODE = "canary"


def choose(due: Sequence[Entry], policy: CanaryPolicy) -> list[Entry]:
    """The canary of what is due, in the order of delivery; empty where it would be all there is.

    Of every object and kind of change its share, at least one, and `floor` in all; by the hash of the
    operation, so that the choice is even and the same each time. Records to be created are left out where
    accounts are to be created too: they may link to one that is not there yet.
    """
    size = max(policy.floor, math.ceil(policy.share * len(due)))
    if policy.share == 0 or size >= len(due):
        return []
    ranks = {e.rank for e in due if e.operation.kind == "create"}
    first_creates = min(ranks, default=0)
    able = [
        e
        for e in due
        if e.operation.kind in _READABLE and (e.operation.kind != "create" or e.rank == first_creates)
    ]
    by_hash = sorted(able, key=lambda e: e.operation_id)
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in by_hash:
        groups.setdefault((entry.operation.object, entry.operation.kind), []).append(entry)
    chosen = {
        e.operation_id: e
        for group in groups.values()
        for e in group[: max(1, math.ceil(policy.share * len(group)))]
    }
    for entry in by_hash:
        if len(chosen) >= size:
            break
        chosen.setdefault(entry.operation_id, entry)
    return sorted(chosen.values(), key=lambda e: e.order)

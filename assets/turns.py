"""The order of steps whose turn has come, as Dagster's tag says it.

Dagster begins, of the steps that wait for nothing, the one with the greatest number. What linkage reads lands
first and is conformed before the rest lands, so that a small night links meanwhile; what may be done beside
a step comes after it, what nobody waits for comes last. What does not belong here: what a step waits for,
which is what it reads.
"""

from __future__ import annotations

from enum import IntEnum


class Turn(IntEnum):
    """When a step goes, of those that could; the greatest first."""

    LANDING_FOR_LINKAGE = 3
    CONFORMING_FOR_LINKAGE = 2
    LANDING = 1
    USUAL = 0
    BESIDE_ANOTHER = -1
    LAST = -2

    @property
    def tags(self) -> dict[str, str]:
        """Dagster's tag for it."""
        return {"dagster/priority": str(int(self))}

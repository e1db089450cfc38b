"""Constraints of a table in the lake that its contract has outgrown. How they are dropped: `lake`."""

from __future__ import annotations

import re
from collections.abc import Mapping

_QUOTED = re.compile("'([^']*)'")
_PREFIX = "delta.constraints."


def outdated(configuration: Mapping[str, str], constraints: Mapping[str, str]) -> list[str]:
    """Constraints that the contract has dropped since the table was made, or whose values it changed.

    They would refuse rows that are right now. Newer ones are left to the gate: adding one would check
    rows that are about to be replaced.

    Parameters
    ----------
    configuration
        the table's properties, its constraints among them.
    constraints
        the contract's, by name.
    """
    found = {
        key.removeprefix(_PREFIX): rule for key, rule in configuration.items() if key.startswith(_PREFIX)
    }

    def values(rule: str) -> set[str]:
        return set(_QUOTED.findall(rule))  # Delta words a rule in its own way, its values stay

    return sorted(
        name
        for name, rule in found.items()
        if name not in constraints or values(rule) != values(constraints[name])
    )

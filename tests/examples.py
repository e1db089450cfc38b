"""How many examples a property test draws: a number of its own, scaled by the profile in force.

`make test` draws an eighth and `make test-all` a quarter of what `make test-thorough` draws (the profiles
stand in `conftest.py`). What does not belong here: strategies.
"""

from __future__ import annotations

from hypothesis import settings

# What the thorough profile draws of a test that names no number: Hypothesis's own default.
USUAL = 100

# Below it a test would look at little more than the smallest example.
FEWEST = 4


def examples(thoroughly: int) -> int:
    """So many examples in the thorough profile, in another one the same share of its usual number.

    Parameters
    ----------
    thoroughly
        examples that the thorough profile draws.
    """
    scaled = -(-thoroughly * settings.default.max_examples // USUAL)
    return min(thoroughly, max(FEWEST, scaled))

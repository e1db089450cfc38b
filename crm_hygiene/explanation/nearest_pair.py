"""Of two groups of records the pair that speaks most for their being one."""

from __future__ import annotations

from collections.abc import Sequence

from crm_hygiene.explanation.explain import PairExplanation, explain_pairs
from crm_hygiene.linkage.records import Record
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night

# Large entities are compared by their first records; more would take minutes for one answer.
MOST_PAIRS = 2500


def nearest_pair(
    night: Night, kind: EntityKind, left: Sequence[Record], right: Sequence[Record]
) -> PairExplanation:
    """The pair of a left and a right record with the highest match weight; ties: the first by id.

    Raises
    ------
    UnknownRecord
        if linkage does not look at one of the records.
    """
    side = max(1, int(MOST_PAIRS**0.5))
    pairs = [(a, b) for a in sorted(left)[:side] for b in sorted(right)[:side]]
    found = explain_pairs(night, kind, pairs)
    return max(found, key=lambda pair: float("-inf") if pair.match_weight is None else pair.match_weight)

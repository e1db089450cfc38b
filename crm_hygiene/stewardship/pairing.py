"""Pairing: which pairs of records carry a judgement about several records or whole entities."""

from __future__ import annotations

from itertools import combinations, product

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.records import Record
from crm_hygiene.stewardship.records import ordered
from crm_hygiene.stewardship.targets import Group

MOST_PAIRS = 5_000


def pairs_that_join(groups: tuple[Group, ...]) -> list[tuple[Record, Record]]:
    """Pairs that make the groups one entity and keep it one when a record goes.

    Each of the first two groups is tied to every other group: its first record to all records of the
    other, and the other's first record to all of its own. So single records are tied twice each, and the
    loss of any one record undoes nothing: n records take 2n - 3 pairs, two entities of n and m records
    n + m - 1. Records within one entity are not tied to each other; the judgement is not about them.
    """
    found = set()
    for hub, other in combinations(range(len(groups)), 2):
        if hub < 2:
            left, right = groups[hub].records, groups[other].records
            found |= {ordered(left[0], record) for record in right}
            found |= {ordered(right[0], record) for record in left}
    return sorted(found)


def pairs_that_part(groups: tuple[Group, ...]) -> list[tuple[Record, Record]]:
    """Every record of each group against every record of each other group.

    Nothing less is enough: the records of a group may come apart later, and each of them must stay away
    from the other group by itself.

    Raises
    ------
    ConfigurationError
        if that is more than 5,000 pairs.
    """
    count = sum(len(a.records) * len(b.records) for a, b in combinations(groups, 2))
    if count > MOST_PAIRS:
        sizes = " and ".join(f"{group.label} ({len(group.records):,} records)" for group in groups[:4])
        raise ConfigurationError(
            f"keeping {sizes} apart takes {count:,} judgements, more than {MOST_PAIRS:,} in one act; name "
            "the records that do not belong instead: `review decide different P-... source:record_id`"
        )
    return sorted(
        {
            ordered(left, right)
            for a, b in combinations(groups, 2)
            for left, right in product(a.records, b.records)
            if left != right
        }
    )

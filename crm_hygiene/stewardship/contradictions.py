"""Contradictions: judgements that cannot all hold, because two say same and a third says different."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm_hygiene.linkage.records import Record, written
from crm_hygiene.stewardship.log import Pair


@dataclass(frozen=True)
class Contradiction:
    """A pair judged different, and the judgements that call its records the same by way of others.

    `chain` are the records from one to the other, `same` the decision ids along it, `acts` their groups.
    """

    pair: Pair
    different: str
    chain: tuple[Record, ...]
    same: tuple[str, ...]
    acts: tuple[str, ...]

    def text(self) -> str:
        """In words, with the way out."""
        different, same = self.different, ", ".join(self.acts)
        links = " = ".join(written(record) for record in self.chain)
        return (
            f"{links}, yet {written(self.chain[0])} and {written(self.chain[-1])} are judged different "
            f"({different}). Kept apart wins; the next night cuts the weakest of these links and queues "
            f"the conflict. To settle it revoke {different} or what says same: {same}"
        )


def _chain(
    start: Record, end: Record, neighbours: Mapping[Record, list[tuple[Record, str]]]
) -> tuple[tuple[Record, ...], tuple[str, ...]] | None:
    """The shortest way from `start` to `end` over judgements that say same."""
    came: dict[Record, tuple[Record, str] | None] = {start: None}
    queue = deque([start])
    while queue and end not in came:
        here = queue.popleft()
        for there, decision in neighbours.get(here, ()):
            if there not in came:
                came[there] = (here, decision)
                queue.append(there)
    if end not in came:
        return None
    records, decisions = [end], []
    step = came[end]
    while step is not None:
        records.append(step[0])
        decisions.append(step[1])
        step = came[step[0]]
    return tuple(reversed(records)), tuple(reversed(decisions))


def contradictions(standing: Mapping[Pair, Mapping[str, Any]]) -> list[Contradiction]:
    """All contradictions among standing judgements, sorted by pair.

    Parameters
    ----------
    standing
        row of stewardship.decisions that stands per pair.
    """
    neighbours: dict[Record, list[tuple[Record, str]]] = {}
    parent: dict[Record, Record] = {}

    def find(record: Record) -> Record:
        root = record
        while parent.get(root, root) != root:
            root = parent[root]
        while parent.get(record, record) != root:
            parent[record], record = root, parent[record]
        return root

    for (_, left, right), row in sorted(standing.items()):
        if row["judgement"] == "same":
            neighbours.setdefault(left, []).append((right, row["decision_id"]))
            neighbours.setdefault(right, []).append((left, row["decision_id"]))
            parent[find(left)] = find(right)
    found = []
    group_of = {row["decision_id"]: row["decision_group"] or row["decision_id"] for row in standing.values()}
    for pair, row in sorted(standing.items()):
        _, left, right = pair
        if row["judgement"] != "different" or find(left) != find(right):
            continue
        way = _chain(left, right, neighbours)
        if way is not None:
            acts = sorted({group_of[decision] for decision in way[1]})
            found.append(Contradiction(pair, row["decision_id"], *way, tuple(acts)))
    return found

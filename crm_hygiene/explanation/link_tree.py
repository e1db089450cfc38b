"""The tree of links that holds an entity together: of all its links the strongest that suffice.

It is the maximum spanning forest of the entity's links in the order in which clustering joins them
(decisions, statements, keys, then match weight). So its weakest link is the weakest the entity hangs on:
no path around it is stronger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crm_hygiene.linkage.clustering import KEY, MODEL, SAME
from crm_hygiene.linkage.resolution import KEY_STRENGTH

Record = tuple[str, str]


@dataclass(frozen=True)
class Link:
    """A link the night used: `method` is decision, key or model; the weight (bits) is null where unscored."""

    record_l: Record
    record_r: Record
    method: str
    match_key: str | None
    match_weight: float | None
    match_probability: float | None

    @property
    def strength(self) -> int:
        """What clustering goes by before the weight."""
        if self.method == "key":
            return KEY_STRENGTH.get(self.match_key or "", KEY)
        return SAME if self.method == "decision" else MODEL

    @property
    def order(self) -> tuple[int, float, Record, Record]:
        """Sorts the strongest first."""
        return (-self.strength, -(self.match_weight or 0.0), self.record_l, self.record_r)

    def other(self, record: Record) -> Record:
        """The link's other end."""
        return self.record_r if record == self.record_l else self.record_l


@dataclass(frozen=True)
class LinkTree:
    """Tree links in the order in which they join, strongest first, and the records of each tree, sorted.

    More than one tree means that something other than links holds the records together: a suspect
    cluster that keeps its last good state.
    """

    links: tuple[Link, ...]
    trees: tuple[tuple[Record, ...], ...]

    @property
    def weakest(self) -> Link | None:
        """The link that would go first."""
        return self.links[-1] if self.links else None

    def without(self, link: Link) -> tuple[set[Record], set[Record]]:
        """The records on the left and on the right side of a tree link, once it is gone."""
        kept = [other for other in self.links if other is not link]
        return _reach(kept, link.record_l), _reach(kept, link.record_r)

    def path(self, start: Record, end: Record) -> list[Link] | None:
        """The links from one record to another; null where no links lead there."""
        around = _around(self.links)
        came: dict[Record, Link | None] = {start: None}
        queue = [start]
        for record in queue:
            for link in around.get(record, ()):
                if (further := link.other(record)) not in came:
                    came[further] = link
                    queue.append(further)
        if end not in came:
            return None
        steps: list[Link] = []
        at = end
        while (link_back := came[at]) is not None:
            steps.append(link_back)
            at = link_back.other(at)
        return steps[::-1]

    def walk(self, root: Record) -> list[tuple[int, Record, Link | None]]:
        """Depth, record and the link that leads to it, from `root` on; strongest branches first."""
        around = _around(self.links)
        found: list[tuple[int, Record, Link | None]] = []
        stack: list[tuple[int, Record, Link | None]] = [(0, root, None)]
        while stack:
            depth, record, came = stack.pop()
            found.append((depth, record, came))
            onward = [link for link in around.get(record, ()) if link is not came]
            stack += [
                (depth + 1, link.other(record), link)
                for link in sorted(onward, key=lambda link: link.order, reverse=True)
            ]
        return found


def _around(links: Iterable[Link]) -> dict[Record, list[Link]]:
    around: dict[Record, list[Link]] = {}
    for link in links:
        around.setdefault(link.record_l, []).append(link)
        around.setdefault(link.record_r, []).append(link)
    return around


def _reach(links: Iterable[Link], start: Record) -> set[Record]:
    around = _around(links)
    seen, queue = {start}, [start]
    for record in queue:
        for link in around.get(record, ()):
            further = link.other(record)
            if further not in seen:
                seen.add(further)
                queue.append(further)
    return seen


def link_tree(records: Sequence[Record], links: Iterable[Link]) -> LinkTree:
    """The tree of `links` between `records`; links to other records are left out."""
    root = {record: record for record in records}

    def find(record: Record) -> Record:
        while root[record] != record:
            root[record] = root[root[record]]
            record = root[record]
        return record

    kept = []
    for link in sorted(links, key=lambda link: link.order):
        if link.record_l not in root or link.record_r not in root:
            continue
        a, b = find(link.record_l), find(link.record_r)
        if a != b:
            root[b] = a
            kept.append(link)
    trees: dict[Record, list[Record]] = {}
    for record in sorted(records):
        trees.setdefault(find(record), []).append(record)
    ordered = sorted((tuple(tree) for tree in trees.values()), key=lambda tree: (-len(tree), tree))
    return LinkTree(tuple(kept), tuple(ordered))

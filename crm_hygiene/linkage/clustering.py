"""Clustering: links become clusters, under the stewards' decisions and the guards.

Links join in the order of their strength (decisions, keys, then match weight), as Kruskal's algorithm
builds a maximum spanning forest; a link that would bring two records together which a steward called
different is refused. So the weakest path between them is cut and a bridging record stays on the side
it is closer to. What does not belong here: entity ids (`register`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

SAME, KEPT, KEY = 4, 3, 2  # strength of a link before its weight: decision, last good state, key; model is 0

Edge = tuple[int, float, int, int]  # strength, weight, l, r


@dataclass
class Clusters:
    """Cluster number per record, and what was refused."""

    of: list[int]
    refused: list[tuple[int, int]] = field(default_factory=list)
    suspects: list[list[int]] = field(default_factory=list)


class _Forest:
    """Union-find in which two sets can be forbidden to meet."""

    def __init__(
        self, count: int, different: Iterable[tuple[int, int]], identifiers: Sequence[str | None]
    ) -> None:
        self.parent = list(range(count))
        self.size = [1] * count
        self.foes: dict[int, set[int]] = {}
        self.identifiers: dict[int, dict[str, set[str]]] = {}
        for a, b in different:
            self.foes.setdefault(a, set()).add(b)
            self.foes.setdefault(b, set()).add(a)
        for node, text in enumerate(identifiers):
            if text is not None:
                scheme = f"{text[:2]}{len(text)}"
                self.identifiers[node] = {scheme: {text}}

    def find(self, node: int) -> int:
        parent = self.parent
        root = node
        while parent[root] != root:
            root = parent[root]
        while parent[node] != root:
            parent[node], node = root, parent[node]
        return root

    def forbidden(self, a: int, b: int) -> bool:
        """Whether the sets with roots `a` and `b` hold a pair that a steward called different."""
        foes = self.foes.get(a)
        return bool(foes) and any(self.find(foe) == b for foe in foes or ())

    def contradict(self, a: int, b: int) -> bool:
        """Whether both sets carry identifiers of one scheme and share none of them."""
        left, right = self.identifiers.get(a), self.identifiers.get(b)
        if not left or not right:
            return False
        return any(scheme in right and not (values & right[scheme]) for scheme, values in left.items())

    def join(self, a: int, b: int) -> None:
        """Join the sets with roots `a` and `b`."""
        if self.size[a] < self.size[b]:
            a, b = b, a
        self.parent[b] = a
        self.size[a] += self.size[b]
        if b in self.foes:
            self.foes.setdefault(a, set()).update(self.foes.pop(b))
        if b in self.identifiers:
            mine = self.identifiers.setdefault(a, {})
            for scheme, values in self.identifiers.pop(b).items():
                mine.setdefault(scheme, set()).update(values)


def _grow(forest: _Forest, edges: Iterable[Edge]) -> list[tuple[int, int]]:
    refused = []
    for strength, _, left, right in edges:
        a, b = forest.find(left), forest.find(right)
        if a == b:
            continue
        if (forest.foes and forest.forbidden(a, b)) or (
            strength == 0 and forest.identifiers and forest.contradict(a, b)
        ):
            refused.append((left, right))
        else:
            forest.join(a, b)
    return refused


def _ordered(edges: Iterable[Edge]) -> list[Edge]:
    return sorted(edges, key=lambda e: (-e[0], -e[1], e[2], e[3]))


def cluster(
    count: int,
    edges: Sequence[Edge],
    different: Sequence[tuple[int, int]],
    previous: Sequence[int | None],
    max_records: int,
    identifiers: Sequence[str | None] = (),
) -> Clusters:
    """Clusters of `count` records.

    Parameters
    ----------
    edges
        (strength, weight, l, r); the strongest join first.
    different
        pairs that must not end in one cluster.
    previous
        cluster number of each record's last good state, None for a new record.
    max_records
        a larger cluster is suspect unless decisions, keys and its last good state alone make it so
        large: its records go back to what those alone say.
    identifiers
        strong identifier per record; model links never join two sets whose identifiers of one
        scheme (first two letters and length) have nothing in common.

    Returns
    -------
    Clusters
        `of[i]` is the smallest record number in i's cluster.
    """
    forest = _Forest(count, different, identifiers)
    refused = _grow(forest, _ordered(edges))
    result = Clusters(of=[forest.find(i) for i in range(count)], refused=refused)
    big = {root for root in set(result.of) if forest.size[root] > max_records}
    if big:
        _hold_back(result, big, edges, different, previous)
    first: dict[int, int] = {}
    for node, root in enumerate(result.of):
        first.setdefault(root, node)
    result.of = [first[root] for root in result.of]
    return result


def _hold_back(
    result: Clusters,
    big: set[int],
    edges: Sequence[Edge],
    different: Sequence[tuple[int, int]],
    previous: Sequence[int | None],
) -> None:
    """Replace each suspect cluster by its last good state."""
    count = len(result.of)
    members: dict[int, list[int]] = {root: [] for root in big}
    for node, root in enumerate(result.of):
        if root in big:
            members[root].append(node)
    inside: dict[int, list[Edge]] = {root: [] for root in big}
    for edge in edges:
        root = result.of[edge[2]]
        if root in big and result.of[edge[3]] == root and edge[0] > 0:
            inside[root].append(edge)
    for root in sorted(big, key=lambda r: members[r][0]):
        nodes = members[root]
        kept: list[Edge] = []
        first: dict[int, int] = {}
        for node in nodes:
            before = previous[node]
            if before is not None:
                kept.append((KEPT, 0.0, first.setdefault(before, node), node))
        local = {node: i for i, node in enumerate(nodes)}
        foes = [(local[a], local[b]) for a, b in different if a in local and b in local]
        part = inside[root] + [e for e in kept if e[2] != e[3]]
        smaller = _Forest(len(nodes), foes, ())
        _grow(smaller, _ordered((s, w, local[a], local[b]) for s, w, a, b in part))
        roots = [smaller.find(i) for i in range(len(nodes))]
        if len(set(roots)) > 1:
            result.suspects.append(nodes)
        for node, local_root in zip(nodes, roots, strict=True):
            result.of[node] = count + nodes[local_root]

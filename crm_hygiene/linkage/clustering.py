"""Clustering: links become clusters, under the stewards' decisions and the guards.

Links join in the order of their strength (decisions, statements, keys, then match weight), as Kruskal's
algorithm builds a maximum spanning forest; a link that would bring two records together which a
steward called different is refused. So the weakest path between them is cut and a bridging record
stays on the side it is closer to. Only components in which something can be refused are walked link
by link; all others are found at once. What does not belong here: entity ids (`register`), links that
the rest of two groups speaks against (`cohesion`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from crm_hygiene.linkage.components import components
from crm_hygiene.linkage.identifiers import IDENTIFIERS_SCHEMA, near

# Strength of a link before its weight: a decision, the last good state, what a source states, a tax number
# both have, another value both have. A model's link is 0.
SAME, KEPT, STATED, IDENTIFIER, KEY, MODEL = 6, 5, 4, 3, 2, 0

Edge = tuple[int, float, int, int]  # strength, weight, l, r

LINKS_SCHEMA = pl.Schema({"l": pl.Int64, "r": pl.Int64, "strength": pl.Int32, "weight": pl.Float64})
PAIR_SCHEMA = pl.Schema({"l": pl.Int64, "r": pl.Int64})

# Sets with more value pairs than this are compared by equality only.
_NEAR_PAIRS = 1000


@dataclass
class Clusters:
    """Cluster number (its smallest record) per record, links refused, clusters held back."""

    of: list[int]
    refused: list[tuple[int, int]] = field(default_factory=list)
    suspects: list[list[int]] = field(default_factory=list)


class _Forest:
    """Union-find in which two sets can be forbidden to meet."""

    def __init__(
        self,
        count: int,
        different: Iterable[tuple[int, int]],
        identifiers: Iterable[tuple[int, str, str, bool]] = (),
    ) -> None:
        self.parent = list(range(count))
        self.size = [1] * count
        self.foes: dict[int, set[int]] = {}
        self.own: dict[int, set[str]] = defaultdict(set)
        self.values: dict[int, dict[tuple[str, bool], set[str]]] = {}
        for a, b in different:
            self.foes.setdefault(a, set()).add(b)
            self.foes.setdefault(b, set()).add(a)
        for node, scheme, value, strict in identifiers:
            self.own[node].add(scheme)
            self.values.setdefault(node, {}).setdefault((scheme, strict), set()).add(value)

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
        if len(self.foes.get(b, ())) < len(self.foes.get(a, ())):
            a, b = b, a
        return any(self.find(foe) == b for foe in self.foes.get(a, ()))

    def contradict(self, a: int, b: int, left: int, right: int, weighed: bool) -> bool:
        """Whether the sets with roots `a` and `b` have identifiers of one scheme that cannot be one.

        A model that saw the value of both `left` and `right` has `weighed` the contradiction itself,
        unless the scheme is strict.
        """
        mine, theirs = self.values.get(a), self.values.get(b)
        if not mine or not theirs:
            return False
        for key, values in mine.items():
            others = theirs.get(key)
            if others is None or values & others:
                continue
            scheme, strict = key
            if strict:
                return True
            if weighed and scheme in self.own[left] and scheme in self.own[right]:
                continue
            if len(values) * len(others) > _NEAR_PAIRS or not any(
                near(scheme, x, y) for x in values for y in others
            ):
                return True
        return False

    def join(self, a: int, b: int) -> None:
        """Join the sets with roots `a` and `b`."""
        if self.size[a] < self.size[b]:
            a, b = b, a
        self.parent[b] = a
        self.size[a] += self.size[b]
        if b in self.foes:
            theirs = self.foes.pop(b)
            mine = self.foes.get(a, set())
            small, large = (theirs, mine) if len(theirs) < len(mine) else (mine, theirs)
            large |= small
            self.foes[a] = large
        if b in self.values:
            held = self.values.setdefault(a, {})
            for key, values in self.values.pop(b).items():
                held.setdefault(key, set()).update(values)


def _grow(forest: _Forest, edges: Iterable[Edge]) -> list[tuple[int, int]]:
    refused = []
    for strength, _, left, right in edges:
        a, b = forest.find(left), forest.find(right)
        if a == b:
            continue
        if (forest.foes and forest.forbidden(a, b)) or (
            strength <= KEY
            and forest.values
            and forest.contradict(a, b, left, right, weighed=strength == MODEL)
        ):
            refused.append((left, right))
        else:
            forest.join(a, b)
    return refused


def _ordered(edges: Iterable[Edge]) -> list[Edge]:
    return sorted(edges, key=lambda e: (-e[0], -e[1], e[2], e[3]))


def _watched(
    of: pl.Series, links: pl.DataFrame, different: pl.DataFrame, identifiers: pl.DataFrame, max_records: int
) -> pl.Series:
    """Components in which a link may have to be refused, or which are too large."""
    sizes = of.value_counts(name="n")
    found = [sizes.filter(pl.col("n") > max_records)[of.name]]
    if different.height:
        judged = different.select(a=of.gather(different["l"]), b=of.gather(different["r"]))
        found.append(judged.filter(pl.col("a") == pl.col("b"))["a"])
    if identifiers.height:
        linked = pl.concat([links["l"], links["r"]]).unique()
        carried = identifiers.join(linked.to_frame("node"), on="node", how="semi")
        several = (
            carried.with_columns(component=of.gather(carried["node"]))
            .group_by("component", "scheme")
            .agg(pl.col("value").min().alias("least"), pl.col("value").max().alias("most"))
        )
        found.append(several.filter(pl.col("least") != pl.col("most"))["component"])
    return pl.concat([part.cast(pl.Int64).rename("component") for part in found]).unique().sort()


def cluster(
    count: int,
    links: pl.DataFrame,
    different: pl.DataFrame,
    previous: pl.Series,
    max_records: int,
    identifiers: pl.DataFrame | None = None,
) -> Clusters:
    """Clusters of `count` records.

    Parameters
    ----------
    links
        `l`, `r`, `strength`, `weight`; the strongest join first, then the heaviest.
    different
        `l`, `r`: pairs that must not end in one cluster.
    previous
        cluster number of each record's last good state, null for a new record.
    max_records
        a larger cluster is suspect unless decisions, keys and its last good state alone make it so
        large: its records go back to what those alone say.
    identifiers
        `node`, `scheme`, `value`, `strict`; links by the model and by shared mailboxes or accounts
        never join two sets whose identifiers of one scheme contradict each other.

    Returns
    -------
    Clusters
        `of[i]` is the smallest record number in i's cluster; refused links in the order in which
        they were met.
    """
    links = links.select(list(LINKS_SCHEMA)).cast(LINKS_SCHEMA)
    different = different.select("l", "r").cast(PAIR_SCHEMA)
    carried = IDENTIFIERS_SCHEMA.to_frame() if identifiers is None else identifiers
    found = components(count, links["l"].to_numpy(), links["r"].to_numpy())
    of = pl.Series("component", found)
    watched = _watched(of, links, different, carried, max_records)
    if watched.is_empty():
        return Clusters(of.to_list())

    nodes = of.is_in(watched.implode()).arg_true().cast(pl.Int64)
    local = np.full(count, -1, dtype=np.int64)
    local[nodes.to_numpy()] = np.arange(len(nodes))

    def inside(rows: pl.DataFrame, *columns: str) -> pl.DataFrame:
        placed = rows.with_columns(pl.Series(c, local[rows[c].to_numpy()], dtype=pl.Int64) for c in columns)
        return placed.filter(pl.all_horizontal(pl.col(c) >= 0 for c in columns))

    part = _walk(
        len(nodes),
        list(inside(links, "l", "r").select("strength", "weight", "l", "r").iter_rows()),
        list(inside(different, "l", "r").iter_rows()),
        previous.gather(nodes).to_list(),
        max_records,
        list(inside(carried, "node").iter_rows()),
    )
    names = nodes.to_list()
    walked = np.array(names, dtype=np.int64)
    found[walked] = walked[np.array(part.of, dtype=np.int64)]
    return Clusters(
        of=found.tolist(),
        refused=[(names[a], names[b]) for a, b in part.refused],
        suspects=[[names[i] for i in held] for held in part.suspects],
    )


def _walk(
    count: int,
    edges: Sequence[Edge],
    different: Sequence[tuple[int, int]],
    previous: Sequence[int | None],
    max_records: int,
    identifiers: Sequence[tuple[int, str, str, bool]],
) -> Clusters:
    """`cluster`, link by link."""
    forest = _Forest(count, different, identifiers)
    refused = _grow(forest, _ordered(edges))
    result = Clusters(of=[forest.find(i) for i in range(count)], refused=refused)
    big = {root for root in set(result.of) if forest.size[root] > max_records}
    if big:
        _hold_back(result, big, edges, previous)
    first: dict[int, int] = {}
    for node, root in enumerate(result.of):
        first.setdefault(root, node)
    result.of = [first[root] for root in result.of]
    return result


def _hold_back(
    result: Clusters,
    big: set[int],
    edges: Sequence[Edge],
    previous: Sequence[int | None],
) -> None:
    """Replace each suspect cluster by its last good state; it holds no pair called different."""
    count = len(result.of)
    members: dict[int, list[int]] = {root: [] for root in big}
    for node, root in enumerate(result.of):
        if root in big:
            members[root].append(node)
    inside: dict[int, list[Edge]] = {root: [] for root in big}
    for edge in edges:
        root = result.of[edge[2]]
        if root in big and result.of[edge[3]] == root and edge[0] > MODEL:
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
        part = inside[root] + [e for e in kept if e[2] != e[3]]
        smaller = _Forest(len(nodes), ())
        _grow(smaller, _ordered((s, w, local[a], local[b]) for s, w, a, b in part))
        roots = [smaller.find(i) for i in range(len(nodes))]
        if len(set(roots)) > 1:
            result.suspects.append(nodes)
        for node, local_root in zip(nodes, roots, strict=True):
            result.of[node] = count + nodes[local_root]

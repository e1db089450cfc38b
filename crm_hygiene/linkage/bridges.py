"""Bridges: a model's link that alone holds two dense groups of records together.

Bridges are the known mark of a false link in a cluster (Randall, Boyd, Ferrante, Bauer and Semmens,
"Use of graph theory measures to identify errors in record linkage", Computer Methods and Programs in
Biomedicine 115, 2014). A bridge is cut where chance cannot explain that it is the only one: were both
groups one entity, the pairs across would be linked as often as the pairs inside. With `p` the share
of linked pairs inside both groups, (linked + 1) / (pairs + 2) by Laplace's rule, and `n` pairs across
that blocking would have compared, of which `k` are links or doubtful, the chance of so few is the
binomial tail P(X <= k), X ~ B(n, p).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from crm_hygiene.linkage.clustering import MODEL, PAIR_SCHEMA
from crm_hygiene.linkage.components import Nodes, components
from crm_hygiene.linkage.settings import EntityKind, LinkageSettings


@dataclass(frozen=True)
class _Bridge:
    """A candidate: its link, both groups, and the share of linked pairs inside them."""

    link: tuple[int, int]
    sides: tuple[list[int], list[int]]
    inside: float


def tail(k: int, n: int, p: float) -> float:
    """P(X <= k) for X ~ B(n, p), 0 < p < 1."""
    logs = [
        math.lgamma(n + 1)
        - math.lgamma(i + 1)
        - math.lgamma(n - i + 1)
        + i * math.log(p)
        + (n - i) * math.log1p(-p)
        for i in range(min(k, n) + 1)
    ]
    return min(1.0, math.fsum(math.exp(value) for value in logs))


def _pairs(count: int) -> int:
    return count * (count - 1) // 2


def _candidates(
    count: int, left: Nodes, right: Nodes, is_model: Sequence[bool], settings: LinkageSettings
) -> list[_Bridge]:
    """Bridges between dense groups, by one depth-first walk (Tarjan, "A note on finding the bridges of
    a graph", Information Processing Letters 2, 1974); linear in nodes and links."""
    order = np.argsort(np.concatenate([left, right]), kind="stable")
    ends = np.concatenate([right, left])[order].tolist()
    links = np.concatenate([np.arange(len(left)), np.arange(len(left))])[order].tolist()
    degree = np.bincount(np.concatenate([left, right]), minlength=count)
    start = np.concatenate([[0], np.cumsum(degree)]).tolist()
    degrees = degree.tolist()
    entered, low, size, weight = [-1] * count, [0] * count, [1] * count, list(degrees)
    cursor = start[:count]
    visited: list[int] = []
    found: list[_Bridge] = []
    for root in range(count):
        if entered[root] >= 0:
            continue
        first = len(visited)
        entered[root] = low[root] = first
        visited.append(root)
        stack = [(root, -1)]
        bridges: list[tuple[int, int]] = []
        while stack:
            node, through = stack[-1]
            if cursor[node] < start[node + 1]:
                at = cursor[node]
                cursor[node] += 1
                other = ends[at]
                if entered[other] < 0:
                    entered[other] = low[other] = len(visited)
                    visited.append(other)
                    stack.append((other, links[at]))
                elif links[at] != through:
                    low[node] = min(low[node], entered[other])
                continue
            stack.pop()
            if not stack:
                continue
            above = stack[-1][0]
            low[above] = min(low[above], low[node])
            size[above] += size[node]
            weight[above] += weight[node]
            if low[node] > entered[above] and is_model[through]:
                bridges.append((node, through))
        whole, degrees_sum = size[root], weight[root]
        for node, through in bridges:
            small, rest = size[node], whole - size[node]
            if min(small, rest) < settings.bridge_records:
                continue
            # All links of a group but the bridge have both ends in it.
            linked = ((weight[node] - 1) // 2, (degrees_sum - weight[node] - 1) // 2)
            if min(linked[0] / _pairs(small), linked[1] / _pairs(rest)) < settings.bridge_density:
                continue
            begin = entered[node]
            side = visited[begin : begin + small]
            others = visited[first:begin] + visited[begin + small :]
            found.append(
                _Bridge(
                    link=(int(left[through]), int(right[through])),
                    sides=(side, others),
                    inside=(sum(linked) + 1) / (_pairs(small) + _pairs(rest) + 2),
                )
            )
    return found


def _across(candidates: list[_Bridge]) -> pl.DataFrame:
    """`bridge`, `l`, `r`: all pairs across each candidate."""
    sides = [
        pl.DataFrame(
            {
                "bridge": list(range(len(candidates))),
                name: [candidate.sides[i] for candidate in candidates],
            },
            schema={"bridge": pl.Int64, name: pl.List(pl.Int64)},
        ).explode(name)
        for i, name in enumerate(("a", "b"))
    ]
    return (
        sides[0]
        .join(sides[1], on="bridge")
        .select("bridge", l=pl.min_horizontal("a", "b"), r=pl.max_horizontal("a", "b"))
    )


def _comparable(pairs: pl.DataFrame, frame: pl.DataFrame, rules: Sequence[Sequence[str]]) -> pl.DataFrame:
    """Of `pairs` those that agree on all columns of a blocking rule."""
    columns = sorted({c for rule in rules for c in rule})
    nodes = pl.concat([pairs["l"], pairs["r"]]).unique()
    values = frame.select("unique_id", *columns).join(nodes.to_frame("unique_id"), on="unique_id", how="semi")
    joined = pairs.join(
        values.rename({c: f"{c}_l" for c in columns}), left_on="l", right_on="unique_id"
    ).join(values.rename({c: f"{c}_r" for c in columns}), left_on="r", right_on="unique_id")
    agree = [pl.all_horizontal(pl.col(f"{c}_l") == pl.col(f"{c}_r") for c in rule) for rule in rules]
    return joined.filter(pl.any_horizontal(condition.fill_null(False) for condition in agree)).select(
        "bridge", "l", "r"
    )


def false_bridges(
    kind: EntityKind,
    frame: pl.DataFrame,
    links: pl.DataFrame,
    scored: pl.DataFrame,
    settings: LinkageSettings,
) -> pl.DataFrame:
    """Links to cut because each alone joins two dense groups whose other pairs speak against it.

    Components above `max_cluster_records` are left to the size guard.

    Parameters
    ----------
    frame
        comparable columns with block columns, sorted by `unique_id` (0..n-1).
    links
        `l` < `r`, `strength` of every link, each pair once.
    scored
        `l` < `r` of every pair that is a link or doubtful.

    Returns
    -------
    polars.DataFrame
        `l`, `r`, sorted.
    """
    nothing = PAIR_SCHEMA.to_frame()
    of = components(frame.height, links["l"].to_numpy(), links["r"].to_numpy())
    size = np.bincount(of, minlength=frame.height)[of]
    wanted = (size >= 2 * settings.bridge_records) & (size <= settings.max_cluster_records)
    if not wanted.any():
        return nothing
    nodes = np.flatnonzero(wanted)
    local = np.full(frame.height, -1, dtype=np.int64)
    local[nodes] = np.arange(len(nodes))
    inside = links.filter(pl.Series(wanted).gather(links["l"])).sort("l", "r")
    candidates = _candidates(
        len(nodes),
        local[inside["l"].to_numpy()],
        local[inside["r"].to_numpy()],
        (inside["strength"] == MODEL).to_list(),
        settings,
    )
    if not candidates:
        return nothing
    names = nodes.tolist()
    candidates = [
        _Bridge(
            link=(names[c.link[0]], names[c.link[1]]),
            sides=([names[i] for i in c.sides[0]], [names[i] for i in c.sides[1]]),
            inside=c.inside,
        )
        for c in candidates
    ]
    across = _across(candidates)
    found = across.join(scored.select("l", "r").unique(), on=["l", "r"], how="semi")
    compared = pl.concat([found, _comparable(across, frame, settings.rules_of(kind).blocking)]).unique()
    positive = dict(found.group_by("bridge").len().iter_rows())
    counted = dict(compared.group_by("bridge").len().iter_rows())
    cut = [
        c.link
        for i, c in enumerate(candidates)
        if round(tail(positive.get(i, 1), counted.get(i, 1), c.inside), 6) < settings.bridge_chance
    ]
    return pl.DataFrame(cut, schema=PAIR_SCHEMA, orient="row").sort("l", "r")

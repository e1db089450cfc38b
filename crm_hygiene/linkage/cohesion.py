"""Cohesion: two groups of records join only if all pairs across speak for it together.

A single good pair is weak evidence for joining two groups whose other pairs disagree: transitive
closure then merges namesakes. Groups join in the order of their strongest pair, as in agglomerative
correlation clustering (Bansal, Blum and Chawla, "Correlation clustering", Machine Learning 56, 2004;
Elsner and Schudy, "Bounding and comparing methods for correlation clustering beyond ILP", 2009), when
the match weights of all pairs across sum to more than nothing. A pair that was not kept, because it
was never compared or is clearly none, counts a little against. The outcome depends on nothing but the
pairs of one connected component. What does not belong here: stewards' decisions and guards
(`clustering`).
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from operator import itemgetter

import polars as pl

from crm_hygiene.linkage.components import components

PAIRS = ("l", "r")


def _sum_across(
    near: dict[int, dict[int, float]], one: list[int], other: list[int], absent: float, most: float
) -> float:
    """Sum of the weights of all pairs between two groups, each at most `most`."""
    if len(one) > len(other):
        one, other = other, one
    inside = set(other)
    total, kept = 0.0, 0
    for record in one:
        for partner, weight in near[record].items():
            if partner in inside:
                total += min(weight, most)
                kept += 1
    return round(total - absent * (len(one) * len(other) - kept), 6)


def _parts(pairs: list[tuple[int, int, float, bool, bool]], absent: float, most: float) -> dict[int, int]:
    """Group of each record of one component; pairs are (l, r, weight, is link, is firm)."""
    near: dict[int, dict[int, float]] = defaultdict(dict)
    for left, right, weight, _, firm in pairs:
        near[left][right] = near[right][left] = most if firm else weight
    group = {record: record for record in near}
    members = {record: [record] for record in near}
    links = sorted((p for p in pairs if p[3]), key=lambda p: (not p[4], -p[2], p[0], p[1]))
    # What a first walk refuses may fit once the groups have grown.
    for _ in range(2):
        for left, right, _, _, firm in links:
            a, b = group[left], group[right]
            if a == b or not (firm or _sum_across(near, members[a], members[b], absent, most) > 0):
                continue
            if len(members[a]) < len(members[b]):
                a, b = b, a
            for record in members[b]:
                group[record] = a
            members[a] += members.pop(b)
    return group


def incoherent_links(pairs: pl.DataFrame, absent: float, most: float) -> pl.DataFrame:
    """Links of the model whose groups do not belong together.

    Parameters
    ----------
    pairs
        `l`, `r`, `weight` (log2 of the odds of a match), `is_link`, `is_firm` (a link that no weight can
        refuse: a decision, a key): all pairs that were kept, links and others.
    absent
        what a pair that was not kept counts against joining, in the unit of weight.
    most
        the most that one pair counts for joining.

    Returns
    -------
    polars.DataFrame
        `l`, `r` of links to leave out, sorted.
    """
    nothing = pl.DataFrame(schema={"l": pl.Int64, "r": pl.Int64})
    links = pairs.filter("is_link").select(PAIRS)
    if links.is_empty():
        return nothing
    nodes = pl.concat([links["l"], links["r"]]).unique().sort()
    numbered = pl.DataFrame({"node": nodes}).with_row_index("number")
    ends = [
        links.select(node=end).join(numbered, on="node", how="left", maintain_order="left")["number"]
        for end in PAIRS
    ]
    of = pl.DataFrame(
        {
            "node": nodes,
            "component": components(len(nodes), *(end.cast(pl.Int64).to_numpy() for end in ends)),
        }
    )
    sizes = of.group_by("component").agg(pl.len().cast(pl.Int64).alias("records"))
    inside = (
        pairs.join(of, left_on="l", right_on="node")
        .join(of.select(r="node", other="component"), on="r")
        .filter(pl.col("component") == pl.col("other"))
    )
    # Where every pair is a link there is nothing to weigh.
    linked = inside.group_by("component").agg(pl.col("is_link").sum().cast(pl.Int64).alias("links"))
    doubtful = (
        linked.join(sizes, on="component")
        .filter(pl.col("links") < pl.col("records") * (pl.col("records") - 1) // 2)
        .select("component")
    )
    walk = (
        inside.join(doubtful, on="component", how="semi")
        .sort("component", "l", "r")
        .select("component", "l", "r", "weight", "is_link", "is_firm")
    )
    refused: list[tuple[int, int]] = []
    for _, part in groupby(walk.iter_rows(), key=itemgetter(0)):
        rows = [row[1:] for row in part]
        group = _parts(rows, absent, most)
        refused += [
            (row[0], row[1]) for row in rows if row[3] and not row[4] and group[row[0]] != group[row[1]]
        ]
    if not refused:
        return nothing
    return pl.DataFrame(refused, schema=nothing.schema, orient="row").sort("l", "r")

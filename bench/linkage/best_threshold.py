"""Pairwise F1 of clustered scored pairs at every threshold, by adding pairs from the strongest down.

Clusters are the connected components of the pairs at or above the threshold. With the contingency of
each component kept while components merge, each step costs what the smaller one holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class AtThreshold:
    """Pairwise figures of the clusters at one threshold (match probability, 0 to 1)."""

    threshold: float
    precision: float
    recall: float
    f1: float


def sweep(pairs: pl.DataFrame, labels: Sequence[int], true_pairs: int) -> pl.DataFrame:
    """Pairs of records in one cluster at each distinct probability, strongest first.

    Parameters
    ----------
    pairs
        `l`, `r` (positions in `labels`), `probability`.
    labels
        the true cluster of each record.
    true_pairs
        pairs of records that truly belong together.

    Returns
    -------
    polars.DataFrame
        `threshold`, `precision`, `recall`, `f1`.
    """
    parent = list(range(len(labels)))
    size = [1] * len(labels)
    held = [{label: 1} for label in labels]

    def find(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    predicted = correct = 0
    rows: list[tuple[float, float, float, float]] = []
    ordered = pairs.select("probability", "l", "r").sort(
        "probability", "l", "r", descending=[True, False, False]
    )
    last: float | None = None

    def note() -> None:
        if last is not None:
            precision = correct / predicted if predicted else 1.0
            recall = correct / true_pairs if true_pairs else 1.0
            f1 = 2 * correct / (predicted + true_pairs) if predicted + true_pairs else 1.0
            rows.append((last, precision, recall, f1))

    for probability, left, right in ordered.iter_rows():
        if probability != last:
            note()
            last = probability
        a, b = find(left), find(right)
        if a == b:
            continue
        if size[a] < size[b]:
            a, b = b, a
        predicted += size[a] * size[b]
        for label, count in held[b].items():
            correct += count * held[a].get(label, 0)
            held[a][label] = held[a].get(label, 0) + count
        held[b] = {}
        parent[b] = a
        size[a] += size[b]
    note()
    return pl.DataFrame(
        rows,
        schema=dict.fromkeys(("threshold", "precision", "recall", "f1"), pl.Float64),
        orient="row",
    )


def at(steps: pl.DataFrame, threshold: float) -> AtThreshold:
    """The figures of the clusters formed by the pairs at or above `threshold`."""
    reached = steps.filter(pl.col("threshold") >= threshold)
    if reached.is_empty():
        return AtThreshold(threshold, 1.0, 0.0, 0.0)
    _, precision, recall, f1 = reached.row(-1)
    return AtThreshold(threshold, precision, recall, f1)


def best(steps: pl.DataFrame) -> AtThreshold:
    """The threshold with the highest F1: what labels would choose, so an upper bound."""
    if steps.is_empty():
        return AtThreshold(1.0, 1.0, 0.0, 0.0)
    return AtThreshold(*steps.sort("f1", "threshold", descending=True).row(0))

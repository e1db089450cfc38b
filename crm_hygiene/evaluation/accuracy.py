"""Accuracy against a truth file: pairwise and B-cubed, from the contingency table alone.

No pair is enumerated: with n_ij records in predicted cluster i and true cluster j, the true positive
pairs are the sum of n_ij (n_ij - 1) / 2 and B-cubed precision is the mean of n_ij^2 / n_i. over
records (Bagga and Baldwin, 1998).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.evaluation.intervals import Interval, ratio_interval
from crm_hygiene.evaluation.truth import TRUTH_COLUMNS

__all__ = ["TRUTH_COLUMNS", "Accuracy", "Evaluation", "contingency", "evaluate", "labelled", "pairwise"]


@dataclass(frozen=True)
class Accuracy:
    """Shares are 0 to 1; a share of nothing is 1. Pair counts are exact."""

    precision: float
    recall: float
    f1: float
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f1: float
    record_count: int
    missing_records: int
    true_pairs: int
    predicted_pairs: int
    correct_pairs: int


@dataclass(frozen=True)
class Evaluation:
    """Accuracy with how far it can be trusted.

    Attributes
    ----------
    intervals
        95 % intervals of `precision`, `recall`, `f1`, `bcubed_precision`, `bcubed_recall`. They hold
        for records drawn like those of the truth file, whole clusters at a time.
    entity_count
        entities that hold records of the truth.
    cluster_count, exact_clusters
        true clusters, and those of them whose records are one entity with no other record of the truth.
    missing
        `source`, `record_id`, `CLUSTER_ID` of the records that no entity has, sorted.
    """

    accuracy: Accuracy
    intervals: dict[str, Interval]
    entity_count: int
    cluster_count: int
    exact_clusters: int
    missing: pl.DataFrame


def labelled(members: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """The records of the truth with what is true and what linkage says.

    Returns
    -------
    polars.DataFrame
        `actual`, `source`, `record_id`, `entity_id` (null: no entity has it), `predicted` (the entity,
        or a name of its own for a record without one), sorted by record.

    Raises
    ------
    ConfigurationError
        if `truth` lacks one of its columns.
    """
    absent = [c for c in TRUTH_COLUMNS if c not in truth.columns]
    if absent:
        raise ConfigurationError(
            f"truth file: column {', '.join(absent)} is missing; it needs {', '.join(TRUTH_COLUMNS)}"
        )
    alone = pl.concat_str(pl.lit("\x1f"), "source", pl.lit("\x1f"), "record_id")
    return (
        truth.select(
            actual=pl.col("CLUSTER_ID").cast(pl.String),
            source=pl.col("DATA_SOURCE").cast(pl.String),
            record_id=pl.col("RECORD_ID").cast(pl.String),
        )
        .unique(["source", "record_id"], keep="first", maintain_order=True)
        .join(members.select("source", "record_id", "entity_id"), on=["source", "record_id"], how="left")
        .with_columns(predicted=pl.coalesce("entity_id", alone))
        .sort("source", "record_id")
    )


def contingency(records: pl.DataFrame) -> pl.DataFrame:
    """`predicted`, `actual`, `both` (records in both), `predicted_size`, `actual_size`, sorted."""
    both = records.group_by("predicted", "actual").len("both").with_columns(pl.col("both").cast(pl.Int64))
    return both.with_columns(
        predicted_size=pl.col("both").sum().over("predicted"), actual_size=pl.col("both").sum().over("actual")
    ).sort("predicted", "actual")


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _pairs(column: str) -> pl.Expr:
    return pl.col(column) * (pl.col(column) - 1) // 2


def _accuracy(both: pl.DataFrame, count: int, missing: int) -> Accuracy:
    def total(size: str, side: str) -> int:
        return int(both.unique(side).select(_pairs(size).sum()).item())

    correct = int(both.select(_pairs("both").sum()).item())
    predicted_pairs = total("predicted_size", "predicted")
    true_pairs = total("actual_size", "actual")
    precision = correct / predicted_pairs if predicted_pairs else 1.0
    recall = correct / true_pairs if true_pairs else 1.0
    square = pl.col("both") * pl.col("both")
    sums = both.select(p=(square / pl.col("predicted_size")).sum(), r=(square / pl.col("actual_size")).sum())
    b_precision = round(float(sums["p"][0]) / count, 12) if count else 1.0
    b_recall = round(float(sums["r"][0]) / count, 12) if count else 1.0
    return Accuracy(
        precision=precision,
        recall=recall,
        f1=_f1(precision, recall),
        bcubed_precision=b_precision,
        bcubed_recall=b_recall,
        bcubed_f1=_f1(b_precision, b_recall),
        record_count=count,
        missing_records=missing,
        true_pairs=true_pairs,
        predicted_pairs=predicted_pairs,
        correct_pairs=correct,
    )


def pairwise(members: pl.DataFrame, truth: pl.DataFrame) -> Accuracy:
    """Compare linked members with the truth.

    Parameters
    ----------
    members
        `source`, `record_id`, `entity_id`.
    truth
        `CLUSTER_ID`, `RECORD_ID`, `DATA_SOURCE`. Members the truth does not know are left out;
        records of the truth that have no member count as alone.

    Raises
    ------
    ConfigurationError
        if `truth` lacks one of its columns.
    """
    records = labelled(members, truth)
    return _accuracy(contingency(records), records.height, records["entity_id"].null_count())


def _with_groups(both: pl.DataFrame) -> pl.DataFrame:
    """Add `group`: entities and true clusters that share records, directly or through others."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def find(node: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    # Where entity and cluster are one, as most are, there is nothing to join.
    for predicted, actual in (
        both.filter((pl.col("both") < pl.col("predicted_size")) | (pl.col("both") < pl.col("actual_size")))
        .select("predicted", "actual")
        .iter_rows()
    ):
        a, b = find(("predicted", predicted)), find(("actual", actual))
        parent[max(a, b)] = min(a, b)
    tangled = [node for node in parent if node[0] == "actual"]
    roots = pl.DataFrame(
        [(node[1], "\x1f".join(find(node))) for node in tangled],
        schema={"actual": pl.String, "group": pl.String},
        orient="row",
    )
    return both.join(roots, on="actual", how="left", maintain_order="left").with_columns(
        pl.coalesce("group", pl.concat_str(pl.lit("actual\x1f"), "actual"))
    )


def _intervals(both: pl.DataFrame) -> dict[str, Interval]:
    grouped = _with_groups(both)

    def by_group(frame: pl.DataFrame, **sums: pl.Expr) -> pl.DataFrame:
        return frame.group_by("group").agg(**sums)

    square = pl.col("both") * pl.col("both")
    parts = (
        by_group(
            grouped,
            correct=_pairs("both").sum(),
            records=pl.col("both").sum(),
            b_precision=(square / pl.col("predicted_size")).sum(),
            b_recall=(square / pl.col("actual_size")).sum(),
        )
        .join(by_group(grouped.unique("predicted"), predicted=_pairs("predicted_size").sum()), on="group")
        .join(by_group(grouped.unique("actual"), true=_pairs("actual_size").sum()), on="group")
        .sort("group")
    )
    both_sides = parts["predicted"] + parts["true"]
    return {
        "precision": ratio_interval(parts["correct"], parts["predicted"]),
        "recall": ratio_interval(parts["correct"], parts["true"]),
        "f1": ratio_interval(2 * parts["correct"], both_sides),
        "bcubed_precision": ratio_interval(parts["b_precision"].round(6), parts["records"]),
        "bcubed_recall": ratio_interval(parts["b_recall"].round(6), parts["records"]),
    }


def evaluate(members: pl.DataFrame, truth: pl.DataFrame) -> Evaluation:
    """Compare linked members with the truth, with intervals and what is missing.

    Parameters
    ----------
    members, truth
        as `pairwise` takes them.

    Raises
    ------
    ConfigurationError
        if `truth` lacks one of its columns.
    """
    records = labelled(members, truth)
    both = contingency(records)
    missing = records.filter(pl.col("entity_id").is_null())
    exact = both.filter(
        (pl.col("both") == pl.col("predicted_size"))
        & (pl.col("both") == pl.col("actual_size"))
        & ~pl.col("predicted").str.starts_with("\x1f")
    )
    return Evaluation(
        accuracy=_accuracy(both, records.height, missing.height),
        intervals=_intervals(both),
        entity_count=records["entity_id"].drop_nulls().n_unique(),
        cluster_count=records["actual"].n_unique(),
        exact_clusters=exact.height,
        missing=missing.select("source", "record_id", CLUSTER_ID="actual"),
    )

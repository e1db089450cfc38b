"""Accuracy against a truth file: pairwise and B-cubed, from the contingency table alone.

No pair is enumerated: with n_ij records in predicted cluster i and true cluster j, the true positive
pairs are the sum of n_ij (n_ij - 1) / 2 and B-cubed precision is the mean of n_ij^2 / n_i. over
records (Bagga and Baldwin, 1998).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from crm_hygiene.errors import ConfigurationError

TRUTH_COLUMNS = ("CLUSTER_ID", "RECORD_ID", "DATA_SOURCE")


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


def _pairs(counts: pl.Series) -> int:
    wide = counts.cast(pl.Int64)
    return int((wide * (wide - 1) // 2).sum())


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


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
    absent = [c for c in TRUTH_COLUMNS if c not in truth.columns]
    if absent:
        raise ConfigurationError(
            f"truth file: column {', '.join(absent)} is missing; it needs {', '.join(TRUTH_COLUMNS)}"
        )
    labelled = (
        truth.select(
            actual=pl.col("CLUSTER_ID").cast(pl.String),
            source=pl.col("DATA_SOURCE").cast(pl.String),
            record_id=pl.col("RECORD_ID").cast(pl.String),
        )
        .unique(["source", "record_id"], keep="first", maintain_order=True)
        .join(members.select("source", "record_id", "entity_id"), on=["source", "record_id"], how="left")
    )
    missing = labelled["entity_id"].null_count()
    alone = pl.concat_str(pl.lit("\x1f"), "source", pl.lit("\x1f"), "record_id")
    labelled = labelled.with_columns(predicted=pl.coalesce("entity_id", alone))
    both = labelled.group_by("predicted", "actual").len("both").with_columns(pl.col("both").cast(pl.Int64))
    both = both.with_columns(
        predicted_size=pl.col("both").sum().over("predicted"), actual_size=pl.col("both").sum().over("actual")
    )
    correct = _pairs(both["both"])
    predicted_pairs = _pairs(both.group_by("predicted").agg(pl.col("both").sum())["both"])
    true_pairs = _pairs(both.group_by("actual").agg(pl.col("both").sum())["both"])
    precision = correct / predicted_pairs if predicted_pairs else 1.0
    recall = correct / true_pairs if true_pairs else 1.0
    count = labelled.height
    square = pl.col("both") * pl.col("both")
    sums = both.sort("predicted", "actual").select(
        p=(square / pl.col("predicted_size")).sum(), r=(square / pl.col("actual_size")).sum()
    )
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

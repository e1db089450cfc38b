"""Accuracy on labels, with intervals that do not pretend to more labels than there are.

An interval is Wilson's score interval (Wilson, 1927). It holds for independent observations, and pairs of
one entity, or of one steward's act, are not independent. So its n is not the number of pairs but Kish's
effective sample size (Kish, 1965) with each entity or act as one observation, weighted by its pairs:
(sum of w)^2 / (sum of w^2). That takes pairs of one group to be wholly alike, which is on the safe side.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from crm_hygiene.evaluation.accuracy import pairwise
from crm_hygiene.evaluation.intervals import wilson

LABELS = {"truth": "the truth file", "judgements": "the stewards' judgements"}


@dataclass(frozen=True)
class Share:
    """A share of pairs with its 95 % interval.

    Attributes
    ----------
    value, low, high
        0 to 1; of no pair at all 1, with the interval 0 to 1.
    pair_count
        pairs the share is of.
    group_count
        entities or acts these pairs come from.
    effective_count
        observations the interval counts on.
    """

    value: float
    low: float
    high: float
    pair_count: int
    group_count: int
    effective_count: float


@dataclass(frozen=True)
class LabelAccuracy:
    """Precision and recall on one set of labels; `labels` says which."""

    labels: str
    precision: Share
    recall: Share
    f1: float


def share(correct: int, weights: pl.Series) -> Share:
    """`correct` of the pairs that `weights` counts by group."""
    counts = weights.filter(weights > 0).cast(pl.Float64)
    total = float(counts.sum())
    if total == 0:
        return Share(1.0, 0.0, 1.0, 0, 0, 0.0)
    effective = round(total * total / float((counts * counts).sum()), 6)
    value = round(correct / total, 6)
    low, high = wilson(value, effective)
    return Share(value, low, high, int(total), counts.len(), effective)


def _f1(precision: float, recall: float) -> float:
    return round(2 * precision * recall / (precision + recall), 6) if precision + recall else 0.0


def on_truth(members: pl.DataFrame, truth: pl.DataFrame, labels: str) -> LabelAccuracy | None:
    """Accuracy of the final entities on a truth file; None if it knows none of the records.

    Parameters
    ----------
    members
        `source`, `record_id`, `entity_id`.
    truth
        `CLUSTER_ID`, `RECORD_ID`, `DATA_SOURCE`, one row per record; records of sources that `members`
        does not have are another kind's and left out.
    """
    truth = truth.filter(pl.col("DATA_SOURCE").is_in(members["source"].unique().implode()))
    known = truth.join(
        members, left_on=["DATA_SOURCE", "RECORD_ID"], right_on=["source", "record_id"], how="inner"
    )
    if known.is_empty():
        return None
    correct = pairwise(members, truth).correct_pairs

    def pairs_by(frame: pl.DataFrame, column: str) -> pl.Series:
        sizes = frame.group_by(column).len()["len"].cast(pl.Int64)
        return sizes * (sizes - 1) // 2

    precision = share(correct, pairs_by(known, "entity_id"))
    recall = share(correct, pairs_by(truth, "CLUSTER_ID"))
    return LabelAccuracy(labels, precision, recall, _f1(precision.value, recall.value))


def on_judgements(judged: pl.DataFrame, labels: str) -> LabelAccuracy | None:
    """Accuracy of a model's own opinion on pairs that stewards judged; None if there is no such pair.

    Parameters
    ----------
    judged
        `judgement` (`same`, `different`), `says_same` (whether a key or the model alone would link the
        pair, had nobody judged it), `act` (judgements of one act share it).
    """
    judged = judged.filter(pl.col("judgement").is_in(["same", "different"]))
    if judged.is_empty():
        return None
    said = judged.filter("says_same")
    same = judged.filter(pl.col("judgement") == "same")
    correct = same.filter("says_same").height
    precision = share(correct, said.group_by("act").len()["len"])
    recall = share(correct, same.group_by("act").len()["len"])
    return LabelAccuracy(labels, precision, recall, _f1(precision.value, recall.value))

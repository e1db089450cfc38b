from __future__ import annotations

from itertools import combinations

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.evaluation.accuracy import evaluate, pairwise

labels = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12)


def frames(pairs: list[tuple[int, int]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    keys = {"source": ["s"] * len(pairs), "record_id": [str(i) for i in range(len(pairs))]}
    text = {"source": pl.String, "record_id": pl.String}
    members = pl.DataFrame(
        {**keys, "entity_id": [f"P-{p}" for p, _ in pairs]}, schema={**text, "entity_id": pl.String}
    )
    truth = pl.DataFrame(keys, schema=text).select(
        DATA_SOURCE="source",
        RECORD_ID="record_id",
        CLUSTER_ID=pl.Series([t for _, t in pairs], dtype=pl.Int64),
    )
    return members, truth


@settings(max_examples=examples(50), deadline=None)
@given(labels)
def test_formulas_agree_with_counting_every_pair(pairs: list[tuple[int, int]]) -> None:
    found = pairwise(*frames(pairs))
    all_pairs = list(combinations(pairs, 2))
    predicted = sum(a[0] == b[0] for a, b in all_pairs)
    actual = sum(a[1] == b[1] for a, b in all_pairs)
    both = sum(a == b for a, b in all_pairs)
    assert (found.predicted_pairs, found.true_pairs, found.correct_pairs) == (predicted, actual, both)
    assert found.precision == (both / predicted if predicted else 1.0)
    assert found.recall == (both / actual if actual else 1.0)
    if pairs:
        b_precision = sum(sum(a == b for b in pairs) / sum(a[0] == b[0] for b in pairs) for a in pairs) / len(
            pairs
        )
        assert found.bcubed_precision == pytest.approx(b_precision)


def test_a_record_without_member_counts_as_alone() -> None:
    members, truth = frames([(1, 1), (1, 1), (1, 1)])
    found = pairwise(members.head(2), truth)
    assert (found.missing_records, found.precision, found.recall) == (1, 1.0, pytest.approx(1 / 3))


def test_a_truth_file_without_its_columns_is_refused() -> None:
    members, truth = frames([(1, 1)])
    with pytest.raises(ConfigurationError, match="CLUSTER_ID"):
        pairwise(members, truth.drop("CLUSTER_ID"))


@settings(max_examples=examples(50), deadline=None)
@given(labels)
def test_intervals_hold_the_share_and_groups_hold_every_pair(pairs: list[tuple[int, int]]) -> None:
    found = evaluate(*frames(pairs))
    for name, (low, high) in found.intervals.items():
        assert 0 <= low <= round(getattr(found.accuracy, name), 5) + 1e-5
        assert round(getattr(found.accuracy, name), 5) - 1e-5 <= high <= 1
    assert found.accuracy == pairwise(*frames(pairs))
    assert found.exact_clusters <= min(found.cluster_count, found.entity_count)


def test_more_of_the_same_narrows_the_interval() -> None:
    some = [(i, i) for i in range(20) for _ in range(2)] + [(20, 20), (21, 20)]
    more = [(p + 100 * k, t + 100 * k) for k in range(30) for p, t in some]
    few, many = evaluate(*frames(some)), evaluate(*frames(more))
    assert many.accuracy.recall == pytest.approx(few.accuracy.recall)
    width = {"few": few.intervals["recall"], "many": many.intervals["recall"]}
    assert width["many"][1] - width["many"][0] < (width["few"][1] - width["few"][0]) / 3


def test_one_large_cluster_is_one_observation() -> None:
    pairs = [(1, 1)] * 200
    assert evaluate(*frames(pairs)).intervals["recall"][0] < 0.5


def test_counts_and_missing_records() -> None:
    members, truth = frames([(1, 1), (1, 1), (2, 2), (3, 3)])
    found = evaluate(members.head(3), truth)
    assert (found.entity_count, found.cluster_count, found.exact_clusters) == (2, 3, 2)
    assert found.missing.rows() == [("s", "3", "3")]

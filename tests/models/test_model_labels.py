"""Accuracy on labels and its intervals."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.evaluation.intervals import wilson
from crm_hygiene.models.labels import on_judgements, on_truth, share


def test_wilson_as_published() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3.
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1 / 29, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(0, 400), st.integers(1, 400))
def test_wilson_holds_the_share_and_narrows_with_more_labels(k: int, n: int) -> None:
    value = min(k, n) / n
    low, high = wilson(value, n)
    assert 0 <= low <= value + 1e-6
    assert value - 1e-6 <= high <= 1
    wider = wilson(value, n / 2)
    assert wider[0] <= low
    assert high <= wider[1]


@given(st.lists(st.integers(0, 50), min_size=1))
def test_many_pairs_of_one_entity_are_not_many_labels(weights: list[int]) -> None:
    found = share(sum(weights), pl.Series(weights, dtype=pl.Int64))
    assert found.pair_count == sum(weights)
    assert found.effective_count <= found.group_count + 1e-6
    assert found.effective_count <= found.pair_count


def test_pairs_of_equal_entities_count_as_so_many_entities() -> None:
    assert share(30, pl.Series([3] * 10)).effective_count == 10
    assert share(0, pl.Series([], dtype=pl.Int64)).high == 1


def _members(*rows: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["source", "record_id", "entity_id"], orient="row")


def _truth(*rows: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["CLUSTER_ID", "RECORD_ID", "DATA_SOURCE"], orient="row")


def test_truth_counts_pairs_of_final_entities() -> None:
    members = _members(("crm", "1", "A"), ("crm", "2", "A"), ("crm", "3", "A"), ("crm", "4", "B"))
    truth = _truth(("x", "1", "crm"), ("x", "2", "crm"), ("y", "3", "crm"), ("y", "4", "crm"))
    found = on_truth(members, truth, "truth")
    assert found is not None
    assert (found.precision.value, found.precision.pair_count) == (pytest.approx(1 / 3, abs=1e-6), 3)
    assert (found.recall.value, found.recall.pair_count) == (0.5, 2)
    assert found.f1 == pytest.approx(0.4, abs=1e-5)


def test_truth_of_another_kind_says_nothing() -> None:
    assert on_truth(_members(("crm", "1", "A")), _truth(("x", "1", "erp")), "truth") is None


def test_judgements_weigh_by_act() -> None:
    judged = pl.DataFrame(
        {
            "judgement": ["same", "same", "same", "different", "unsure"],
            "says_same": [True, True, False, True, True],
            "act": ["d1", "d1", "d2", "d3", "d4"],
        }
    )
    found = on_judgements(judged, "judgements")
    assert found is not None
    assert (found.precision.value, found.precision.pair_count) == (pytest.approx(2 / 3, abs=1e-6), 3)
    assert (found.recall.pair_count, found.recall.group_count) == (3, 2)
    assert on_judgements(judged.filter(pl.col("judgement") == "unsure"), "judgements") is None

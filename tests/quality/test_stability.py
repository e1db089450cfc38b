"""The stability index as a mathematical object."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.quality.stability import mean_shares, stability_index


def shares(counts: dict[str, int], column: str = "city", run: str | None = None) -> pl.DataFrame:
    total = sum(counts.values())
    frame = pl.DataFrame(
        {"bucket": list(counts), "share": [n / total for n in counts.values()]},
        schema={"bucket": pl.String, "share": pl.Float64},
    ).with_columns(table_name=pl.lit("conformed.people"), source=pl.lit("s"), column_name=pl.lit(column))
    return frame if run is None else frame.with_columns(run_id=pl.lit(run))


def index(a: dict[str, int], b: dict[str, int]) -> float:
    found = stability_index(shares(a), shares(b))
    assert found.height == 1
    return float(found["metric_value"][0])


counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000), min_size=1).filter(
    lambda c: sum(c.values()) > 0
)


@given(counts)
def test_equal_distributions_have_no_drift(a: dict[str, int]) -> None:
    assert index(a, a) == 0


@given(counts, st.integers(1, 9))
def test_only_shares_count(a: dict[str, int], times: int) -> None:
    assert index(a, {k: v * times for k, v in a.items()}) == pytest.approx(0, abs=1e-6)


@given(counts, counts)
def test_drift_is_symmetric_and_not_negative(a: dict[str, int], b: dict[str, int]) -> None:
    assert index(a, b) == pytest.approx(index(b, a), abs=2e-6)
    assert index(a, b) >= 0


def test_the_published_formula() -> None:
    expected = (0.2 - 0.5) * math.log(0.2 / 0.5) + (0.8 - 0.5) * math.log(0.8 / 0.5)
    assert index({"a": 20, "b": 80}, {"a": 1, "b": 1}) == pytest.approx(expected, abs=1e-6)


def test_a_column_that_one_side_lacks_is_not_compared() -> None:
    assert stability_index(shares({"a": 1}, "city"), shares({"a": 1}, "region")).is_empty()
    assert stability_index(shares({"a": 1}), shares({"a": 1}).clear()).is_empty()


def test_the_mean_counts_a_missing_bucket_as_none() -> None:
    nights = pl.concat([shares({"a": 1}, run="1"), shares({"b": 1}, run="2")])
    assert mean_shares(nights)["share"].to_list() == [0.5, 0.5]

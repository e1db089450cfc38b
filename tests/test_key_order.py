"""Rows in the order of their key: what sorting would give, whether or not it sorts."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.key_order import in_key_order, is_in_order

_TEXT = st.none() | st.sampled_from(["", "a", "a ", "B", "b", "é", "ß", "𝄞"])
_ROWS = st.lists(st.tuples(_TEXT, st.none() | st.integers(-2, 2)), max_size=12)


def _frame(rows: list[tuple[str | None, int | None]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"name": pl.String, "number": pl.Int64}, orient="row")


@given(_ROWS)
def test_the_same_as_sorting(rows: list[tuple[str | None, int | None]]) -> None:
    frame = _frame(rows)
    assert in_key_order(frame, ["name", "number"]).equals(frame.sort("name", "number"))


@given(_ROWS)
def test_sorted_rows_are_told_from_others(rows: list[tuple[str | None, int | None]]) -> None:
    frame = _frame([row for row in rows if None not in row])
    assert is_in_order(frame.sort("name", "number"), ["name", "number"])
    assert is_in_order(frame, ["name", "number"]) == frame.equals(frame.sort("name", "number"))


@pytest.mark.parametrize("rows", [[], [("a", 1)]])
def test_few_rows(rows: list[tuple[str | None, int | None]]) -> None:
    assert is_in_order(_frame(rows), ["name", "number"])

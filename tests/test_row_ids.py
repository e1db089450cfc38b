"""Ids of rows are the SHA-256 of their cells as text."""

from __future__ import annotations

import hashlib

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene import row_ids as module
from crm_hygiene.row_ids import row_ids

_CELL = st.none() | st.text(st.characters(codec="utf-8"), max_size=6)


@given(st.lists(st.tuples(_CELL, _CELL), max_size=8), st.sampled_from(["\x00", ""]))
def test_hash_of_the_joined_cells(rows: list[tuple[str | None, str | None]], null: str) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String}, orient="row")
    said = ["\x1f".join(null if cell is None else cell for cell in row) for row in rows]
    expected = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in said]
    assert row_ids(frame, "id", null).to_list() == expected


def test_the_size_of_a_slice_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"a": ["x", None, "y", "x", ""]})
    whole = row_ids(frame, "id")
    monkeypatch.setattr(module, "_SLICE", 2)
    assert row_ids(frame, "id").equals(whole)
    assert whole.name == "id"
    assert whole.n_unique() == 4

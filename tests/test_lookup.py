"""Texts are found at the place where they stand, whatever their hashes are."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.lookup import Lookup

_TEXTS = st.lists(st.one_of(st.none(), st.text("AB9", max_size=3)))


@given(st.lists(st.text("AB9", max_size=3), unique=True), _TEXTS)
def test_each_text_is_found_where_it_stands(keys: list[str], texts: list[str | None]) -> None:
    found = Lookup(pl.Series(keys, dtype=pl.String)).places(pl.Series(texts, dtype=pl.String))
    assert found.to_list() == [keys.index(text) if text in keys else None for text in texts]  # type: ignore[arg-type]
    assert found.dtype == pl.UInt32


def test_two_keys_of_one_hash_are_both_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def seven(texts: pl.Series) -> pl.Series:
        return pl.repeat(7, texts.len(), dtype=pl.UInt64, eager=True)

    monkeypatch.setattr(pl.Series, "hash", seven)
    assert Lookup(pl.Series(["A1", "B2"])).places(pl.Series(["B2", "A1", None, "C3"])).to_list() == [
        1,
        0,
        None,
        None,
    ]

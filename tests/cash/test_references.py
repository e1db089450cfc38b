"""Known references are found whatever number of them there is."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.cash import references


@given(st.lists(st.text("AB9", max_size=3)), st.lists(st.text("AB9", max_size=3)))
def test_known_tokens_are_found_as_by_looking_at_all_of_them(tokens: list[str], texts: list[str]) -> None:
    known = pl.Series(tokens, dtype=pl.String).unique()
    asked = pl.Series(texts, dtype=pl.String)
    assert references._Tokens(known).has(asked).to_list() == asked.is_in(known.implode()).to_list()


def test_two_tokens_of_one_hash_are_both_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def seven(texts: pl.Series) -> pl.Series:
        return pl.repeat(7, texts.len(), dtype=pl.UInt64, eager=True)

    monkeypatch.setattr(pl.Series, "hash", seven)
    tokens = references._Tokens(pl.Series(["A1", "B2"]))
    assert tokens.has(pl.Series(["A1", "B2", "C3"])).to_list() == [True, True, False]

"""Faults one by one: what they spoil and what they leave alone."""

from __future__ import annotations

from datetime import date

import polars as pl
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import DamerauLevenshtein

from crm_hygiene.sample import faults
from crm_hygiene.sample.draws import stream

texts = st.lists(st.none() | st.text(max_size=12), min_size=1, max_size=30)
seeds = st.integers(0, 2**32)


@settings(max_examples=examples(60), deadline=None)
@given(values=st.lists(st.text(max_size=12), min_size=1, max_size=30), seed=seeds)
def test_a_typo_is_one_slip(values: list[str], seed: int) -> None:
    slipped = faults.typo(stream(seed, "t"), pl.Series(values, dtype=pl.String)).to_list()
    for before, after in zip(values, slipped, strict=True):
        assert DamerauLevenshtein.distance(before, after) <= 1
        assert len(before) > 3 or before == after


@settings(max_examples=examples(40), deadline=None)
@given(values=texts, seed=seeds, rate=st.floats(0, 1))
def test_faults_keep_length_and_nulls(values: list[str | None], seed: int, rate: float) -> None:
    column = pl.Series(values, dtype=pl.String)
    for fault in (faults.with_typos, faults.with_capitals, faults.with_blanks_around, faults.with_mojibake):
        spoiled = fault(stream(seed, "f"), column, rate)
        assert spoiled.is_null().to_list() == column.is_null().to_list()
    assert column.to_list() == values, "the clean values stay as they were"


def test_rate_nought_changes_nothing() -> None:
    column = pl.Series(["Müller", None, "Maier"])
    for fault in (faults.with_typos, faults.with_capitals, faults.with_mojibake, faults.with_gaps):
        assert fault(stream(1, "f"), column, 0.0).to_list() == column.to_list()


def test_mojibake_is_utf8_read_as_cp1252() -> None:
    assert faults.with_mojibake(stream(1, "f"), pl.Series(["Müller"]), 1.0).to_list() == ["MÃ¼ller"]


def test_swapped_dates_are_dates() -> None:
    dates = pl.Series([date(1980, 3, 7), date(1980, 3, 27)])
    swapped = faults.with_swapped_day_and_month(stream(1, "f"), dates, 1.0)
    assert swapped.to_list() == [date(1980, 7, 3), date(1980, 3, 27)]


@settings(max_examples=examples(30), deadline=None)
@given(names=st.lists(st.text("aäéłß ", max_size=8), max_size=20), seed=seeds, rate=st.floats(0, 1))
def test_mixed_encoding_can_be_undone_line_by_line(names: list[str], seed: int, rate: float) -> None:
    text = "\n".join(["header", *names])
    mixed = faults.in_mixed_encoding(stream(seed, "f"), text.encode(), rate).split(b"\n")
    assert len(mixed) == len(names) + 1
    for line, name in zip(mixed[1:], names, strict=True):
        assert line in (name.encode(), name.encode("cp1252", errors="ignore"))

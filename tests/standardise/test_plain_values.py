"""Booleans, whole numbers, placeholders and the cleaning of text."""

from __future__ import annotations

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.standardise import is_placeholder, standardise_booleans, standardise_integers
from crm_hygiene.standardise.text import clean, cleaned, fold, folded

from .conftest import Raw

# Polars' tables know newer characters than Python's; on those the two ways may differ.
KNOWN_TO_PYTHON = st.characters(exclude_categories=("Cs", "Cn"))


def test_booleans(raw: Raw) -> None:
    result = standardise_booleans(raw("TRUE", "f", " Yes ", "0", "t", "N", "maybe", None))
    assert result["value"].to_list() == [True, False, True, False, True, False, None, None]
    assert result["problem"].to_list()[6:] == ["boolean 'may…' is neither true nor false", None]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1,200", 1200), ("1200.0", 1200), ("1 200", 1200), ("1.200.000", 1200000), ("-3", -3), ("+5",
        5), ("007", 7),
        ("9223372036854775807", 2**63 - 1),
    ],
)  # fmt: skip
def test_integers(raw: Raw, written: str, value: int) -> None:
    row = standardise_integers(raw(written)).row(0, named=True)
    assert (row["value"], row["problem"]) == (value, None)


@pytest.mark.parametrize(
    "written", ["1.5", "1.200", "51-200", "1e3", "9223372036854775808", "12,34", "n/a", "--"]
)
def test_refused_integers(raw: Raw, written: str) -> None:
    row = standardise_integers(raw(written)).row(0, named=True)
    assert row["value"] is None
    assert row["problem"].startswith("number '")


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(-(2**63), 2**63 - 1))
def test_every_64_bit_number_survives(raw: Raw, number: int) -> None:
    assert standardise_integers(raw(str(number), f"{number:,}"))["value"].to_list() == [number, number]


@pytest.mark.parametrize(
    "text", ["n/a", "N/A", "#N/A", "-", "...", "???", "xxx", "Test", "test test", "Unknown", "(none)", "TBD"]
)
def test_placeholders(text: str) -> None:
    assert pl.select(is_placeholder(pl.lit(text))).item()


@pytest.mark.parametrize(
    "text", ["Na", "Nan", "Tester", "Null Island Ltd", "X", "Testa", "Noname Records", "Xxylem", "李"]
)
def test_names_that_look_like_placeholders(text: str) -> None:
    assert not pl.select(is_placeholder(pl.lit(text))).item()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("JosÃ©", "José"),
        ("MÃ¼ller â€“ SÃ¶hne", "Müller – Söhne"),
        ("GarcÃ\u00ada", "García"),
        ("René Ångström", "René Ångström"),
        ("a\u00a0\t b\x00\u200b", "a b"),
        ("e\u0301", "é"),
        ("co\u00adop", "coop"),
        (" \u2003 ", ""),
    ],
)
def test_cleaning(written: str, expected: str) -> None:
    assert pl.select(cleaned(pl.lit(written))).item() == (expected or None)
    assert clean(written) == expected


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.text(KNOWN_TO_PYTHON, max_size=20), max_size=8))
def test_cleaning_and_folding_by_column_and_by_value_agree_and_settle(texts: list[str]) -> None:
    frame = pl.DataFrame({"raw": texts}, schema={"raw": pl.String}).with_columns(c=cleaned("raw"))
    assert frame["c"].to_list() == [clean(t) or None for t in texts]
    assert frame.select(cleaned("c"))["c"].to_list() == frame["c"].to_list()
    assert frame.select(folded("c"))["c"].to_list() == [fold(t) if (t := clean(x)) else None for x in texts]

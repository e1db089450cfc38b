from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.standardise import standardise_decimals


def read(*said: str | None, decimal: str = ".") -> pl.DataFrame:
    return standardise_decimals(pl.DataFrame({"raw": said}, schema={"raw": pl.String}), decimal)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("1", "1"),
        ("-1.5", "-1.5"),
        ("2.00 %", "2"),
        ("1,000.25", "1000.25"),
        (".5", "0.5"),
        ("0.00005", "0.0001"),
        ("-0.00005", "-0.0001"),
        ("12345678901234.9999", "12345678901234.9999"),
    ],
)
def test_a_number(said: str, value: str) -> None:
    assert read(said).select("value", "problem").row(0) == (Decimal(value), None)


@pytest.mark.parametrize("said", ["abc", "1e5", "1.2.3", "123456789012345", "--1", "1,00"])
def test_no_number_is_a_problem(said: str) -> None:
    row = read(said).row(0, named=True)
    assert row["value"] is None
    assert row["problem"]


def test_a_decimal_comma() -> None:
    assert read("1.234,5", "2,5", decimal=",")["value"].to_list() == [Decimal("1234.5"), Decimal("2.5")]


@given(st.decimals(min_value=-(10**13), max_value=10**13, places=7))
def test_it_is_rounded_half_up_and_reading_it_again_changes_nothing(value: Decimal) -> None:
    once = read(format(value, "f"))["value"][0]
    assert once == value.quantize(Decimal("0.0001"), ROUND_HALF_UP)
    assert read(format(once, "f"))["value"][0] == once

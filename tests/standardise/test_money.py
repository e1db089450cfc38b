from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.standardise import standardise_money


def one(
    written: str | None, currency: str | None = None, decimal: str = "."
) -> tuple[Decimal | None, str | None, str | None]:
    frame = pl.DataFrame(
        {"raw": [written], "currency": [currency]}, schema={"raw": pl.String, "currency": pl.String}
    )
    result = standardise_money(frame, decimal=decimal)
    assert result.schema["amount"] == pl.Decimal(18, 4)
    return result.select("amount", "currency", "problem").row(0)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1.234,56", "1234.56"), ("1,234.56", "1234.56"), ("(12.00)", "-12"), ("12.00-", "-12"), ("-12",
        "-12"), ("−12", "-12"),
        ("1'234.50", "1234.5"), ("1 234,56", "1234.56"), ("1\u00a0234,56", "1234.56"), ("12,34,567.89",
        "1234567.89"),
        ("1.234.567", "1234567"), ("1,234", "1234"), (".5", "0.5"), ("12.", "12"), ("0012.50", "12.5"),
        ("12.5000", "12.5"),
        ("99999999999999.99", "99999999999999.99"), ("0", "0"), ("-0.00", "0"),
    ],
)  # fmt: skip
def test_notations(written: str, expected: str) -> None:
    assert one(written, "EUR") == (Decimal(expected), "EUR", None)


@pytest.mark.parametrize(
    ("written", "currency", "amount", "found"),
    [
        ("€ 12,50", None, "12.5", "EUR"),
        ("£5", None, "5", "GBP"),
        ("$3", None, "3", None),
        ("USD 12.5", None, "12.5", "USD"),
        ("(12.5 eur)", None, "-12.5", "EUR"),
        ("-€5.00", "eur", "-5", "EUR"),
        ("$3", "CAD", "3", "CAD"),
    ],
)
def test_currency_from_the_text(written: str, currency: str | None, amount: str, found: str | None) -> None:
    assert one(written, currency) == (Decimal(amount), found, None)


@pytest.mark.parametrize(
    ("written", "currency", "reason"),
    [
        ("1.234", "EUR", "has more decimals than EUR allows"),
        ("1.230", "EUR", "has more decimals than EUR allows"),
        ("100.5", "JPY", "has more decimals than JPY allows"),
        ("0.00001", None, "has more decimals than the ledger allows"),
        ("100000000000000", "EUR", "is too large"),
        ("75k", "EUR", "is not an amount of money"),
        ("1e3", "EUR", "is not an amount of money"),
        ("--5", "EUR", "is not an amount of money"),
        ("-5-", "EUR", "is not an amount of money"),
        ("(-5)", "EUR", "is not an amount of money"),
        ("1,23,4", "EUR", "is not an amount of money"),
        ("12 34", "EUR", "is not an amount of money"),
        ("EUR 5", "USD", "names another currency than USD"),
        ("n/a", "USD", "is a placeholder"),
    ],
)
def test_refusals(written: str, currency: str | None, reason: str) -> None:
    amount, _, problem = one(written, currency)
    assert amount is None
    assert problem is not None
    assert problem.endswith(reason)


def test_minor_units_follow_iso_4217() -> None:
    assert one("1.234", "KWD") == (Decimal("1.234"), "KWD", None)
    assert one("100.00", "JPY") == (Decimal(100), "JPY", None)


def test_an_ambiguous_separator_is_read_by_the_option() -> None:
    assert one("1.234", "KWD", decimal=",")[0] == 1234
    assert one("1,234", "KWD", decimal=",")[0] == Decimal("1.234")
    with pytest.raises(ValueError, match="decimal"):
        one("1", decimal=";")


def test_an_unknown_currency_is_a_problem_and_the_amount_stays() -> None:
    assert one("5", "QQQ") == (Decimal(5), None, "currency 'QQQ…' is not in ISO 4217")


def written_ways(cents: int) -> list[str]:
    sign, whole, part = "-" if cents < 0 else "", abs(cents) // 100, abs(cents) % 100
    grouped = f"{whole:,}"
    return [
        f"{sign}{whole}.{part:02d}",
        f"{sign}{whole},{part:02d}",
        f"{sign}{grouped}.{part:02d}",
        f"{sign}{grouped.replace(',', '.')},{part:02d}",
        f"{sign}{grouped.replace(',', ' ')},{part:02d}",
        f"{sign}{grouped.replace(',', '’')}.{part:02d}",
        f"({whole}.{part:02d})" if sign else f"{whole}.{part:02d} EUR",
        f"{whole}.{part:02d}{sign}",
        f"EUR {sign}{grouped}.{part:02d}",
    ]


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(-(10**16) + 1, 10**16 - 1), st.sampled_from([".", ","]))
def test_no_cent_is_ever_lost(cents: int, decimal: str) -> None:
    ways = written_ways(cents)
    frame = pl.DataFrame({"raw": ways, "currency": ["EUR"] * len(ways)})
    result = standardise_money(frame, decimal=decimal)
    assert result["problem"].null_count() == len(ways)
    assert [a * 100 for a in result["amount"]] == [cents] * len(ways)

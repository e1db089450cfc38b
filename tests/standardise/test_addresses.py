from __future__ import annotations

import polars as pl
import pytest

from crm_hygiene.standardise import standardise_addresses


def standardised(**given: str) -> dict[str, str | None]:
    columns = ("raw_street", "raw_city", "raw_region", "raw_postal_code", "country_code")
    frame = pl.DataFrame({c: [given.get(c)] for c in columns}, schema=dict.fromkeys(columns, pl.String))
    return standardise_addresses(frame).row(0, named=True)


@pytest.mark.parametrize(
    ("written", "country", "expected"),
    [
        ("2134", "US", "02134"),
        ("501.0", "US", "00501"),
        ("02134-1001", "US", "02134-1001"),
        ("021341001", "US", "02134-1001"),
        ("sw1a1aa", "GB", "SW1A 1AA"),
        ("k1a 0b1", "CA", "K1A 0B1"),
        ("1234ab", "NL", "1234 AB"),
        ("1067", "DE", "1067"),
        ("ABC", "GB", "ABC"),
        ("2134", None, "2134"),
        ("n/a", "US", None),
    ],
)
def test_postal_codes(written: str, country: str | None, expected: str | None) -> None:
    given = {"raw_postal_code": written} | ({"country_code": country} if country else {})
    assert standardised(**given)["postal_code"] == expected


@pytest.mark.parametrize(
    ("written", "country", "expected"),
    [
        ("Massachusetts", "US", "MA"),
        ("ma", "US", "MA"),
        ("Quebec", "CA", "QC"),
        ("New South Wales", "AU", "NSW"),
        ("Western Australia", "AU", "WA"),
        ("Bavaria", "DE", "Bavaria"),
        ("Massachusetts", None, "Massachusetts"),
    ],
)
def test_regions(written: str, country: str | None, expected: str) -> None:
    given = {"raw_region": written} | ({"country_code": country} if country else {})
    assert standardised(**given)["region"] == expected


def test_lines_of_a_street_are_joined() -> None:
    row = standardised(raw_street=" 1 Main  St,\r\n\r\nApt\t2\n", raw_city=" Boston\u00a0")
    assert (row["street"], row["city"]) == ("1 Main St, Apt 2", "Boston")

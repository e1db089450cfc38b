from __future__ import annotations

import pytest

from crm_hygiene.standardise import standardise_countries

from .conftest import Raw


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("USA", "US"), ("U.S.A.", "US"), ("United States of America", "US"), ("840", "US"), ("UK", "GB"),
        ("England", "GB"),
        ("Deutschland", "DE"), ("Allemagne", "DE"), ("Alemania", "DE"), ("DEU", "DE"), ("de", "DE"),
        ("Österreich", "AT"),
        ("The Netherlands", "NL"), ("Holland", "NL"), ("Россия", "RU"), ("中国", "CN"), ("日本", "JP"),
        ("Türkiye", "TR"),
        ("Czech Republic", "CZ"), ("Korea, Republic of", "KR"), ("Côte d’Ivoire", "CI"), ("Niger", "NE"),
        ("Georgia", "GE"),
    ],
)  # fmt: skip
def test_names_and_codes(raw: Raw, written: str, code: str) -> None:
    row = standardise_countries(raw(written)).row(0, named=True)
    assert (row["country_code"], row["problem"]) == (code, None)


@pytest.mark.parametrize("written", ["Atlantis", "n/a", "EU", "ZZ"])
def test_refusals(raw: Raw, written: str) -> None:
    row = standardise_countries(raw(written)).row(0, named=True)
    assert row["country_code"] is None
    assert row["problem"] is not None

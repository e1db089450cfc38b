"""What holds for every standardiser: rows kept, order irrelevant, idempotent, never an exception, masked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

import polars as pl
import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_hygiene import standardise as s

Function = Callable[[pl.DataFrame], pl.DataFrame]

# name: (function, input columns, {input column: output column to feed back})
CASES: dict[str, tuple[Function, tuple[str, ...], dict[str, str]]] = {
    "names": (
        s.standardise_names,
        tuple(
            f"raw_{p}"
            for p in ("name_prefix", "given_name", "middle_name", "family_name", "name_suffix", "full_name")
        ),
        {
            f"raw_{p}": p
            for p in ("name_prefix", "given_name", "middle_name", "family_name", "name_suffix", "full_name")
        },
    ),
    "emails": (s.standardise_emails, ("raw",), {"raw": "email"}),
    "phones": (s.standardise_phones, ("raw", "country_code"), {"raw": "phone"}),
    "domains": (s.standardise_domains, ("raw",), {"raw": "website_domain"}),
    "countries": (s.standardise_countries, ("raw",), {"raw": "country_code"}),
    "addresses": (
        s.standardise_addresses,
        ("raw_street", "raw_city", "raw_region", "raw_postal_code", "country_code"),
        {
            "raw_street": "street",
            "raw_city": "city",
            "raw_region": "region",
            "raw_postal_code": "postal_code",
        },
    ),
    "organisations": (s.standardise_organisation_names, ("raw",), {"raw": "organisation_name"}),
    "tax_ids": (s.standardise_tax_ids, ("raw", "country_code"), {"raw": "tax_id"}),
    "ibans": (s.standardise_ibans, ("raw",), {"raw": "iban"}),
    "timestamps": (s.standardise_timestamps, ("raw",), {"raw": "timestamp"}),
    "dates": (s.standardise_dates, ("raw",), {"raw": "date"}),
    "money": (s.standardise_money, ("raw", "currency"), {"raw": "amount", "currency": "currency"}),
    "booleans": (s.standardise_booleans, ("raw",), {"raw": "value"}),
    "integers": (s.standardise_integers, ("raw",), {"raw": "value"}),
}

SEEDS = [
    "n/a", "", " ", "-", "John SMITH", "smith, john", "DR. VAN DER BERG III", "O'BRIEN", "josÃ©",
    "Jane <jane@acme.com>",
    "a.b+c@googlemail.com", "jürg@münchen.de", "+1 (212) 555-0123", "0049 30 123456",
    "020 7946 0958 ext 5", "030/123456",
    "https://www.acme.co.uk/x", "straße.de", "USA", "Österreich", "2134", "sw1a1aa",
    "Acme GmbH & Co. KG", "The Limited",
    "株式会社トヨタ", "DE136695976", "CHE-107.787.577 MWST", "DE89 3704 0044 0532 0130 00",
    "2024-05-01T10:20:30.5+02:00",
    "31.12.9999", "1714558830000", "1.234,56", "(12.00)", "1,234", "EUR 5", "£3", "yes", "1 200",
    "a\u00adb\u200b\x00c\x85", "ß",
]  # fmt: skip
ANY_TEXT = st.one_of(
    st.none(),
    st.sampled_from(SEEDS),
    st.text(max_size=25),
    st.text(alphabet="0123456789.,-+() '/:TZeE€£$@aAmM", max_size=25),
    st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3).map(" ".join),
)
COUNTRY = st.sampled_from(
    [None, "US", "DE", "GB", "FR", "CH", "NO", "CA", "NL", "AU", "IT", "AR", "GR", "ZZ", "de"]
)
CURRENCY = st.sampled_from([None, "EUR", "USD", "JPY", "KWD", "eur", "??", "XYZ"])
BUDGET = settings(
    max_examples=examples(25), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def rows_of(columns: tuple[str, ...]) -> st.SearchStrategy[list[dict[str, str | None]]]:
    special = {"country_code": COUNTRY, "currency": CURRENCY}
    return st.lists(st.fixed_dictionaries({c: special.get(c, ANY_TEXT) for c in columns}), max_size=6)


def frame_of(rows: list[dict[str, str | None]], columns: tuple[str, ...]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))


def as_text(value: object) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


@pytest.mark.parametrize("name", CASES)
def test_keeps_rows_ignores_order_and_is_idempotent(name: str) -> None:
    function, columns, feedback = CASES[name]

    @BUDGET
    @given(rows_of(columns))
    def check(rows: list[dict[str, str | None]]) -> None:
        frame = frame_of(rows, columns)
        result = function(frame)
        kept = [c for c in columns if c != "currency"]
        assert result.select(kept).equals(frame.select(kept))
        assert not any(c.startswith("_") for c in result.columns)

        assert function(frame.reverse()).reverse().equals(result)

        outputs = list(feedback.values())
        again_in = frame.with_columns(
            pl.Series(column, [as_text(v) for v in result[output]], dtype=pl.String)
            for column, output in feedback.items()
        )
        again = function(again_in)
        assert again.select(outputs).equals(result.select(outputs))

    check()


@pytest.mark.parametrize("name", CASES)
def test_takes_frames_that_are_empty_or_all_null(name: str) -> None:
    function, columns, feedback = CASES[name]
    assert function(frame_of([], columns)).height == 0
    nothing = pl.DataFrame({c: [None, None] for c in columns})
    result = function(nothing)
    assert result.select(set(feedback.values())).null_count().sum_horizontal()[0] == 2 * len(
        set(feedback.values())
    )
    if "problem" in result.columns:
        assert result["problem"].null_count() == 2


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("names", "addresses")])
def test_problem_shows_at_most_three_characters(name: str) -> None:
    function, columns, _ = CASES[name]
    secret = "qzjw-secret-5551234"
    row = {"raw": secret, "country_code": "US", "currency": "EUR"}
    problem = function(frame_of([{c: row[c] for c in columns}], columns))["problem"][0]
    if name == "organisations":
        assert problem is None
    else:
        assert "'qzj…'" in problem
        assert secret[:4] not in problem


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("names", "addresses")])
def test_text_that_yields_nothing_has_a_problem(name: str) -> None:
    function, columns, feedback = CASES[name]
    output = feedback["raw"]

    @BUDGET
    @given(rows_of(columns))
    def check(rows: list[dict[str, str | None]]) -> None:
        frame = frame_of(rows, columns)
        silent = function(frame).filter(
            pl.col(output).is_null()
            & pl.col("problem").is_null()
            & frame["raw"].str.contains(r"[A-Za-z0-9]").fill_null(False)
        )
        assert silent.is_empty()

    check()

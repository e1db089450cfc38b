from __future__ import annotations

import phonenumbers
import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneMetadata, PhoneNumberFormat

from crm_hygiene.standardise import phones, standardise_phones


def one(written: str | None, country: str | None) -> tuple[str | None, str | None, str | None]:
    frame = pl.DataFrame(
        {"raw": [written], "country_code": [country]}, schema={"raw": pl.String, "country_code": pl.String}
    )
    return standardise_phones(frame).select("phone", "phone_kind", "problem").row(0)


@pytest.mark.parametrize(
    ("written", "country", "phone", "kind"),
    [
        ("(212) 555-0123", "US", "+12125550123", "other"),
        ("212-555-0123 x45", "US", "+12125550123", "other"),
        ("0044 20 7946 0958", None, "+442079460958", "fixed"),
        ("0044 20 7946 0958", "US", "+442079460958", "fixed"),
        ("0171 2345678", "DE", "+491712345678", "mobile"),
        ("+49 (0)30 123456", None, "+4930123456", "fixed"),
        ("tel: 06 12 34 56 78", "FR", "+33612345678", "mobile"),
        ("06 12345678", "IT", "+390612345678", "fixed"),
        ("+800 1234 5678", None, "+80012345678", "other"),
        ("030/123456 Durchwahl 12", "de", "+4930123456", "fixed"),
    ],
)
@pytest.mark.parametrize("threshold", [0, 400])
def test_numbers(
    monkeypatch: pytest.MonkeyPatch, threshold: int, written: str, country: str | None, phone: str, kind: str
) -> None:
    monkeypatch.setattr(phones, "COLUMN_THRESHOLD", threshold)
    assert one(written, country) == (phone, kind, None)


@pytest.mark.parametrize(
    ("written", "country", "problem"),
    [
        ("+1 555", "US", "phone '+1 …' is not a number of US"),
        ("5551234", None, "phone '555…' has neither an international prefix nor a country"),
        ("+49 1", None, "phone '+49…' is not a valid number"),
        ("n/a", "DE", "phone 'n/a…' is a placeholder"),
    ],
)
def test_refusals(written: str, country: str | None, problem: str) -> None:
    assert one(written, country) == (None, None, problem)


@pytest.mark.parametrize("threshold", [0, 400])
@pytest.mark.parametrize(
    ("written", "country"), [("0409 1511 6436105", "DE"), ("+49 40 915 116 436 105", None)]
)
def test_a_number_is_no_longer_than_e164_allows(
    monkeypatch: pytest.MonkeyPatch, threshold: int, written: str, country: str | None
) -> None:
    monkeypatch.setattr(phones, "COLUMN_THRESHOLD", threshold)
    assert phonenumbers.is_valid_number(phonenumbers.parse(written, country))
    assert one(written, country) == (
        None,
        None,
        f"phone '{written[:3]}…' has more than the 15 digits of E.164",
    )
    assert one(written[:-1].rstrip(), country)[0] == "+494091511643610"


def example_numbers() -> list[tuple[str, str]]:
    """(national or international writing, region) of every example number of every plan."""
    found = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        metadata = PhoneMetadata.metadata_for_region(region)
        for kind in (
            "fixed_line",
            "mobile",
            "toll_free",
            "premium_rate",
            "voip",
            "uan",
            "pager",
            "personal_number",
        ):
            example = getattr(metadata, kind)
            if example is None or not example.example_number:
                continue
            number = phonenumbers.PhoneNumber(country_code=metadata.country_code)
            number = phonenumbers.parse(f"+{metadata.country_code}{example.example_number}")
            for style in (
                PhoneNumberFormat.NATIONAL,
                PhoneNumberFormat.INTERNATIONAL,
                PhoneNumberFormat.E164,
            ):
                found.append((phonenumbers.format_number(number, style), region))
            found.append((f"00{metadata.country_code}{example.example_number}", region))
            found.append((example.example_number, region))
    return found


def both_ways(monkeypatch: pytest.MonkeyPatch, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    with monkeypatch.context() as patch:
        patch.setattr(phones, "COLUMN_THRESHOLD", 0)
        by_columns = standardise_phones(frame)
        patch.setattr(phones, "COLUMN_THRESHOLD", 10**9)
        one_by_one = standardise_phones(frame)
    return by_columns, one_by_one


def test_whole_columns_say_what_phonenumbers_says_on_all_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    written = example_numbers()
    frame = pl.DataFrame(written, schema=["raw", "country_code"], orient="row").unique(maintain_order=True)
    by_columns, one_by_one = both_ways(monkeypatch, frame)
    assert by_columns.filter(by_columns["phone"].ne_missing(one_by_one["phone"])).is_empty()
    assert by_columns.equals(one_by_one)
    assert by_columns["phone"].is_not_null().mean() > 0.95


def test_whole_columns_say_what_phonenumbers_says_on_random_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    regions = st.sampled_from(
        [
            "US",
            "CA",
            "DE",
            "GB",
            "JE",
            "FR",
            "IT",
            "RU",
            "KZ",
            "AU",
            "AR",
            "BR",
            "MX",
            "JP",
            "IN",
            "HU",
            "NO",
            None,
        ]
    )
    number = st.from_regex(r"(\+|00|0|1|8)?[0-9]{1,3}[ ]?[0-9]{4,10}", fullmatch=True)

    @settings(max_examples=examples(15), deadline=None)
    @given(st.lists(st.tuples(number, regions), min_size=30, max_size=60))
    def check(rows: list[tuple[str, str | None]]) -> None:
        frame = pl.DataFrame(rows, schema={"raw": pl.String, "country_code": pl.String}, orient="row")
        by_columns, one_by_one = both_ways(monkeypatch, frame)
        assert by_columns.equals(one_by_one)

    check()

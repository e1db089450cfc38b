from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.standardise import dates, standardise_dates, standardise_timestamps

from .conftest import Raw


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2024-05-01T10:20:30.000Z", datetime(2024, 5, 1, 10, 20, 30)),
        ("2024-05-01T10:20:30+02:00", datetime(2024, 5, 1, 8, 20, 30)),
        ("2024-05-01T10:20:30.000+0000", datetime(2024, 5, 1, 10, 20, 30)),
        ("2024-05-01 10:20", datetime(2024, 5, 1, 10, 20)),
        ("2024-05-01 10:20:30.123456789", datetime(2024, 5, 1, 10, 20, 30, 123456)),
        ("2024-05-01", datetime(2024, 5, 1)),
        ("20240501", datetime(2024, 5, 1)),
        ("20240501T102030Z", datetime(2024, 5, 1, 10, 20, 30)),
        ("05/04/2024", datetime(2024, 5, 4)),
        ("5/4/2024 1:05 PM", datetime(2024, 5, 4, 13, 5)),
        ("5/4/2024 12:00 am", datetime(2024, 5, 4)),
        ("31.12.2024 23:59", datetime(2024, 12, 31, 23, 59)),
        ("1714558830000", datetime(2024, 5, 1, 10, 20, 30)),
        ("1714558830", datetime(2024, 5, 1, 10, 20, 30)),
        ("9999-12-31", datetime(9999, 12, 31)),
    ],
)
def test_timestamps(raw: Raw, written: str, expected: datetime) -> None:
    row = standardise_timestamps(raw(written)).row(0, named=True)
    assert (row["timestamp"], row["problem"]) == (expected.replace(tzinfo=UTC), None)


def test_day_first(raw: Raw) -> None:
    assert standardise_dates(raw("05/04/2024"), day_first=True)["date"][0] == date(2024, 4, 5)
    assert standardise_dates(raw("05/04/2024"))["date"][0] == date(2024, 5, 4)
    assert standardise_dates(raw("13/04/2024"))["date"][0] is None


def test_a_date_is_the_one_written(raw: Raw) -> None:
    assert standardise_dates(raw("2024-05-01T00:00:00+02:00"))["date"][0] == date(2024, 5, 1)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("30.02.2024", "does not exist in the calendar or on the clock"),
        ("2023-02-29", "does not exist in the calendar or on the clock"),
        ("2024-05-01 25:00", "does not exist in the calendar or on the clock"),
        ("0000-01-01", "does not exist in the calendar or on the clock"),
        ("9999-12-31T23:00:00-05:00", "does not exist in the calendar or on the clock"),
        ("May 1", "is in no known notation of dates"),
        ("01/02/24", "is in no known notation of dates"),
        ("n/a", "is a placeholder"),
    ],
)
def test_refusals(raw: Raw, written: str, reason: str) -> None:
    for result, column in (
        (standardise_timestamps(raw(written)), "timestamp"),
        (standardise_dates(raw(written), day_first=True), "date"),
    ):
        assert result[column][0] is None
        assert result["problem"][0].endswith(reason)


@settings(max_examples=examples(100), deadline=None)
@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)),
    st.integers(-18 * 60, 18 * 60).map(lambda m: timezone(timedelta(minutes=m))),
)
def test_iso_round_trip(raw: Raw, moment: datetime, zone: timezone) -> None:
    aware = moment.replace(tzinfo=zone)
    result = standardise_timestamps(raw(aware.isoformat(), moment.isoformat(" ")))["timestamp"].to_list()
    assert result == [aware.astimezone(UTC), moment.replace(tzinfo=UTC)]


NEARLY_ISO = st.builds(
    lambda text, place, put: text[:place] + put + text[place + 1 :],
    st.sampled_from(
        [
            "2024-01-02",
            "2024-02-30",
            "0000-01-01",
            "9999-12-31T23:59:59Z",
            "2024-01-02 10:11",
            "2024-01-02T10:11:12.250Z",
            "2024-01-02T10:11:12.250999+02:00",
            "2024-12-31 11:59 PM",
        ]
    ),
    st.integers(0, 26),
    st.sampled_from(["", *"0123456789-:T Z./+", "  "]),
)


@settings(max_examples=examples(300), deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.none(), NEARLY_ISO), max_size=8), st.booleans())
def test_cutting_at_fixed_places_reads_what_the_notations_read(
    texts: list[str | None], day_first: bool
) -> None:
    frame = pl.DataFrame({"raw": texts}, schema={"raw": pl.String})
    columns = ["raw", "_text", "_day", "_at"]
    slowly = dates._by_notation(frame, day_first).select(columns)
    assert dates._read(frame, day_first).select(columns).equals(slowly)

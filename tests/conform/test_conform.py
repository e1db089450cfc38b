"""Conforming: one row per record, the newest that is good, whatever the order of arrival."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.config import Config
from crm_hygiene.conform import REFUSED_COLUMNS, conform_table
from crm_hygiene.contract import contract_of
from crm_hygiene.landing import land_source
from crm_hygiene.night import Night
from crm_hygiene.salesforce_ids import expand_ids

HEADER = "leadid,fullname,emailaddress1,donotemail,createdon,modifiedon\n"
SOURCE = "dynamics_leads"


@pytest.fixture
def night(tmp_path: Path) -> Night:
    night = Night.open(Config(base=tmp_path))
    night.started_at = datetime(2026, 1, 1, tzinfo=UTC)
    (tmp_path / "landing/dynamics").mkdir(parents=True)
    return night


def _land(night: Night, name: str, *rows: str, day: int = 1) -> None:
    path = night.config.landing_folder / "dynamics" / name
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    night.started_at = datetime(2026, 1, day, tzinfo=UTC)
    assert land_source(night, night.mappings[SOURCE], [path]).landed


def _people(night: Night) -> dict[str, str]:
    frame = conform_table(night, "people")
    assert not frame.select("source", "record_id").is_duplicated().any()
    return dict(frame.select("record_id", "full_name").iter_rows())


def test_source_time_decides_before_landing_time(night: Night) -> None:
    _land(night, "leads_1.csv", "a,New Name,,false,2020-01-01T00:00:00Z,2024-02-01T00:00:00Z")
    _land(night, "leads_2.csv", "a,Old Name,,false,2020-01-01T00:00:00Z,2024-01-01T00:00:00Z", day=2)
    assert _people(night) == {"a": "New Name"}


def test_later_landing_decides_equal_times(night: Night) -> None:
    _land(night, "leads_1.csv", "a,First Name,,false,,")
    _land(night, "leads_2.csv", "a,Second Name,,false,,", day=2)
    assert _people(night) == {"a": "Second Name"}


def test_blanks_around_an_id_are_no_other_record(night: Night) -> None:
    _land(
        night,
        "leads_1.csv",
        " a ,First Name,,false,,",
        "a,Second Name,,false,,",
        "\u00a0a,Third Name,,false,,",
    )
    assert _people(night) == {"a": "Third Name"}


def test_rows_without_an_id_all_stay_for_the_gate(night: Night) -> None:
    _land(night, "leads_1.csv", ",One Name,,false,,", " ,Two Name,,false,,")
    assert conform_table(night, "people").height == 2


@pytest.mark.parametrize("second_file", ["leads_2.csv", "leads_1.csv"], ids=["new file", "overwritten file"])
def test_refused_row_falls_back_to_the_next_best(night: Night, second_file: str) -> None:
    _land(night, "leads_1.csv", "a,Good Name,,false,,2024-01-01T00:00:00Z", "b,Other Name,,false,,")
    _land(night, second_file, "a,Bad Name,,false,,9999-01-01T00:00:00Z", day=2)
    newest = conform_table(night, "people").filter(pl.col("record_id") == "a")
    assert newest["full_name"].to_list() == ["Bad Name"]
    refused = newest.select(REFUSED_COLUMNS)
    again = conform_table(night, "people", refused)
    assert again.select("record_id", "full_name").rows() == [("a", "Good Name")]


def test_observed_time_is_never_after_the_landing(night: Night) -> None:
    _land(night, "leads_1.csv", "a,Some Name,,false,,2090-01-01T00:00:00Z")
    row = conform_table(night, "people").row(0, named=True)
    assert row["observed_at"] == row["landed_at"]


def test_one_row_can_feed_two_tables(night: Night) -> None:
    _land(night, "leads_1.csv", "a,Some Name,a@example.com,true,,", "b,Other Name,b@example.com,false,,")
    assert set(_people(night)) == {"a", "b"}
    consents = conform_table(night, "consents")
    assert consents.select("person_record_id", "consent_state").rows() == [("a", "opt_out")]


def test_nothing_landed_is_the_empty_table(night: Night) -> None:
    for table in ("people", "organisations", "payments"):
        assert conform_table(night, table).equals(contract_of(f"conformed.{table}").empty())


def test_content_hash_speaks_of_content_only(night: Night) -> None:
    _land(night, "leads_1.csv", "a,Some Name,,false,,")
    before = conform_table(night, "people")["content_hash"].to_list()
    _land(night, "leads_2.csv", "b,Other Name,,false,,", "a,Some Name,,false,,", day=2)
    after = conform_table(night, "people").filter(pl.col("record_id") == "a")
    assert after["content_hash"].to_list() == before
    assert after["row_number"].to_list() == [2]


def test_salesforce_ids_by_the_published_example() -> None:
    # The example of Salesforce's own help page and one with capitals in every block.
    ids = pl.DataFrame({"id": ["001A0000006Vm9u", "001A0000006Vm9uIAC", "001A0000006Vm9u:email", "x", None]})
    found = ids.select(expand_ids(pl.col("id")))["id"].to_list()
    assert found == ["001A0000006Vm9uIAC", "001A0000006Vm9uIAC", "001A0000006Vm9uIAC:email", "x", None]


@given(st.lists(st.text("abAB01", min_size=15, max_size=15), min_size=2, max_size=8, unique=True))
def test_expanded_ids_differ_even_without_case(ids: list[str]) -> None:
    expanded = pl.DataFrame({"id": ids}).select(expand_ids(pl.col("id")))["id"]
    assert expanded.str.to_lowercase().n_unique() == len(ids)
    assert expanded.str.len_chars().unique().to_list() == [18]
    assert pl.DataFrame({"id": expanded}).select(expand_ids(pl.col("id")))["id"].equals(expanded)

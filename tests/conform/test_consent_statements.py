"""Conformed consents: what somebody said stays said, whatever lands later and in which order."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from crm_hygiene.config import Config, SourcesConfig
from crm_hygiene.conform import REFUSED_COLUMNS, conform_table
from crm_hygiene.landing import land_source
from crm_hygiene.night import Night

MAPPING = """
source: preference_centre
system: preferences
object: Preference
files: ["preferences*.csv"]
delivery: snapshot
tables:
  consents:
    record_id: id
    email: email
    channel: channel
    purpose: purpose
    consent_state: {column: said, values: {"no": opt_out, "yes": opt_in}}
    evidence_kind: method
    stated_at: at
"""
HEADER = "id,email,channel,purpose,said,method,at\n"
NO = "1,ann@acme.com,email,marketing,no,,2024-01-01T00:00:00Z\n"
YES = "1,ann@acme.com,email,marketing,yes,double opt-in,2024-02-01T00:00:00Z\n"
OTHER = "2,bob@acme.com,fax,,no,,\n"


@pytest.fixture
def night(tmp_path: Path) -> Night:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/preference_centre.yaml").write_text(MAPPING, encoding="utf-8")
    (tmp_path / "landing").mkdir()
    return Night.open(Config(base=tmp_path, sources=SourcesConfig(folders=(Path("sources"),))))


def land(night: Night, *deliveries: str) -> None:
    for day, text in enumerate(deliveries, start=1):
        path = night.config.landing_folder / f"preferences_{day}.csv"
        path.write_text(HEADER + text, encoding="utf-8")
        night.started_at = datetime(2026, 1, day, tzinfo=UTC)
        assert land_source(night, night.mappings["preference_centre"], [path]).landed


def test_a_later_yes_or_silence_of_a_snapshot_replaces_no_statement(night: Night) -> None:
    land(night, NO + OTHER, YES)
    said = conform_table(night, "consents").sort("record_id", "stated_at")
    assert said.select("record_id", "consent_state").rows() == [
        ("1", "opt_out"),
        ("1", "opt_in"),
        ("2", "opt_out"),
    ]
    assert said["evidence_kind"].to_list() == [None, "double opt-in", None]
    assert said["channel"].to_list() == ["email", "email", "fax"]


def test_a_statement_that_lands_again_is_the_same_as_it_landed_first(night: Night) -> None:
    land(night, OTHER, NO, NO + OTHER)
    said = conform_table(night, "consents").sort("record_id")
    assert said.select("record_id", "file").rows() == [("1", "preferences_2.csv"), ("2", "preferences_1.csv")]


@pytest.mark.parametrize("order", list(permutations([NO, YES, OTHER])))
def test_the_order_of_landing_changes_no_statement(night: Night, order: tuple[str, ...]) -> None:
    land(night, *order)
    said = conform_table(night, "consents").sort("record_id", "stated_at")
    once = said.select("record_id", "email", "channel", "consent_state", "stated_at", "content_hash")
    assert once.height == 3
    assert once["content_hash"].n_unique() == 3
    assert set(once.select("record_id", "consent_state").iter_rows()) == {
        ("1", "opt_out"),
        ("1", "opt_in"),
        ("2", "opt_out"),
    }


def test_no_other_statement_stands_in_for_a_refused_one(night: Night) -> None:
    land(night, NO + YES)
    said = conform_table(night, "consents")
    refused = said.filter(said["consent_state"] == "opt_out").select(REFUSED_COLUMNS)
    again = conform_table(night, "consents", refused)
    assert_frame_equal(again, said.clear())

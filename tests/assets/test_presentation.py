"""What a steward sees of a table."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from assets.presentation import (
    check_description,
    check_metadata,
    lineage_metadata,
    preview,
    same_names,
    schema_metadata,
    table_metadata,
)
from crm_hygiene.contract import Check, contract_of
from crm_hygiene.lake import Lake

LEADS = contract_of("golden.leads")


def leads(*rows: dict[str, object]) -> pl.DataFrame:
    common = {"source": "forms", "person_entity_id": "P-1", "is_converted": False}
    seen = datetime(2026, 1, 1, tzinfo=UTC)
    return LEADS.shape(pl.DataFrame([{**common, "created_at": seen, **row} for row in rows]))


def test_changes_are_told_from_the_last_version(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    first = leads({"record_id": "1"}, {"record_id": "2"})
    publication = lake.publish(LEADS, first, {"run_id": "a", "inputs": "1"})
    found = table_metadata(lake, LEADS, publication)
    assert found["dagster/row_count"] == 2
    assert (found["rows added"], found["rows removed"], found["rows altered"]) == (2, 0, 0)
    second = leads(
        {"record_id": "2", "lead_status": "won"}, {"record_id": "3"}, {"record_id": "4", "lead_status": None}
    )
    publication = lake.publish(LEADS, second, {"run_id": "b", "inputs": "2"})
    found = table_metadata(lake, LEADS, publication)
    assert (found["rows added"], found["rows removed"], found["rows altered"]) == (2, 1, 1)
    publication = lake.publish(LEADS, second, {"run_id": "c", "inputs": "3"})
    found = table_metadata(lake, LEADS, publication)
    assert (found["rows added"], found["rows removed"], found["rows altered"]) == (0, 0, 0)
    assert table_metadata(lake, LEADS, None)["rows altered"] == 0


def test_personal_data_is_masked_in_previews() -> None:
    contract = contract_of("golden.contacts")
    row = {
        "entity_id": "P-1",
        "given_name": "Ada",
        "email": "ada@example.com",
        "emails": ["ada@example.com", "a@example.org"],
    }
    shown = preview(contract, contract.shape(pl.DataFrame([row])))
    assert "P-1" in shown
    assert "A…" in shown
    assert "(2)" in shown
    assert "example" not in shown
    assert "Ada" not in shown


def test_a_preview_fits_the_page_and_breaks_no_table() -> None:
    many = [{"record_id": f"{n}|{'x' * 60}\n", "lead_source": "web\nform"} for n in range(50)]
    lines = preview(LEADS, leads(*many)).split("\n")
    assert 5 <= len(lines) <= 10
    assert len({line.count("|") for line in lines}) == 1


def test_an_empty_table_has_a_preview() -> None:
    assert len(preview(LEADS, LEADS.empty()).split("\n")) == 2


def test_keys_and_vocabularies_show_in_the_schema() -> None:
    columns = {c.name: c for c in schema_metadata(LEADS)["dagster/column_schema"].columns}
    assert not columns["record_id"].constraints.nullable
    assert not columns["record_id"].constraints.unique  # only with its source
    assert columns["person_kind"].constraints.other
    assert columns["lead_source"].constraints.nullable


def test_lineage_groups_columns_by_table() -> None:
    contract = contract_of("golden.contacts")
    given = same_names(contract, ("conformed.people",)) | {
        "phones": (("conformed.people", "phone"), ("conformed.people", "mobile_phone"))
    }
    told = lineage_metadata(contract, given)["column lineage"].value
    assert "| `phones` | conformed.people: phone, mobile\\_phone |" in told
    assert lineage_metadata(contract, {}) == {}


@pytest.mark.parametrize(
    ("severity", "follows"), [("critical", "not published"), ("warning", "quarantine"), ("info", "noted")]
)
def test_a_check_says_what_follows(severity: str, follows: str) -> None:
    arguments = {"column": "amount", "min_value": 0}
    check = Check.model_validate(
        {
            "expectation": "expect_column_values_to_be_between",
            "arguments": arguments,
            "severity": severity,
        }
    )
    told = check_description(check)
    assert told.startswith("Column values must be between (column: amount, min value: 0).")
    assert follows in told


def test_failing_examples_are_shown() -> None:
    found = check_metadata({"observed": "1 of 2 rows", "row_count": 2, "failed_count": 1, "examples": ["x"]})
    assert found["failed"] == 1
    assert found["failing examples"].value == "- x"
    assert "failing examples" not in check_metadata(
        {"observed": None, "row_count": 2, "failed_count": 0, "examples": []}
    )

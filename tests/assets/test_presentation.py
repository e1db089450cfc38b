"""What a steward sees of a table."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from assets.presentation import (
    lineage_metadata,
    preview,
    same_names,
    schema_metadata,
    table_description,
    where_to_look,
)
from crm_hygiene.config import Config
from crm_hygiene.contract import contract_of
from crm_hygiene.night import Night

LEADS = contract_of("golden.leads")


def leads(*rows: dict[str, object]) -> pl.DataFrame:
    common = {"source": "forms", "person_entity_id": "P-1", "is_converted": False}
    seen = datetime(2026, 1, 1, tzinfo=UTC)
    return LEADS.shape(pl.DataFrame([{**common, "created_at": seen, **row} for row in rows]))


def test_personal_data_is_masked_in_previews() -> None:
    contract = contract_of("golden.contacts").model_copy(update={"preview": ()})
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
    many: list[dict[str, object]] = [
        {"record_id": f"{n}|{'x' * 60}\n", "lead_source": "web\nform"} for n in range(50)
    ]
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


def test_a_description_says_what_it_is_who_answers_and_where_to_look() -> None:
    told = table_description(contract_of("golden.contacts"))
    assert told.startswith(contract_of("golden.contacts").meaning)
    assert "Owner: data-steward." in told
    assert "`account_entity_id` is `golden.accounts.entity_id`" in told
    assert "crm-hygiene explain <entity_id>" in told


def test_the_columns_a_contract_names_are_previewed() -> None:
    contract = contract_of("golden.contacts")
    head = preview(contract, contract.empty()).split("\n")[0]
    assert head == f"| {' | '.join([*contract.key, *contract.preview])} |"


def test_what_a_column_joins_is_said() -> None:
    columns = {c.name: c for c in schema_metadata(LEADS)["dagster/column_schema"].columns}
    assert "Joins golden.contacts.entity_id." in (columns["person_entity_id"].description or "")


@pytest.mark.parametrize(
    ("table", "kind"), [("golden.accounts", "organisation"), ("linked.person_members", "person")]
)
def test_pages_to_look_at(tmp_path: Path, table: str, kind: str) -> None:
    night = Night.open(Config(base=tmp_path), "run")
    found = {name: value.value for name, value in where_to_look(night, contract_of(table)).items()}
    assert found["night report"] == str(tmp_path / "lake/report/index.html")
    assert found["linkage charts"] == str(tmp_path / f"lake/charts/{kind}/index.html")
    assert "linkage charts" not in where_to_look(night, contract_of("reconciled.invoices"))

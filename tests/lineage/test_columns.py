"""Column lineage: complete from the export's column on, through the mappings, by the most direct way."""

from __future__ import annotations

import polars as pl
import pytest

from assets.job import build_defs
from assets.lineage import declared_lineage
from crm_hygiene.config import Config
from crm_hygiene.contract import load_contracts
from crm_hygiene.expression import parse_expression
from crm_hygiene.landing import landing_contract
from crm_hygiene.lineage.columns import ColumnGraph, conformed_lineage, in_words
from crm_hygiene.night import mappings_of
from crm_hygiene.survivorship.rules import survivorship_columns

MAPPINGS = mappings_of(Config())


@pytest.fixture(scope="module")
def lineage() -> pl.DataFrame:
    specs = list(build_defs(Config()).resolve_all_asset_specs())
    return ColumnGraph(MAPPINGS, declared_lineage(specs)).frame()


def of(lineage: pl.DataFrame, source: str, table: str, column: str) -> list[tuple[str, str]]:
    rows = lineage.filter(source=source, table_name=table, column_name=column).sort("position")
    return rows.select("source_column", "transformation").rows()


def test_names_on_both_ends_exist(lineage: pl.DataFrame) -> None:
    columns = {t: set(c.column_names) for t, c in load_contracts().items()}
    landed = {source: set(landing_contract(m).column_names) for source, m in MAPPINGS.items()}
    for source, landing, table, column in lineage.select(
        "source", "landing_column", "table_name", "column_name"
    ).iter_rows():
        assert landing in landed[source]
        assert column in columns[table]


def test_every_surviving_column_that_some_source_states_is_traced_to_it(lineage: pl.DataFrame) -> None:
    for table, conformed in (("contacts", "people"), ("accounts", "organisations")):
        mapped = {
            column
            for mapping in MAPPINGS.values()
            for block in mapping.tables.get(conformed, ())
            for column, expression in block.columns.items()
            if expression.columns
        }
        for column in set(survivorship_columns(table)) & mapped:
            found = lineage.filter(table_name=f"golden.{table}", column_name=column)
            assert found.height, (table, column)
            assert f"conformed.{conformed}.{column}" in found["through"].to_list()


def test_the_way_of_a_value_is_told(lineage: pl.DataFrame) -> None:
    assert of(lineage, "salesforce_contacts", "golden.contacts", "email") == [("Email", "transformation")]
    assert of(lineage, "salesforce_contacts", "golden.contacts", "owner_id") == [("OwnerId", "identity")]
    assert ("Email", "aggregation") in of(lineage, "salesforce_contacts", "golden.contacts", "emails")
    assert ("AccountId", "join") in of(lineage, "salesforce_contacts", "golden.contacts", "account_entity_id")
    # The country only decides how a national number is read.
    assert of(lineage, "dynamics_leads", "golden.contacts", "phone") == [
        ("telephone1", "transformation"),
        ("address1_country", "conditional"),
    ]


def test_an_opt_out_is_traced_to_the_flag_of_its_own_channel(lineage: pl.DataFrame) -> None:
    email = of(lineage, "dynamics_contacts", "golden.contacts", "email_consent")
    phone = of(lineage, "dynamics_contacts", "golden.contacts", "phone_consent")
    assert ("donotemail", "conditional") in email
    assert "donotphone" not in dict(email)
    assert ("donotphone", "conditional") in phone
    assert "donotemail" not in dict(phone)


def test_parts_of_a_name_are_beside_the_columns_own(lineage: pl.DataFrame) -> None:
    rows = lineage.filter(source="dynamics_leads", table_name="golden.contacts", column_name="full_name")
    own = rows.filter(~pl.col("is_beside"))
    assert own["source_column"].to_list() == ["fullname"]
    assert set(rows.filter("is_beside")["source_column"]) == {"firstname", "lastname"}


def test_positions_count_from_one_without_gaps(lineage: pl.DataFrame) -> None:
    places = lineage.group_by("source", "table_name", "column_name").agg(
        pl.col("position").sort(), expected=pl.int_range(1, pl.len() + 1)
    )
    assert places.filter(pl.col("position") != pl.col("expected")).is_empty()


def test_conformed_lineage_is_that_of_the_table(lineage: pl.DataFrame) -> None:
    found = conformed_lineage("people", MAPPINGS)
    assert ("landing.salesforce_leads", "Email") in found["email_normalised"]
    assert ("landing.salesforce_leads", "_file") in found["file"]


def test_a_column_that_leads_back_to_itself_ends() -> None:
    declared = {"golden.leads": {"owner_id": (("golden.leads", "owner_id"),)}}
    assert ColumnGraph(MAPPINGS, declared).origins("golden.leads", "owner_id") == []


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Email", "taken from Email"),
        (["Email", "Email2"], "first filled of Email, Email2"),
        ({"constant": "contact"}, "always contact"),
        ({"join": ["A", "B"]}, "A, B joined"),
        ({"template": "{Id}:email"}, "template {Id}:email"),
        ({"hash": ["A"]}, "hash of A"),
        ({"column": "A", "pattern": "(x)"}, "part of A"),
        ({"column": "A", "values": {"y": "z"}}, "A translated word by word"),
        (["Id", {"hash": ["A"]}], "first of: taken from Id; hash of A"),
    ],
)
def test_expressions_in_words(written: object, said: str) -> None:
    assert in_words(parse_expression(written)) == said

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError, FileRefused
from crm_hygiene.expression import parse_expression
from crm_hygiene.mapping import Condition
from crm_hygiene.mapping_file import (
    BUILT_IN_SOURCES,
    DERIVED,
    load_mapping,
    load_mappings,
    mapped_columns,
    mapped_tables,
    needed_columns,
)

GOOD = """
source: shop
system: shop
object: Customer
files: ["shop/*customer*", "!*history*"]
strip_prefixes: [property_]
ignore: [Fax, "x_*"]
tables:
  people: {record_id: Id, person_kind: {constant: lead}, given_name: FirstName, tax_id: VAT_Number__c}
  consents:
    - {when: {column: OptOut, in: [true]}, record_id: {template: "{Id}:email"}, consent_state: State}
    - {when: {column: NoCall, in: [true]}, record_id: {template: "{Id}:phone"}, consent_state: State}
"""


def write(folder: Path, text: str, name: str = "shop.yaml") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_mapping_tells_its_columns_and_requirements(tmp_path: Path) -> None:
    mapping = load_mapping(write(tmp_path, GOOD))
    assert mapping.vendor_columns == ["Id", "FirstName", "VAT_Number__c", "OptOut", "State", "NoCall"]
    assert mapping.required_groups == (("Id",),)
    assert [b.table for b in mapping.blocks] == ["people", "consents", "consents"]
    assert mapping.claims("Shop/2026/CUSTOMER.csv")
    assert not mapping.claims("shop/customer_history.csv")


@pytest.mark.parametrize(
    "header", ["FirstName", "FIRSTNAME", "first_name", "First Name", "property_firstname"]
)
def test_headers_match_in_any_layout(tmp_path: Path, header: str) -> None:
    match = load_mapping(write(tmp_path, GOOD)).match_header(
        ["ID", header, "vat number c", "fax", "X_9", "Odd"]
    )
    assert match.columns == {"Id": "ID", "FirstName": header, "VAT_Number__c": "vat number c"}
    assert match.unknown == ["Odd"]
    assert match.missing_required == []


def test_two_headers_for_one_column_are_refused_unless_one_is_exact(tmp_path: Path) -> None:
    mapping = load_mapping(write(tmp_path, GOOD))
    with pytest.raises(FileRefused, match="'first_name' and 'FIRSTNAME'"):
        mapping.match_header(["Id", "first_name", "FIRSTNAME"])
    assert mapping.match_header(["Id", "first_name", "FirstName"]).columns["FirstName"] == "FirstName"
    assert mapping.match_header(["first_name"]).missing_required == ["Id"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("object:", "objekt:", ":4: objekt: unknown key 'objekt'; did you mean 'object'?"),
        ("people:", "poeple:", "did you mean 'people'?"),
        ("given_name:", "givenname:", "did you mean 'given_name'?"),
        ("template:", "templat:", "did you mean 'template'?"),
        ("record_id: Id, ", "", "record_id is missing"),
        (
            'in: [true]}, record_id: {template: "{Id}:email"}',
            "inn: [x]}, record_id: Id",
            "did you mean 'in'?",
        ),
        ("given_name: FirstName", "given_name: ID", "match the same headers"),
        ("given_name:", "landed_at:", "fills this column itself"),
        ("ignore:", "encoding: utf8x\nignore:", "no encoding is called 'utf8x'"),
        ("ignore:", "writeback: {target: t, object: o, colums: {}}\nignore:", "did you mean 'columns'?"),
        (
            "ignore:",
            "writeback: {target: t, object: o, columns: {emial: Id}}\nignore:",
            "did you mean 'email'?",
        ),
        (
            "ignore:",
            "writeback: {target: t, object: o, columns: {email: Idd}}\nignore:",
            "did you mean 'Id'?",
        ),
        ("given_name:", "email_normalised:", "standardising makes this column; map 'email' instead"),
        ("given_name:", "updated_at:", "`crm-hygiene columns people` lists all"),
        ("given_name: FirstName", "given_name: {colum: x}", "did you mean 'column'?"),
        ("{constant: lead}", "{constant: prospect}", "'prospect' is none of lead, contact, subscriber"),
        (
            "{constant: lead}",
            "[{column: Kind, values: {a: lead, b: leads}}, {constant: lead}]",
            "'leads' is none of lead, contact, subscriber",
        ),
        ("person_kind: {constant: lead}, ", "", "person_kind is missing; one of lead, contact, subscriber"),
        ("object: Customer", "object: a\nobject: b", ":5: 'object' is written twice, first on line 4"),
        ("system: shop", "system: Shop", ":3: system: String should match"),
        ("tables:", "tabels:", "did you mean 'tables'?"),
        ("source: shop", "source: [", "not readable as YAML"),
    ],
)
def test_mistakes_name_the_file_and_the_nearest_right_word(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        load_mapping(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_all_mistakes_of_all_files_are_told_at_once_each_on_its_line(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("given_name", "givenname").replace("Fax", "Fax]\nobjekt: [x"), "one.yaml")
    write(tmp_path, GOOD.replace("consents", "consent").replace("source: shop", "source: Shop"), "two.yaml")
    with pytest.raises(ConfigurationError) as caught:
        load_mappings([tmp_path])
    lines = [line.removeprefix(f"{tmp_path}/").split(": ")[:2] for line in str(caught.value).splitlines()]
    assert lines == [
        ["one.yaml:8", "objekt"],
        ["one.yaml:10", "tables.people.givenname"],
        ["two.yaml:10", "tables.consent"],
        ["two.yaml:2", "source"],
    ]


def test_every_column_is_filled_by_mappings_made_of_others_or_given_by_the_pipeline() -> None:
    for table in mapped_tables():
        names = {column.name for column in mapped_columns(table)}
        assert set(needed_columns(table)) <= names
        for name in contract_of(f"conformed.{table}").column_names:
            assert name in names or not names.isdisjoint(DERIVED.get(name, names))


def test_names_are_unique_unless_overridden(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    write(ours, GOOD)
    write(theirs, GOOD.replace("Customer", "Client"))
    with pytest.raises(ConfigurationError, match="override: true"):
        load_mappings([ours, theirs])
    write(theirs, GOOD.replace("Customer", "Client") + "override: true\n")
    assert load_mappings([ours, theirs])["shop"].object == "Client"
    write(ours, GOOD, "again.yaml")
    with pytest.raises(ConfigurationError, match="already named by"):
        load_mappings([ours])


def test_the_fingerprint_is_of_the_meaning(tmp_path: Path) -> None:
    one = load_mapping(write(tmp_path, GOOD)).fingerprint
    assert load_mapping(write(tmp_path, "# note\n" + GOOD + "taught: learned\n")).fingerprint == one
    assert load_mapping(write(tmp_path, GOOD.replace("FirstName", "Name"))).fingerprint != one


FRAME = pl.DataFrame(
    {"a": ["1", None, "TRUE", None], "b": ["2", "3", None, None], "c": ["12:34;5:6", "x", None, ""]},
    schema=dict.fromkeys("abc", pl.String),
)


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ("a", ["1", None, "TRUE", None]),
        (["a", "b"], ["1", "3", "TRUE", None]),
        ({"constant": True}, ["true"] * 4),
        ({"column": "a", "values": {True: "yes"}}, [None, None, "yes", None]),
        (
            {"column": ["a", "b"], "values": {"1": "one"}, "default": "other"},
            ["one", "other", "other", "other"],
        ),
        ({"join": ["a", "b"], "separator": "-"}, ["1-2", "3", "TRUE", None]),
        ({"template": "{a}:{b}!"}, ["1:2!", None, None, None]),
        ({"column": "c", "pattern": "([0-9]+)"}, ["12", None, None, None]),
        ({"column": "c", "remove": ":[0-9]+"}, ["12;5", "x", None, None]),
        (["a", {"template": "{b}?"}], ["1", "3?", "TRUE", None]),
    ],
)
def test_expressions(spec: object, values: list[str | None]) -> None:
    assert FRAME.select(x=parse_expression(spec).to_polars(), y="a")["x"].to_list() == values


def test_hashes_are_of_content() -> None:
    hashed = FRAME.select(parse_expression({"hash": ["a", "b"]}).to_polars()).to_series().to_list()
    assert hashed[3] is None
    assert len({*hashed}) == 4


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        ({"column": "a", "in": ["true"]}, [False, False, True, False]),
        ({"column": "a", "not_in": ["true"]}, [True, True, False, True]),
        ({"column": "a", "filled": True}, [True, False, True, False]),
    ],
)
def test_conditions(condition: dict[str, object], passes: list[bool]) -> None:
    assert FRAME.select(Condition.model_validate(condition).to_polars()).to_series().to_list() == passes


def test_the_built_in_sources_load() -> None:
    assert len(load_mappings([BUILT_IN_SOURCES])) >= 18

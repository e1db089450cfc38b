from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.errors import ConfigurationError, FileRefused
from crm_hygiene.expression import parse_expression
from crm_hygiene.mapping import BUILT_IN_SOURCES, Condition, load_mapping, load_mappings

GOOD = """
source: shop
system: shop
object: Customer
files: ["shop/*customer*", "!*history*"]
strip_prefixes: [property_]
ignore: [Fax, "x_*"]
tables:
  people: {record_id: Id, given_name: FirstName, tax_id: VAT_Number__c}
  consents:
    - {when: {column: OptOut, in: [true]}, record_id: {template: "{Id}:email"}, purpose: {constant: any}}
    - {when: {column: NoCall, in: [true]}, record_id: {template: "{Id}:phone"}, purpose: {constant: any}}
"""


def write(folder: Path, text: str, name: str = "shop.yaml") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_mapping_tells_its_columns_and_requirements(tmp_path: Path) -> None:
    mapping = load_mapping(write(tmp_path, GOOD))
    assert mapping.vendor_columns == ["Id", "FirstName", "VAT_Number__c", "OptOut", "NoCall"]
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
        ("object:", "objekt:", "unknown key 'objekt'; did you mean 'object'?"),
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

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.contract import (
    CONTRACTS_FOLDER,
    contract_of,
    load_contract,
    load_contracts,
    load_glossary,
    nearest,
)
from crm_hygiene.errors import ConfigurationError

TABLES = sorted(load_contracts())


def _written(folder: Path, text: str) -> Path:
    path = folder / "golden" / "things.yaml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return path


THING = "meaning: Things.\ngrain: one row per thing\nowner: tests\nkey: [source]\ncolumns: [source, email]\n"


def test_every_file_is_a_contract() -> None:
    files = {f"{p.parent.name}.{p.stem}" for p in CONTRACTS_FOLDER.glob("*/*.yaml")}
    assert files == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_keys_and_required_columns_are_columns_of_the_table(table: str) -> None:
    contract = contract_of(table)
    assert contract.key
    assert {*contract.key, *contract.required} <= set(contract.column_names)
    assert len(set(contract.column_names)) == len(contract.columns)


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_table_has_the_contracts_schema(table: str) -> None:
    contract = contract_of(table)
    assert contract.empty().schema == contract.schema
    assert contract.shape(pl.DataFrame()).schema == contract.schema


@pytest.mark.parametrize("table", TABLES)
def test_derived_checks_come_first_and_guard_the_key(table: str) -> None:
    contract = contract_of(table)
    checks = contract.all_checks()
    assert [c.column for c in checks[: len(contract.key)]] == list(contract.key)
    assert any("unique" in c.expectation and c.severity == "critical" for c in checks)
    assert checks[len(checks) - len(contract.checks) :] == contract.checks


@pytest.mark.parametrize("table", TABLES)
def test_required_columns_become_constraints(table: str) -> None:
    contract = contract_of(table)
    assert {f"{n}_required" for n in (*contract.key, *contract.required)} <= contract.constraints().keys()


def test_shape_adds_missing_columns_in_order_and_casts() -> None:
    contract = contract_of("quality.metrics")
    shaped = contract.shape(pl.DataFrame({"metric_value": [1], "run_id": ["r"]}))
    assert shaped.schema == contract.schema
    assert shaped["metric_value"].to_list() == [1.0]
    assert shaped["source"].to_list() == [None]


def test_shape_refuses_unknown_columns() -> None:
    with pytest.raises(ConfigurationError, match=r"quality.metrics.*surprise"):
        contract_of("quality.metrics").shape(pl.DataFrame({"surprise": [1]}))


def test_unknown_table_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean 'golden.contacts'"):
        contract_of("golden.contact")


def test_unknown_column_names_the_nearest(tmp_path: Path) -> None:
    path = _written(tmp_path, THING.replace("email", "emial"))
    with pytest.raises(ConfigurationError, match=r"things.yaml.*'emial'.*did you mean 'email"):
        load_contract(path, load_glossary())


def test_unknown_column_of_a_check_names_the_nearest(tmp_path: Path) -> None:
    path = _written(tmp_path, THING + "checks:\n  - expect_column_values_to_not_be_null: {column: emial}\n")
    with pytest.raises(ConfigurationError, match="did you mean 'email'"):
        load_contract(path, load_glossary())


def test_a_check_names_one_expectation(tmp_path: Path) -> None:
    path = _written(tmp_path, THING + "checks:\n  - {severity: critical}\n")
    with pytest.raises(ConfigurationError, match="exactly one expectation"):
        load_contract(path, load_glossary())


@pytest.mark.parametrize("text", ["a: [", "just words"])
def test_what_is_not_a_contract_is_a_configuration_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"things.yaml"):
        load_contract(_written(tmp_path, text), load_glossary())


def test_nothing_near_says_nothing() -> None:
    assert nearest("zzzz", ["email", "phone"]) == ""

"""Golden cells that differ between two builds."""

from __future__ import annotations

from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.difference import table_difference

CONTACTS = contract_of("golden.contacts")


def _contacts(*rows: dict[str, Any]) -> pl.DataFrame:
    return CONTACTS.shape(pl.DataFrame(rows, schema_overrides=dict(CONTACTS.schema)))


ADA = {"entity_id": "P-1", "given_name": "Ada", "emails": ["a@x.example"], "record_count": 2}
BOB = {"entity_id": "P-2", "given_name": "Bob", "record_count": 1}


def test_equal_builds_differ_in_nothing() -> None:
    found = table_difference(CONTACTS, _contacts(ADA, BOB), _contacts(BOB, ADA))
    assert (found.changed_cells, found.gone_rows, found.new_rows) == (0, 0, 0)
    assert found.cell_count == 5
    assert found.columns == {}
    assert found.examples == []


def test_cells_are_counted_by_column_and_shown() -> None:
    after = _contacts({**ADA, "given_name": None, "emails": ["a@x.example", "b@x.example"]}, BOB)
    found = table_difference(CONTACTS, _contacts(ADA, BOB), after)
    assert found.columns == {"emails": 1, "given_name": 1}
    assert found.changed_cells == 2
    assert found.examples[1] == {"column": "given_name", "key": "P-1", "before": "Ada", "after": None}


def test_a_cell_that_fills_is_a_change_and_a_row_that_goes_loses_its_cells() -> None:
    found = table_difference(CONTACTS, _contacts(ADA, BOB), _contacts({**ADA, "city": "Bern"}))
    assert (found.columns, found.gone_rows, found.changed_cells) == ({"city": 1}, 1, 3)


def test_new_rows_change_nothing_that_is_live() -> None:
    found = table_difference(CONTACTS, _contacts(), _contacts(ADA))
    assert (found.cell_count, found.changed_cells, found.new_rows) == (0, 0, 1)

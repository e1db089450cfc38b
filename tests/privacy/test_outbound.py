"""Nothing that leaves the house speaks of people who said no: every table of those layers is looked at."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from golden import records as r

from crm_hygiene.contract import contract_of, load_contracts
from crm_hygiene.privacy import INTERNAL, outbound_tables, suppressed_rows

MEMBERS = r.members(
    [
        {"source": "salesforce_contacts", "record_id": "1", "entity": "P1"},
        {"source": "salesforce_contacts", "record_id": "2", "entity": "P2"},
    ]
)
CONTACTS = r.frame(
    "golden.contacts",
    [{"entity_id": "P1", "is_suppressed": True}, {"entity_id": "P2", "is_suppressed": False}],
)


def test_every_table_of_the_outbound_layers_is_outbound_or_internal_for_a_reason() -> None:
    layers = {name for name, c in load_contracts().items() if c.layer in ("signals", "writeback")}
    assert {*outbound_tables(), *INTERNAL} == layers
    assert "writeback.changes" in outbound_tables()
    assert all(INTERNAL.values())


@pytest.mark.parametrize("table", outbound_tables())
def test_every_outbound_table_says_of_whom_a_row_speaks(table: str) -> None:
    names = set(contract_of(table).column_names)
    assert names & {"entity_id", "person_entity_id"} or {"source", "record_id"} <= names, (
        f"{table}: no column says of whom a row speaks, so nobody can see that suppressed people are left out"
    )


def rows(table: str, *given: dict[str, Any]) -> pl.DataFrame:
    known = set(contract_of(table).column_names)
    return r.frame(table, [{k: v for k, v in row.items() if k in known} for row in given])


@pytest.mark.parametrize("table", outbound_tables())
def test_a_row_of_a_suppressed_person_is_found_in_each(table: str) -> None:
    names = set(contract_of(table).column_names)
    update = {"change_kind": "update"}
    for by in (
        {"entity_id": "P1"},
        {"person_entity_id": "P1"},
        {"source": "salesforce_contacts", "record_id": "1"},
    ):
        if not set(by) <= names:
            continue
        assert suppressed_rows(rows(table, {**by, **update}), CONTACTS, MEMBERS).height == 1
        other = {k: v.replace("1", "2") for k, v in by.items()}
        assert suppressed_rows(rows(table, {**other, **update}), CONTACTS, MEMBERS).is_empty()


def test_carrying_the_opt_out_is_what_the_person_asked_for() -> None:
    carried = rows("writeback.changes", {"entity_id": "P1", "change_kind": "suppress"})
    assert suppressed_rows(carried, CONTACTS, MEMBERS).is_empty()

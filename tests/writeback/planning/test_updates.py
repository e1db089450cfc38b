"""Updates: only filled and different values, by the winner the policy names; `before` as it landed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest

from crm_hygiene.writeback import plan_changes

from .worlds import (
    ACCOUNTS,
    CONTACTS,
    World,
    changes,
    contact,
    day,
    everything,
    kinds,
    only,
    organisation,
    person,
)

GOLDEN = only(default_winner="golden")


def test_only_filled_and_different_values_are_changes() -> None:
    here = World(
        [
            person("1", "e", given_name="Jon", phone="+491", birth_date=date(1980, 1, 2)),
            person("2", "e", given_name=" Jon "),
        ],
        contacts=[contact("e", given_name="Jon", phone="+492")],
    )
    assert changes(here.plan(GOLDEN)) == {
        ("1", "Phone", "update", "+491", "+492"),
        ("2", "Phone", "update", None, "+492"),
    }


def test_values_of_any_type_are_compared_as_standardised_text() -> None:
    here = World([person("1", "e")], contacts=[contact("e", birth_date=date(1980, 1, 2))])
    assert changes(here.plan(GOLDEN)) == {("1", "Birthdate", "update", None, "1980-01-02")}


def test_organisations_have_their_own_golden_table() -> None:
    here = World(
        organisations=[organisation("A", "o", employee_count=5)],
        accounts=[{"entity_id": "o", "employee_count": 7}],
    )
    mapped = ACCOUNTS.model_copy(update={"columns": {"employee_count": "NumberOfEmployees"}})
    assert kinds(here.plan(everything(), objects=[mapped]), "update") == {
        ("A", "NumberOfEmployees", "update", "5", "7")
    }


@pytest.mark.parametrize(
    ("winner", "expected"), [("golden", {"1", "2"}), ("fill_empty", {"2"}), ("never", set[str]())]
)
def test_the_policy_says_who_wins_a_field(winner: str, expected: set[str]) -> None:
    here = World(
        [person("1", "e", phone="+491"), person("2", "e")],
        contacts=[contact("e", given_name="Jon", phone="+492")],
    )
    plan = here.plan(only(fields={"Phone": winner}))
    assert set(plan["record_id"]) == expected
    assert set(plan["column_name"]) <= {"Phone"}


def test_suppressed_people_and_converted_leads_are_not_updated() -> None:
    here = World(
        [person("1", "e"), person("2", "f", is_converted=True)],
        contacts=[contact("e", given_name="Jon", is_suppressed=True), contact("f", given_name="Ann")],
    )
    assert here.plan(GOLDEN).is_empty()


def test_reasons_name_the_golden_cell_and_where_it_comes_from() -> None:
    origin = {
        "table_name": "golden.contacts", "entity_id": "e", "column_name": "given_name", "value": "Jon",
        "source": "hubspot_contacts", "record_id": "77", "rule": "recency",
    }  # fmt: skip
    people = [person("1", "e", landed_at=day(9)), person("2", "e", landed_at=day(11))]
    here = World(people, contacts=[contact("e", given_name="Jon")], provenance=[origin])
    cell = "golden.contacts.given_name from hubspot_contacts 77 by rule recency"
    said = f"{cell}; the field was empty when read on"
    # Of each record its own last reading: what did not come again is planned in the same words.
    reasons = dict(here.plan(GOLDEN).select("record_id", "reason").iter_rows())
    assert reasons == {"1": f"{said} {day(9):%F}", "2": f"{said} {day(11):%F}"}
    bare = replace(here, provenance=[]).plan(GOLDEN)["reason"][0]
    assert bare.startswith("golden.contacts.given_name has a value; ")
    assert "Jon" not in bare


def landed(rows: list[dict[str, Any]]) -> pl.LazyFrame:
    place = {"_file": "c.csv", "_landed_at": day(9)}
    return pl.LazyFrame(
        [{**place, **r} for r in rows],
        schema={
            "_file": pl.String,
            "_landed_at": pl.Datetime("us", "UTC"),
            "_row_number": pl.Int64,
            "FirstName": pl.String,
            "Phone": pl.String,
        },
    )


def planned(
    here: World, rows: list[dict[str, Any]], winner: str = "golden", nulls: tuple[str, ...] = ()
) -> Any:
    inputs = replace(here.inputs(), as_read={CONTACTS.source: landed(rows)})
    mapped = CONTACTS.model_copy(update={"nulls": nulls})
    policies = {"salesforce": only(default_winner=winner)}
    return changes(plan_changes(inputs, [mapped], policies))


def test_before_is_the_text_as_it_landed() -> None:
    place = {"file": "c.csv", "landed_at": day(9)}
    here = World(
        [
            person("1", "e", given_name="jon", phone="+491", **place, row_number=1),
            person("2", "e", given_name="Jon", **place, row_number=2),
            person("3", "e", given_name="Jon", **place, row_number=3),
        ],
        contacts=[contact("e", given_name="Jon", phone="+492")],
    )
    rows = [
        {"_row_number": 1, "FirstName": "JON ", "Phone": "(0)1"},
        {"_row_number": 2, "FirstName": "Jon", "Phone": "ask Ann"},
        {"_row_number": 3, "FirstName": "Jon", "Phone": "#N/A"},
        {"_row_number": 4, "FirstName": "nobody", "Phone": None},
    ]
    assert planned(here, rows, nulls=("#N/A",)) == {
        ("1", "FirstName", "update", "JON ", "Jon"),
        ("1", "Phone", "update", "(0)1", "+492"),
        ("2", "Phone", "update", "ask Ann", "+492"),
        ("3", "Phone", "update", None, "+492"),
    }
    # A text we could not read is no empty field.
    assert planned(here, rows, "fill_empty", ("#N/A",)) == {("3", "Phone", "update", None, "+492")}


def test_a_field_that_landed_with_the_very_text_is_no_change() -> None:
    here = World(
        [person("1", "e", given_name=None, file="c.csv", landed_at=day(9), row_number=1)],
        contacts=[contact("e", given_name="Jon")],
    )
    assert planned(here, [{"_row_number": 1, "FirstName": "Jon", "Phone": None}]) == set()

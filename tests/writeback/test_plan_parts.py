"""Plans in parts: the same rows as the plan as a whole, whatever of the tables is read as it is asked for."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from crm_hygiene.contract import contract_of
from crm_hygiene.writeback import plan_parts
from crm_hygiene.writeback.planning import creates
from crm_hygiene.writeback.planning.inputs import PlanInputs

from .planning.worlds import CHILDREN, OBJECTS, SYSTEMS, World, contact, everything, person

_LAZY = ("given_name", "family_name", "phone")


def _world() -> World:
    return World(
        [person(str(n), f"e{n}", given_name="J") for n in range(5)],
        contacts=[contact(f"e{n}", given_name="Jon", family_name="Doe", phone="+491") for n in range(9)],
    )


def _parts(inputs: PlanInputs) -> list[pl.DataFrame]:
    used = everything()
    return list(plan_parts(inputs, OBJECTS, {used.target: used}, children=CHILDREN, systems=SYSTEMS))


def test_parts_hold_the_rows_of_the_plan_each_once_in_the_order_of_their_ids() -> None:
    here = _world()
    parts = _parts(here.inputs())
    assert len(parts) > 1
    assert all(part["change_id"].is_sorted() for part in parts)
    assert pl.concat(parts).sort("change_id").equals(here.plan(everything()))


def test_creates_come_whole_however_few_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    here = _world()
    plan = here.plan(everything())
    monkeypatch.setattr(creates, "_AT_ONCE", 1)
    parts = _parts(here.inputs())
    made = [part for part in parts if "create" in part["change_kind"]]
    assert len(made) == 4
    assert [part["record_id"].n_unique() for part in made] == [1] * 4
    assert pl.concat(parts).sort("change_id").equals(plan)


def test_columns_are_read_from_where_the_rows_are_stored() -> None:
    here = _world()
    inputs = here.inputs()
    stored = {"people": inputs.people.lazy(), "contacts": inputs.contacts.lazy()}
    narrow = replace(
        inputs,
        people=inputs.people.drop(_LAZY),
        contacts=inputs.contacts.drop(_LAZY),
        stored=stored,
    )
    whole = pl.concat(_parts(inputs)).sort("change_id")
    assert pl.concat(_parts(narrow)).sort("change_id").equals(whole)
    assert narrow.held("people", "no_such_column") is None
    assert whole.schema == contract_of("writeback.changes").schema


def test_rows_that_changed_while_they_were_read_are_an_error() -> None:
    inputs = _world().inputs()
    torn = replace(
        inputs,
        people=inputs.people.select("source", "record_id"),
        stored={"people": inputs.people.head(1).lazy()},
    )
    with pytest.raises(RuntimeError, match="other rows"):
        torn.held("people", "given_name")

"""What is on its way is not planned again; a delivered create or posting never is."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.writeback.planning.awaiting import withheld_fields

from .worlds import day

WRITE = {"operation_kind": "write", "record_id": "1", "after_values": {"Phone": "+491", "Title": "x"}}
CREATE = {"operation_kind": "create", "external_id": "e", "after_values": {"LastName": "x"}}
MERGE = {"operation_kind": "merge", "record_id": "1", "losers": ["2", "3"], "after_values": {}}
FIELDS = {
    "write": [("1", "Phone"), ("1", "Title")],
    "create": [("e", "LastName")],
    "merge": [("2", "merged_into"), ("3", "merged_into")],
}


def lake_with(folder: Path, operation: dict[str, Any], states: list[str]) -> Lake:
    lake = Lake(str(folder / "lake"), {})
    entry = {
        "operation_id": "o",
        "target": "salesforce",
        "object": "Contact",
        "change_kind": "update",
        "apply_id": "a",
        "planned_at": day(1),
        **operation,
        "after_values": json.dumps(operation["after_values"]),
    }
    events = [
        {
            "delivery_id": f"d{n}",
            "operation_id": "o",
            "target": "salesforce",
            "object": "Contact",
            "apply_id": "a",
            "delivery_state": state,
            "recorded_at": day(1) + timedelta(seconds=n),
        }
        for n, state in enumerate(states)
    ]
    for name, rows in (("writeback.outbox", [entry]), ("writeback.deliveries", events)):
        contract = contract_of(name)
        lake.append(contract, [contract.shape(pl.DataFrame(rows))], {})
    return lake


@pytest.mark.parametrize("operation", [WRITE, CREATE, MERGE], ids=lambda o: str(o["operation_kind"]))
@pytest.mark.parametrize(
    ("states", "is_withheld"),
    [
        (["sending"], False),
        (["sending", "uncertain"], False),
        (["sending", "written"], True),
        (["sending", "found"], True),
        (["sending", "delivered"], True),
        (["sending", "retry"], False),
        (["sending", "delivered", "reopened"], False),
        (["sending", "refused"], False),
    ],
    ids=lambda v: str(v),
)
def test_what_is_on_its_way_is_left_out(
    tmp_path: Path, operation: dict[str, Any], states: list[str], is_withheld: bool
) -> None:
    found = withheld_fields(lake_with(tmp_path, operation, states))
    assert found.select("record_id", "column_name").rows() == (
        FIELDS[operation["operation_kind"]] if is_withheld else []
    )


def test_a_landing_that_shows_it_ends_a_write_and_keeps_a_create(tmp_path: Path) -> None:
    seen = ["sending", "delivered", "confirmed"]
    assert withheld_fields(lake_with(tmp_path / "w", WRITE, seen)).is_empty()
    assert withheld_fields(lake_with(tmp_path / "c", CREATE, seen)).height == 1


@pytest.mark.parametrize(
    ("operation", "after"), [(WRITE, "+491"), (CREATE, None), (MERGE, "1")], ids=["write", "create", "merge"]
)
def test_what_was_undone_is_left_out_with_its_value(
    tmp_path: Path, operation: dict[str, Any], after: str | None
) -> None:
    found = withheld_fields(lake_with(tmp_path, operation, ["sending", "delivered", "undone"]))
    assert found.select("record_id", "column_name").rows() == FIELDS[operation["operation_kind"]]
    assert found["after"][0] == after


def test_without_deliveries_nothing_is(tmp_path: Path) -> None:
    assert withheld_fields(Lake(str(tmp_path / "lake"), {})).is_empty()

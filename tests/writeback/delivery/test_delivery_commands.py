"""The commands as typed, on a real lake: exit codes, a landing that confirms, no secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crm_hygiene.config import load_config
from crm_hygiene.contract import Contract, contract_of
from crm_hygiene.landing import landing_contract
from crm_hygiene.night import Night
from crm_hygiene.writeback.delivery import session
from crm_hygiene.writeback.delivery.apply_lock import apply_lock

from .delivering import change, ledger
from .ledger_target import LedgerTarget

FrontDoor = Callable[..., tuple[int, str, str]]
SOURCE = "salesforce_contacts"
PASSWORD = "correct horse battery"
POLICY = """
target: salesforce
connector: salesforce
secrets: {password: TEST_CRM_PASSWORD}
objects:
  Contact: {default_winner: golden}
halt: {share: "0.5", floor: 2}
canary: {share: "0", floor: 0}
"""


def record(number: int) -> str:
    return f"003{number:012d}AAA"


def publish(night: Night, contract: Contract, rows: list[dict[str, Any]]) -> None:
    frame = contract.shape(pl.DataFrame(rows, schema_overrides=contract.schema))
    night.lake.publish(contract, frame, {"run_id": "night"})


def plan_of(night: Night, *numbers: int) -> None:
    rows = [change(record(n), "Title", "Mr", "Dr", source=SOURCE) for n in numbers]
    publish(night, contract_of("writeback.changes"), [{**row, "target": "salesforce"} for row in rows])


def land(night: Night, at: datetime, title: str) -> None:
    """An export with one contact lands and is conformed."""
    place = {"file": "contacts.csv", "row_number": 1, "landed_at": at}
    told = {"source": SOURCE, "file_hash": "h", "status": "landed", "run_id": "r", **place}
    told.pop("row_number")
    publish(night, contract_of("landing.files"), [told])
    row = {"source": SOURCE, "record_id": record(0), "observed_at": at, "is_deleted": False, **place}
    row |= {"object": "Contact", "person_kind": "contact", "content_hash": "h", "problems": []}
    publish(night, contract_of("conformed.people"), [row])
    landed = {"_file": "contacts.csv", "_file_hash": "h", "_row_number": 1, "_run_id": "r", "_landed_at": at}
    publish(night, landing_contract(night.mappings[SOURCE]), [{**landed, "Id": record(0), "Title": title}])


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    (tmp_path / "salesforce.yaml").write_text(POLICY)
    (tmp_path / "hygiene.yaml").write_text("targets: [salesforce]\ntarget_files: [salesforce.yaml]\n")
    monkeypatch.setenv("TEST_CRM_PASSWORD", PASSWORD)
    crm = LedgerTarget(ledger(tmp_path))
    for number in range(4):
        crm.seed("Contact", record(number), {"Title": "Mr"})

    def opened(policy: object, secrets: object, folder: Path) -> LedgerTarget:
        return LedgerTarget(ledger(tmp_path))

    monkeypatch.setattr(session, "open_target", opened)
    return Night.open(load_config(tmp_path / "hygiene.yaml"))


def test_the_way_of_a_change(night: Night, tmp_path: Path, front_door: FrontDoor) -> None:
    def call(*words: str) -> Any:
        code, out, err = front_door("writeback", *words, "--json", folder=tmp_path)
        assert code == 0, err
        assert PASSWORD not in out + err
        return json.loads(out)

    crm = LedgerTarget(ledger(tmp_path))
    plan_of(night, 0, 1)
    assert call("apply", "--dry-run")[0]["by_kind"] == {"write Contact": 2}
    assert crm.changes() == []
    assert call("apply")[0]["done"] == {"delivered": 2}
    told = call("status")[0]
    assert (told["planned"], told["delivered"], told["confirmed"], told["breaker"]) == (2, 2, 0, "closed")
    assert told["budget_left"] == 9_998
    land(night, datetime.now(UTC) + timedelta(hours=1), "Dr")
    assert session.confirm_deliveries(night)["salesforce"].confirmed == 1
    assert call("status")[0]["confirmed"] == 1
    undone = call("undo")
    assert undone["done"] == {"delivered": 2, "undone": 2}
    assert {held["Title"] for held in crm.state().values()} == {"Mr"}
    assert call("retry") == {"target": "salesforce", "retried": 0}
    assert [tuple(place) for place in call("status")[0]["held_back"]] == [
        ("Contact", record(n), "Title") for n in (0, 1)
    ]
    assert call("apply")[0]["withheld"] == 2
    assert call("unpark") == {"target": "salesforce", "unparked": 2}
    assert call("apply", "--dry-run")[0]["due"] == 2


def test_what_stops_it_is_told_with_the_exit_code(
    night: Night, tmp_path: Path, front_door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_of(night, 0, 1, 2)
    code, out, _ = front_door("writeback", "apply", folder=tmp_path)
    assert (code, "--approve --why" in out) == (1, True)
    assert front_door("writeback", "apply", "--approve")[0] == 2
    with apply_lock(night.config.lake_uri, tmp_path, "salesforce"):
        code, _, err = front_door("writeback", "apply")
        assert (code, "another apply is running (process" in err) == (1, True)
    code, out, _ = front_door("writeback", "apply", "--approve", "--why", "looked at", "--by", "anna")
    assert (code, "3 delivered" in out) == (0, True)
    assert front_door("writeback", "apply", "--target", "salesfroce")[0] == 2
    assert front_door("writeback", "undo", "--apply", "A-none")[0] == 2
    monkeypatch.delenv("TEST_CRM_PASSWORD")
    code, _, err = front_door("writeback", "apply")
    assert (code, "TEST_CRM_PASSWORD" in err) == (2, True)


def test_an_error_of_the_connector_shows_no_secret(
    night: Night, tmp_path: Path, front_door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(target: LedgerTarget) -> None:
        raise RuntimeError(f"cannot parse https://me:{PASSWORD}@crm.example")

    monkeypatch.setattr(LedgerTarget, "connect", broken)
    plan_of(night, 0)
    code, out, err = front_door("writeback", "apply", folder=tmp_path)
    assert (code, "cannot parse" in err, PASSWORD in out + err) == (1, True, False)

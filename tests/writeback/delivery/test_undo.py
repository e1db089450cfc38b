"""Undo: before-images go back where nobody changed anything since; the rest is listed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.delivery.delivery_log import DeliveryLog
from crm_hygiene.writeback.delivery.repair import unpark
from crm_hygiene.writeback.delivery.report import Report
from crm_hygiene.writeback.delivery.taken_back import taken_back
from crm_hygiene.writeback.delivery.undo import last_apply

from .delivering import START, MemoryLake, StandingClock, apply, change, delivery, plan, policy, states
from .ledger_target import LedgerTarget

PLAN = plan(
    change("c0", "Title", "Mr", "Dr"),
    change("c0", "Phone", "00", "+49 0"),
    change("c1", "Phone", "01", "+49 1"),
    change("P9", "Key", None, "P9", "create"),
    change("O9", "Key", None, "O9", "create", "Account"),
    change("c5", "merged_into", None, "c4", "merge"),
    change("d1", "ContactId", "c5", "c4", "reparent", "Deal"),
)


def undo(lake: MemoryLake, crm: LedgerTarget, apply_id: str | None = None) -> Report:
    told = delivery(lake, crm, apply_id="U-1")
    return told.undo(apply_id or last_apply(told.log))


@pytest.fixture
def seeded(crm: LedgerTarget) -> LedgerTarget:
    crm.seed("Deal", "d1", {"ContactId": "c5"})
    return crm


def test_everything_goes_back_last_things_first(lake: MemoryLake, seeded: LedgerTarget) -> None:
    before = seeded.state()
    apply(lake, seeded, PLAN)
    report = undo(lake, seeded)
    assert seeded.state() == before
    assert report.left == []
    assert [kind for kind, _, _ in seeded.changes()[5:]] == ["unmerge", "write", "write", "delete", "delete"]
    assert [name for kind, name, _ in seeded.changes() if kind == "delete"] == ["Contact", "Account"]
    assert set(states(lake).values()) <= {"undone", "delivered"}
    with pytest.raises(ConfigurationError, match="nothing has been applied"):
        undo(lake, seeded)
    assert undo(lake, seeded, "A-1").planned == 0
    assert len(seeded.changes()) == 10


def test_what_a_user_changed_since_is_kept_and_listed(lake: MemoryLake, seeded: LedgerTarget) -> None:
    apply(lake, seeded, PLAN)
    seeded.user_writes("Contact", "c0", {"Title": "Prof"})
    seeded.user_writes("Contact", "c1", {"Phone": "112"})
    made = next(key for key, held in seeded.state().items() if held.get("Key") == "P9")
    seeded.user_writes(*made, {"Note": "called"})
    report = undo(lake, seeded)
    held = seeded.state()
    assert held["Contact", "c0"] == {"Title": "Prof", "Phone": "00", "AccountId": "a0"}
    assert held["Contact", "c1"]["Phone"] == "112"
    assert held[made]["Note"] == "called"
    listed = {(left.record_id, left.fields) for left in report.left}
    assert {("c0", ("Title",)), ("c1", ("Phone",))} <= listed
    assert made[1] in {left.record_id for left in report.left}
    assert all(left.reason for left in report.left)


def test_what_cannot_be_unmerged_is_listed(lake: MemoryLake, seeded: LedgerTarget) -> None:
    apply(lake, seeded, PLAN)
    seeded.kinds = ("write", "create", "merge", "delete")
    report = undo(lake, seeded)
    assert [(left.record_id, left.reason) for left in report.left] == [
        ("c4", "the connector cannot unmerge records")
    ]


def test_what_was_undone_is_not_sent_again_until_it_is_let_go(lake: MemoryLake, seeded: LedgerTarget) -> None:
    clock = StandingClock()
    before = seeded.state()
    for number in range(2):
        apply(lake, seeded, PLAN, clock=clock, apply_id=f"A-{number}")
        assert seeded.state()["Contact", "c0"]["Title"] == "Dr"
        delivery(lake, seeded, clock=clock, apply_id=f"U-{number}").undo(f"A-{number}")
        assert seeded.state() == before
        again = apply(lake, seeded, PLAN, clock=clock, apply_id=f"B-{number}")
        assert (again.planned, again.withheld, again.done) == (0, 5, {})
        assert seeded.state() == before
        assert taken_back(lake).height == 6
        clock.sleep(60)
        assert unpark(DeliveryLog(lake, policy(), {}), "R-1", clock.now()) == 6
        assert taken_back(lake).is_empty()
        clock.sleep(60)


def test_one_field_can_be_let_go_alone(lake: MemoryLake, crm: LedgerTarget) -> None:
    apply(lake, crm, PLAN)
    undo(lake, crm)
    with pytest.raises(ConfigurationError, match="parked or undone"):
        unpark(DeliveryLog(lake, policy(), {}), "R-1", START, column="Titel")
    let_go = DeliveryLog(lake, policy(), {})
    assert unpark(let_go, "R-1", START, "Contact", "c0", "Phone") == 1
    report = apply(lake, crm, PLAN, apply_id="A-2")
    assert (report.planned, report.withheld) == (1, 5)
    assert crm.state()["Contact", "c0"] == {"Title": "Mr", "Phone": "+49 0", "AccountId": "a0"}


def test_golden_that_says_otherwise_goes_out_after_an_undo(lake: MemoryLake, crm: LedgerTarget) -> None:
    apply(lake, crm, plan(change("c0", "Title", "Mr", "Dr")))
    undo(lake, crm)
    clock = StandingClock(START + timedelta(days=1))
    apply(lake, crm, plan(change("c0", "Title", "Mr", "Prof")), clock=clock, apply_id="A-2")
    assert crm.state()["Contact", "c0"]["Title"] == "Prof"
    assert taken_back(lake).is_empty()


def test_an_opt_out_goes_out_although_it_was_undone_before(lake: MemoryLake, crm: LedgerTarget) -> None:
    changes = plan(change("c0", "OptedOut", None, "true", "suppress"))
    apply(lake, crm, changes)
    undo(lake, crm)
    assert taken_back(lake).is_empty()
    apply(lake, crm, changes, apply_id="A-2")
    assert crm.state()["Contact", "c0"]["OptedOut"] == "true"


def test_an_opt_out_that_still_holds_is_not_taken_back(
    lake: MemoryLake, crm: LedgerTarget, tmp_path: Path
) -> None:
    lake.put("golden.contacts", [{"entity_id": "P-c0", "is_suppressed": True}])
    apply(
        lake,
        crm,
        plan(
            change("c0", "OptedOut", None, "true", "suppress"),
            change("c1", "OptedOut", None, "true", "suppress"),
        ),
    )
    report = undo(lake, crm)
    assert [left.record_id for left in report.left] == ["c0"]
    assert crm.state()["Contact", "c0"]["OptedOut"] == "true"
    assert crm.state()["Contact", "c1"]["OptedOut"] is None

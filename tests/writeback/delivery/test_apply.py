"""Applying a plan: order, preconditions, dead letters, halting, canary, pacing, people who said no."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from crm_hygiene.contract import contract_of
from crm_hygiene.writeback.delivery.approval import Approval
from crm_hygiene.writeback.delivery.delivery_log import DeliveryLog

from .delivering import MemoryLake, StandingClock, apply, change, delivery, plan, policy, states
from .ledger_target import LedgerTarget

FULL = plan(
    change("c0", "Title", "Mr", "Dr"),
    change("c0", "Phone", "00", "+49 0"),
    change("c1", "Phone", "01", "+49 1"),
    change("c2", "OptedOut", None, "true", "suppress"),
    change("P9", "Key", None, "P9", "create"),
    change("P9", "Title", None, "Dr", "create"),
    change("O9", "Key", None, "O9", "create", "Account"),
    change("O9", "Name", None, "Bolt", "create", "Account"),
    change("c5", "merged_into", None, "c4", "merge"),
    change("d1", "ContactId", "c5", "c4", "reparent", "Deal"),
    change("X1", "Amount", None, "10.00", "posting", "Payment", source="invoices"),
)
WITH_POSTINGS = policy(postings={"object": "Payment", "fields": {"amount": "Amount"}, "external_id": "Ref"})


def test_a_plan_arrives_once_and_in_order(lake: MemoryLake, crm: LedgerTarget) -> None:
    crm.seed("Deal", "d1", {"ContactId": "c5"})
    first = apply(lake, crm, FULL, WITH_POSTINGS)
    assert first.done == {"delivered": 7}
    assert [(kind, name) for kind, name, _ in crm.changes()] == [
        ("write", "Contact"),
        ("create", "Account"),
        ("create", "Contact"),
        ("create", "Payment"),
        ("write", "Contact"),
        ("write", "Contact"),
        ("merge", "Contact"),
    ]
    held = crm.state()
    assert held["Contact", "c0"] == {"Title": "Dr", "Phone": "+49 0", "AccountId": "a0"}
    assert held["Contact", "c2"]["OptedOut"] == "true"
    assert ("Contact", "c5") not in held
    assert held["Deal", "d1"] == {"ContactId": "c4"}
    again = apply(lake, crm, FULL, WITH_POSTINGS, apply_id="A-2")
    assert (again.due, again.done, len(crm.changes())) == (0, {}, 7)


def test_a_batch_costs_one_commit_before_and_one_after(lake: MemoryLake, crm: LedgerTarget) -> None:
    told = policy(pace={"batch": 100, "per_second": 1000, "per_day": 1000})
    apply(lake, crm, plan(*(change(f"c{n}", "Title", "Mr", "Dr") for n in range(8))), told)
    assert lake.commits == 3  # the outbox, `sending`, the answers


def test_only_what_the_target_changed_is_left_alone(lake: MemoryLake, crm: LedgerTarget) -> None:
    crm.user_writes("Contact", "c0", {"Title": "Prof"})
    crm.user_writes("Contact", "c1", {"Phone": "999"})
    crm.user_writes("Contact", "c3", {"Title": "Dr "})
    changes = plan(
        change("c0", "Title", "Mr", "Dr"),
        change("c0", "Phone", "00", "+49 0"),
        change("c1", "Phone", "01", "+49 1"),
        change("c3", "Title", "Mr", "Dr"),
        change("c99", "Title", "Mr", "Dr"),
    )
    apply(lake, crm, changes)
    assert crm.state()["Contact", "c0"] == {"Title": "Prof", "Phone": "+49 0", "AccountId": "a0"}
    assert crm.state()["Contact", "c1"]["Phone"] == "999"
    assert states(lake) == {"c0": "delivered", "c1": "conflict", "c3": "already", "c99": "conflict"}
    assert [row[2] for row in crm.changes()] == ["c0"]


def test_a_dead_letter_waits_for_a_person_or_another_plan(lake: MemoryLake, crm: LedgerTarget) -> None:
    from crm_hygiene.writeback.delivery.repair import retry

    changes = plan(*(change(f"c{n}", "Title", "Mr", "Dr") for n in range(4)))
    crm.fail("send", "half")
    apply(lake, crm, changes)
    assert sorted(states(lake).values()) == ["delivered", "delivered", "refused", "refused"]
    assert apply(lake, crm, changes).due == 0
    log = DeliveryLog(lake, policy(), {})
    assert retry(log, "R-1", datetime(2026, 3, 3, tzinfo=UTC)) == 2
    assert apply(lake, crm, changes).done == {"delivered": 2}
    assert len(crm.changes()) == 4


def test_what_is_no_longer_planned_is_not_sent(lake: MemoryLake, crm: LedgerTarget) -> None:
    apply(lake, crm, plan(change("c0", "Title", "Mr", "Dr"), change("c1", "Title", "Mr", "Dr")), limit=1)
    assert states(lake) == {"c0": "delivered", "c1": None}
    apply(lake, crm, plan(change("c0", "Title", "Mr", "Dr"), change("c2", "Title", "Mr", "Dr")))
    assert states(lake) == {"c0": "delivered", "c1": "expired", "c2": "delivered"}


def test_a_large_plan_waits_for_approval_of_that_very_plan(lake: MemoryLake, crm: LedgerTarget) -> None:
    told = policy(halt={"share": "0.05", "floor": 2})
    changes = plan(*(change(f"c{n}", "Title", "Mr", "Dr") for n in range(4)))
    stopped = apply(lake, crm, changes, told, population=50)
    assert (stopped.stopped_by, stopped.is_stopped, crm.changes()) == ("approval", True, [])
    assert "4 of 50" in stopped.message
    apply(lake, crm, changes, told, population=50, limit=2, approval=Approval("anna", "checked"))
    assert len(crm.changes()) == 2
    apply(lake, crm, changes, told, population=50)  # the approval holds until the plan is another
    assert len(crm.changes()) == 4
    other = plan(*(change(f"c{n}", "Title", "Mr", "Prof") for n in range(4)))
    assert apply(lake, crm, other, told, population=50).stopped_by == "approval"
    row = lake.scan(contract_of("writeback.approvals")).collect().to_dicts()
    assert [(r["approved_by"], r["reason"], r["touched_count"]) for r in row] == [("anna", "checked", 4)]
    assert apply(lake, crm, other, told, population=1000).stopped_by is None


def test_the_canary_is_read_back_before_the_rest_goes(lake: MemoryLake, crm: LedgerTarget) -> None:
    told = policy(canary={"share": "0.2", "floor": 2})
    changes = plan(*(change(f"c{n}", "Title", "Mr", "Dr") for n in range(8)))
    assert apply(lake, crm, changes, told).done == {"delivered": 8}


class Stubborn(LedgerTarget):
    """Says that it has taken a value and keeps another, as a trigger does."""

    def _put(self, object_name, record_id, held, version, gone=False):  # type: ignore[no-untyped-def]
        super()._put(object_name, record_id, {**held, "Title": "MR."}, version, gone)


def test_a_canary_that_reads_back_otherwise_halts_until_a_person_has_looked(
    lake: MemoryLake, crm: LedgerTarget, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    from .delivering import ledger

    told = policy(canary={"share": "0.2", "floor": 2})
    changes = plan(*(change(f"c{n}", "Title", "Mr", "Dr") for n in range(8)))
    stubborn = Stubborn(ledger(tmp_path))
    stopped = apply(lake, stubborn, changes, told)
    assert (stopped.stopped_by, stopped.done) == ("canary", {"refused": 2})
    assert "Title" in stopped.message
    assert apply(lake, stubborn, changes, told).stopped_by == "canary"
    assert len(crm.changes()) == 2


def test_limits_of_rate_day_and_hours(lake: MemoryLake, crm: LedgerTarget) -> None:
    changes = plan(*(change(f"c{n}", "Title", "Mr", "Dr") for n in range(8)))
    clock = StandingClock()
    told = policy(pace={"batch": 2, "per_second": 0.5, "per_day": 3})
    stopped = apply(lake, crm, changes, told, clock)
    assert (stopped.stopped_by, stopped.is_stopped, len(crm.changes())) == ("budget", False, 3)
    assert sum(clock.waits) == pytest.approx(2.0 * (crm.calls("read") + crm.calls("send")))
    assert apply(lake, crm, changes, told, clock).stopped_by == "budget"
    night = StandingClock(datetime(2026, 3, 3, 12, tzinfo=UTC))
    hours = policy(hours={"from": "20:00", "to": "06:00", "timezone": "Europe/Berlin"})
    assert apply(lake, crm, changes, hours, night).stopped_by == "hours"
    night.moment = datetime(2026, 3, 3, 19, 30, tzinfo=UTC)  # 20:30 in Berlin
    assert apply(lake, crm, changes, hours, night).done == {"delivered": 5}


def test_nobody_who_has_opted_out_since_the_plan_is_written_about(
    lake: MemoryLake, crm: LedgerTarget
) -> None:
    lake.put("golden.contacts", [{"entity_id": "P-c0", "is_suppressed": True}])
    lake.put(
        "linked.person_members",
        [
            {"source": "crm_contacts", "record_id": "c0", "entity_id": "P-c0"},
            {"source": "crm_contacts", "record_id": "c3", "entity_id": "P-c0"},
        ],
    )
    changes = plan(
        change("c0", "Title", "Mr", "Dr"),
        change("c0", "OptedOut", None, "true", "suppress"),
        change("c1", "Title", "Mr", "Dr"),
        change("c3", "Title", "Mr", "Dr", entity_id="P-other"),
        change("P-c0", "Title", None, "Dr", "create", entity_id="P-c0"),
    )
    report = apply(lake, crm, changes)
    assert report.suppressed == 3
    assert [row[2] for row in crm.changes()] == ["c0", "c1"]
    assert crm.state()["Contact", "c0"] == {
        "Title": "Mr",
        "Phone": "00",
        "AccountId": "a0",
        "OptedOut": "true",
    }


def test_an_opt_out_that_comes_while_the_apply_runs_counts(lake: MemoryLake, crm: LedgerTarget) -> None:
    changes = plan(*(change(f"c{n}", "Title", "Mr", "Dr") for n in range(8)))

    def night(done: int, total: int) -> None:
        lake.put("golden.contacts", [{"entity_id": "P-c7", "is_suppressed": True}])

    delivery(lake, crm, watch=night).apply(changes, 1000)
    assert states(lake)["c7"] == "expired"
    assert crm.state()["Contact", "c7"]["Title"] == "Mr"


def test_a_dry_run_writes_nothing_anywhere(lake: MemoryLake, crm: LedgerTarget) -> None:
    report = delivery(lake, crm, WITH_POSTINGS).preview(FULL, 1000)
    assert report.due == 7
    assert report.by_kind["write Contact"] == 3
    assert (lake.commits, crm.changes(), crm.calls("read")) == (0, [], 0)


def test_an_operation_the_connector_cannot_do_is_refused_before_it_is_sent(
    lake: MemoryLake, crm: LedgerTarget
) -> None:
    crm.kinds = ("write",)
    apply(
        lake, crm, plan(change("c5", "merged_into", None, "c4", "merge"), change("c0", "Title", "Mr", "Dr"))
    )
    assert states(lake) == {"c4": "refused", "c0": "delivered"}

"""The next landing confirms or reopens; what flips is parked."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.writeback.delivery.convergence import settle, turns, withheld
from crm_hygiene.writeback.delivery.delivery_log import DeliveryLog
from crm_hygiene.writeback.delivery.landed_values import Landed, LandedSource
from crm_hygiene.writeback.delivery.repair import unpark

from .delivering import START, MemoryLake, StandingClock, apply, change, plan, policy, states
from .ledger_target import LedgerTarget

HOUR = timedelta(hours=1)


def landed(
    at: datetime, values: dict[str, str | None], observed_at: datetime | None = None
) -> dict[str, LandedSource]:
    record = Landed(values, observed_at or at, at)
    return {"crm_contacts": LandedSource({"c0": record}, at)}


def settled(lake: MemoryLake, sources: dict[str, LandedSource]) -> str | None:
    log = DeliveryLog(lake, policy(), {})
    settle(log, sources, "C-1", max(source.last_landed_at or START for source in sources.values()))
    return states(lake)["c0"]


CHANGE = plan(change("c0", "Title", "Mr", "Dr"))


def test_a_landing_confirms_reopens_or_says_nothing(lake: MemoryLake, crm: LedgerTarget) -> None:
    apply(lake, crm, CHANGE)
    assert settled(lake, landed(START - HOUR, {"Title": "Mr"})) == "delivered"
    # Landed after the delivery, made before it: its rows are older than what we wrote.
    assert settled(lake, landed(START + HOUR, {"Title": "Mr"}, START - HOUR)) == "delivered"
    assert settled(lake, landed(START + HOUR, {"Phone": "0"})) == "delivered"
    assert settled(lake, landed(START + HOUR, {"Title": "Dr "})) == "confirmed"


@pytest.mark.parametrize("observed", [START + HOUR, START - HOUR])
def test_what_does_not_hold_is_reopened_and_delivered_again(
    observed: datetime, lake: MemoryLake, crm: LedgerTarget
) -> None:
    apply(lake, crm, CHANGE)
    crm.user_writes("Contact", "c0", {"Title": "Mr"})
    assert settled(lake, landed(START + 30 * HOUR, {"Title": "Mr"}, observed)) == "reopened"
    assert apply(lake, crm, CHANGE, apply_id="A-2").done == {"delivered": 1}
    assert crm.state()["Contact", "c0"]["Title"] == "Dr"


def test_a_field_that_flips_is_parked_until_it_is_let_go(lake: MemoryLake, crm: LedgerTarget) -> None:
    clock = StandingClock()
    for _ in range(2):
        assert withheld(lake).is_empty()
        apply(lake, crm, CHANGE, clock=clock)
        clock.sleep(3600)
        crm.user_writes("Contact", "c0", {"Title": "Mr"})
        settled(lake, landed(clock.now(), {"Title": "Mr"}))
        clock.sleep(3600)
    assert withheld(lake).rows() == [("crm", "Contact", "c0", "Title")]
    both = plan(change("c0", "Title", "Mr", "Dr"), change("c0", "Phone", "00", "+49 0"))
    report = apply(lake, crm, both, clock=clock)
    assert report.withheld == 1
    assert crm.state()["Contact", "c0"] == {"Title": "Mr", "Phone": "+49 0", "AccountId": "a0"}
    clock.sleep(3600)
    assert unpark(DeliveryLog(lake, policy(), {}), "R-1", clock.now(), record_id="c0") == 1
    assert withheld(lake).is_empty()
    clock.sleep(3600)
    apply(lake, crm, CHANGE, clock=clock)
    assert crm.state()["Contact", "c0"]["Title"] == "Dr"


def test_an_apply_parks_what_the_plan_would_turn_once_more(lake: MemoryLake, crm: LedgerTarget) -> None:
    clock = StandingClock()
    for _ in range(2):
        apply(lake, crm, CHANGE, clock=clock)
        clock.sleep(3600)
        settled(lake, landed(clock.now(), {"Title": "Dr"}))  # confirmed, and changed back only then
        crm.user_writes("Contact", "c0", {"Title": "Mr"})
        clock.sleep(3600)
    report = apply(lake, crm, CHANGE, clock=clock)
    assert (report.planned, report.withheld) == (0, 1)
    assert crm.state()["Contact", "c0"]["Title"] == "Mr"


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ("", 0),
        ("A", 0),
        ("AB", 0),
        ("ABB", 0),
        ("ABA", 1),
        ("ABBAAB", 1),
        ("ABABA", 2),
        ("ABCABC", 0),
        ("CABABA", 2),
    ],
)
def test_turns(values: str, count: int) -> None:
    assert turns([*values]) == count


@given(st.lists(st.sampled_from("AB"), max_size=12))
def test_turns_of_two_values_count_the_changes(values: list[str]) -> None:
    changes = sum(a != b for a, b in pairwise(values))
    assert turns(values) == changes // 2

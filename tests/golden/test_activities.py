from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from .night import build, nights
from .records import days_ago


def test_interactions_find_their_person_by_key_mailbox_or_record() -> None:
    people: list[dict[str, Any]] = [
        {"source": "salesforce_contacts", "record_id": "1", "entity": "P1", "email_normalised": "a@x.com"},
        {"source": "hubspot_contacts", "record_id": "1", "entity": "P2", "email_normalised": "b@x.com"},
        {"source": "hubspot_contacts", "record_id": "2", "entity": "P3", "email_normalised": "b@x.com"},
        {"source": "form_submissions", "record_id": "s1", "entity": "P3", "organisation_record_id": "17"},
    ]
    events: list[dict[str, Any]] = [
        {"source": "salesforce_leads", "record_id": "e1", "person_record_id": "1"},
        {
            "source": "hubspot_contacts",
            "record_id": "e2",
            "person_record_id": "1",
            "email_normalised": "a@x.com",
        },
        {"source": "marketing_events", "record_id": "e3", "email_normalised": "a@x.com"},
        {"source": "marketing_events", "record_id": "e4", "email_normalised": "b@x.com"},
        {"source": "form_submissions", "record_id": "s1", "email_normalised": "b@x.com"},
    ]
    activities = build(people, interactions=events).activities.collect()
    assert activities.select("record_id", "person_entity_id").rows() == [
        ("s1", "P3"),
        ("e2", "P2"),
        ("e3", "P1"),
        ("e4", None),
        ("e1", "P1"),
    ]


ACCOUNTS: list[dict[str, Any]] = [
    {"source": "salesforce_accounts", "record_id": n, "entity": f"O{n}"} for n in ("1", "2")
]


def event(record_id: str, days: float, **values: Any) -> dict[str, Any]:
    return {
        "source": "marketing_events",
        "record_id": record_id,
        "email_normalised": "a@x.com",
        "occurred_at": days_ago(days),
        **values,
    }


def test_what_an_unknown_mailbox_did_is_kept_counted_and_tied_once_the_person_appears() -> None:
    events = [
        event("e1", 3),
        event("e2", 2, email_normalised="new@x.com"),
        event("e3", 1, email_normalised=None),
    ]
    known = {"source": "salesforce_contacts", "record_id": "1", "entity": "P1", "email_normalised": "a@x.com"}
    before = build([known], interactions=events)
    assert before.activities.collect().select("record_id", "person_entity_id", "person_rule").rows() == [
        ("e1", "P1", "mailbox"),
        ("e2", None, "none: unknown mailbox"),
        ("e3", None, "none: nobody stated"),
    ]
    assert before.notes == ("activities: 2 of 3 are tied to nobody yet (1 nobody stated, 1 unknown mailbox)",)
    appeared = {**known, "record_id": "2", "entity": "P2", "email_normalised": "new@x.com"}
    after = build([known, appeared], interactions=events)
    assert after.activities.collect()["person_entity_id"].to_list() == ["P1", "P2", None]


def test_a_mailbox_of_two_people_is_tied_to_neither() -> None:
    people = [
        {"source": "salesforce_contacts", "record_id": n, "entity": f"P{n}", "email_normalised": "a@x.com"}
        for n in ("1", "2")
    ]
    assert build(people, interactions=[event("e", 1)]).activities.collect()["person_rule"].to_list() == [
        "none: shared mailbox"
    ]


def test_calls_and_texts_find_their_person_by_a_number_that_only_one_has() -> None:
    people: list[dict[str, Any]] = [
        {"source": "salesforce_contacts", "record_id": "1", "entity": "P1", "mobile_phone": "+4915112345678"},
        # One person twice, the number in either column, and the switchboard that P1 has as well.
        {"source": "hubspot_contacts", "record_id": "2", "entity": "P2", "phone": "+442079460000"},
        {"source": "hubspot_contacts", "record_id": "3", "entity": "P2", "mobile_phone": "+442079460000"},
        {"source": "salesforce_contacts", "record_id": "4", "entity": "P2", "phone": "+493012345"},
        {"source": "salesforce_contacts", "record_id": "5", "entity": "P1", "phone": "+493012345"},
        {"source": "salesforce_contacts", "record_id": "6", "entity": "P3", "email_normalised": "a@x.com"},
        {"source": "form_submissions", "record_id": "f", "entity": "P3", "phone": "+33123456789"},
    ]
    mobile = "+4915112345678"
    asked: dict[str, tuple[dict[str, Any], str | None, str]] = {
        "text": ({"phone": mobile}, "P1", "telephone number"),
        "call": ({"phone": "+442079460000"}, "P2", "telephone number"),
        "switchboard": ({"phone": "+493012345"}, None, "none: shared telephone number"),
        "stranger": ({"phone": "+493099999"}, None, "none: unknown telephone number"),
        "mailbox first": ({"phone": mobile, "email_normalised": "a@x.com"}, "P3", "mailbox"),
        "number of an unknown mailbox": (
            {"phone": mobile, "email_normalised": "new@x.com"},
            "P1",
            "telephone number",
        ),
        "neither": ({"phone": "+493099999", "email_normalised": "new@x.com"}, None, "none: unknown mailbox"),
        "f": ({"phone": mobile, "source": "form_submissions"}, "P3", "the record itself"),
        "unknown key": ({"person_record_id": "99"}, None, "none: unknown record key"),
        "unknown key, number": ({"person_record_id": "99", "phone": mobile}, "P1", "telephone number"),
        "nothing": ({}, None, "none: nobody stated"),
    }
    events = [event(name, 1, **{"email_normalised": None, **said}) for name, (said, _, _) in asked.items()]
    found = build(people, interactions=events).activities.collect()
    told = {
        name: (person, rule)
        for name, person, rule in found.select("record_id", "person_entity_id", "person_rule").iter_rows()
    }
    assert told == {name: (person, rule) for name, (_, person, rule) in asked.items()}


def test_an_activity_belongs_to_where_the_person_worked_then_and_to_the_inquiry_open_then() -> None:
    people: list[dict[str, Any]] = [
        {
            "source": "salesforce_contacts",
            "record_id": "c",
            "entity": "P",
            "email_normalised": "a@x.com",
            "organisation_record_id": "2",
            "created_at": days_ago(900),
            "observed_at": days_ago(5),
        },
        {
            "source": "salesforce_leads",
            "record_id": "l",
            "entity": "P",
            "person_kind": "lead",
            "created_at": days_ago(300),
            "lead_status": "Lost",
            "observed_at": days_ago(200),
        },
    ]
    moved = {"source": "salesforce_contacts", "record_id": "v", "person_record_id": "c"}
    moved |= {"organisation_record_id": "1", "observed_at": days_ago(400)}  # type: ignore[dict-item]
    events = [
        event("before", 350),
        event("while", 250),
        event("after", 1),
        event("call", 2, source="salesforce_leads", person_record_id="l"),
    ]
    found = build(people, ACCOUNTS, interactions=events, versions=[moved]).activities.collect()
    assert found.select("record_id", "account_entity_id", "lead_record_id").rows() == [
        ("after", "O2", None),
        ("before", "O1", None),
        ("while", "O1", "l"),
        ("call", "O2", "l"),
    ]


@given(nights(), st.integers(0, 3))
@settings(max_examples=examples(8), deadline=None)
def test_an_event_that_comes_late_or_twice_changes_only_its_own_row(night: dict[str, Any], late: int) -> None:
    """All on one night, or one of them a night later: the same table in the end, and the rest as before."""
    events = [e for n, e in enumerate(night["interactions"]) if n != late]
    # An unsubscribe says something of the person besides; here only activities are looked at.
    whole = build(**night).activities.collect()
    without = build(**{**night, "interactions": events}).activities.collect()
    keys = ["source", "record_id"]
    assert_frame_equal(whole.join(without.select(keys), on=keys, how="semi"), without)
    turned = build(**{**night, "interactions": night["interactions"][::-1]}).activities.collect()
    assert_frame_equal(turned, whole)


def test_interactions_in_another_order_are_not_tied_to_the_wrong_people() -> None:
    events = [{"record_id": f"i{n}", "source": "marketing_events"} for n in range(3)]
    golden = build([], interactions=events)
    turned = golden.activities.tied.interactions.collect().reverse().lazy()
    with pytest.raises(RuntimeError, match="another order"):
        list(replace(golden.activities.tied, interactions=turned).parts())

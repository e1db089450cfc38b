from __future__ import annotations

from typing import Any

from .night import build


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
    activities = build(people, interactions=events).activities
    assert activities.select("record_id", "person_entity_id").rows() == [
        ("s1", "P3"),
        ("e2", "P2"),
        ("e3", "P1"),
        ("e1", "P1"),
    ]

"""Primary addresses and numbers with the lists beside them, from records and interactions."""

from __future__ import annotations

from typing import Any

import pytest

from .night import build
from .records import days_ago


def person(record_id: str, source: str, mail: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "source": source,
        "record_id": record_id,
        "entity": "P",
        "email": mail,
        "email_normalised": mail,
        "email_kind": "person" if mail else None,
        **more,
    }


PEOPLE = [
    person("1", "form_submissions", "c@form.de", phone="+4930111111"),
    person("2", "salesforce_contacts", "b@crm.de", phone="+4930222222", mobile_phone="+4915133333"),
    person("3", "hubspot_contacts", "a@hub.de", phone="+4930222222"),
]


def test_lists_hold_every_value_best_first() -> None:
    row = build(PEOPLE).contacts.row(0, named=True)
    assert (row["email"], row["emails"]) == ("b@crm.de", ["b@crm.de", "a@hub.de", "c@form.de"])
    assert row["phones"] == ["+4930222222", "+4915133333", "+4930111111"]


@pytest.mark.parametrize(
    ("events", "primary"),
    [
        ([("bounce", 5)], "a@hub.de"),
        ([("bounce", 5), ("delivered", 3)], "b@crm.de"),
        ([("delivered", 7), ("bounce", 5)], "a@hub.de"),
    ],
)
def test_a_bounced_address_loses_to_a_valid_one_and_stays_in_the_list(
    events: list[tuple[str, int]], primary: str
) -> None:
    told = [
        {
            "source": "marketing_events",
            "record_id": f"e{n}",
            "interaction_kind": kind,
            "email_normalised": "b@crm.de",
            "occurred_at": days_ago(days),
        }
        for n, (kind, days) in enumerate(events)
    ]
    golden = build(PEOPLE, interactions=told)
    row = golden.contacts.row(0, named=True)
    assert row["email"] == primary
    assert set(row["emails"]) == {"a@hub.de", "b@crm.de", "c@form.de"}
    if primary != "b@crm.de":
        rule = golden.provenance.collect().filter(column_name="email").row(0, named=True)["rule"]
        assert rule.startswith("trust hubspot_contacts") or "most valid" in rule


def test_a_disposable_address_loses_to_any_other() -> None:
    disposable = {**person("9", "salesforce_contacts", "x@mailinator.com"), "email_kind": "disposable"}
    role = {**person("1", "form_submissions", "info@acme.de"), "email_kind": "role"}
    row = build([disposable, role]).contacts.row(0, named=True)
    assert row["emails"] == ["info@acme.de", "x@mailinator.com"]


def test_an_accounts_addresses_and_numbers_are_kept_too() -> None:
    organisations = [
        {"source": s, "record_id": n, "entity": "O", "organisation_name": "Acme", "phone": p, "email": e}
        for s, n, p, e in [
            ("hubspot_companies", "1", "+4930111111", None),
            ("salesforce_accounts", "2", "+4930222222", "office@acme.de"),
        ]
    ]
    row = build(PEOPLE, organisations).accounts.row(0, named=True)
    assert (row["phone"], row["phones"]) == ("+4930222222", ["+4930222222", "+4930111111"])
    assert row["emails"] == ["office@acme.de"]

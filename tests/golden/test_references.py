"""Foreign keys, names and domains lead to organisations."""

from __future__ import annotations

from typing import Any

from .night import build
from .records import days_ago


def organisation(source: str, record_id: str, entity: str, **values: Any) -> dict[str, Any]:
    return {
        "source": source,
        "record_id": record_id,
        "entity": entity,
        "organisation_name": entity,
        **values,
    }


def person(record_id: str, entity: str, source: str = "salesforce_contacts", **values: Any) -> dict[str, Any]:
    return {"source": source, "record_id": record_id, "entity": entity, **values}


def accounts_of(people: list[dict[str, Any]], organisations: list[dict[str, Any]]) -> dict[str, str | None]:
    contacts = build(people, organisations).contacts
    return dict(zip(contacts["entity_id"], contacts["account_entity_id"], strict=True))


def test_a_key_finds_the_record_of_its_own_system_only() -> None:
    organisations = [
        organisation("salesforce_accounts", "17", "O1"),
        organisation("hubspot_companies", "17", "O2"),
    ]
    people = [
        person("1", "P1", organisation_record_id="17"),
        person("17", "P2", "hubspot_contacts", organisation_record_id="17"),
        person("3", "P3", "form_submissions", organisation_record_id="17"),
    ]
    assert accounts_of(people, organisations) == {"P1": "O1", "P2": "O2", "P3": None}


def test_a_name_or_domain_that_two_organisations_bear_finds_none() -> None:
    organisations = [
        organisation(
            "salesforce_accounts", "1", "O1", organisation_name_normalised="acme", website_domain="a.com"
        ),
        organisation(
            "hubspot_companies", "2", "O2", organisation_name_normalised="acme", website_domain="b.com"
        ),
        organisation(
            "hubspot_companies", "3", "O3", organisation_name_normalised="bolt", website_domain="b.com"
        ),
    ]
    people = [
        person("1", "P1", organisation_name_normalised="acme"),
        person("2", "P2", organisation_name_normalised="bolt"),
        person("3", "P3", email_domain="a.com", email_kind="person"),
        person("4", "P4", email_domain="a.com", email_kind="role"),
        person("5", "P5", email_domain="b.com", email_kind="person"),
    ]
    assert accounts_of(people, organisations) == {"P1": None, "P2": "O3", "P3": "O1", "P4": None, "P5": None}


def test_a_converted_lead_belongs_to_the_account_it_became() -> None:
    golden = build(
        [
            person(
                "L1",
                "P1",
                "salesforce_leads",
                person_kind="lead",
                is_converted=True,
                converted_organisation_record_id="17",
            ),
            person("C1", "P1"),
        ],
        [organisation("salesforce_accounts", "17", "O1")],
    )
    row = golden.leads.row(0, named=True)
    assert (row["person_entity_id"], row["account_entity_id"], row["is_converted"]) == ("P1", "O1", True)
    assert golden.leads.height == 1


def test_relationships_follow_each_other() -> None:
    organisations = [organisation("salesforce_accounts", o, f"O{o}") for o in ("1", "2")]
    people = [
        person("1", "P1", organisation_record_id="1", created_at=days_ago(900), observed_at=days_ago(500)),
        person("2", "P1", organisation_record_id="2", created_at=days_ago(300), observed_at=days_ago(5)),
        person("3", "P1", organisation_record_id="2", created_at=days_ago(200), observed_at=days_ago(50)),
    ]
    rows = build(people, organisations).relationships.rows(named=True)
    assert [(r["account_entity_id"], r["valid_from"], r["valid_to"], r["is_current"]) for r in rows] == [
        ("O1", days_ago(900), days_ago(300), False),
        ("O2", days_ago(300), None, True),
    ]
    assert [r["record_count"] for r in rows] == [1, 2]


def test_a_parent_is_another_living_organisation() -> None:
    organisations = [
        organisation("salesforce_accounts", "1", "O1"),
        organisation("salesforce_accounts", "2", "O2", parent_record_id="1"),
        organisation("salesforce_accounts", "3", "O2", parent_record_id="2"),
        organisation("salesforce_accounts", "4", "O4", parent_record_id="5"),
        organisation("salesforce_accounts", "5", "O5", is_deleted=True),
    ]
    accounts = build([], organisations).accounts
    assert dict(zip(accounts["entity_id"], accounts["parent_entity_id"], strict=True)) == {
        "O1": None,
        "O2": "O1",
        "O4": None,
    }


def test_domains_leave_out_what_many_share() -> None:
    organisations = [
        organisation("salesforce_accounts", "1", "O1", website_domain="a.com", email_domain="gmail.com"),
        organisation("salesforce_accounts", "2", "O2", email_domain="gmail.com"),
        organisation("hubspot_companies", "3", "O1", email_domain="a.de"),
    ]
    assert build([], organisations).accounts["domains"].to_list() == [["a.com", "a.de"], []]

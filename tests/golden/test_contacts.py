from __future__ import annotations

import pytest

from .night import build
from .records import days_ago


def person(source: str, record_id: str, entity: str = "P1", **values: object) -> dict[str, object]:
    return {"source": source, "record_id": record_id, "entity": entity, **values}


def test_parts_of_an_address_survive_together() -> None:
    golden = build(
        [
            person("salesforce_contacts", "1", street="Main St 1", city="Paris", country_code="FR"),
            person("hubspot_contacts", "2", city="Berlin", postal_code="10115", observed_at=days_ago(1)),
        ]
    )
    row = golden.contacts.row(0, named=True)
    assert (row["street"], row["city"], row["postal_code"]) == ("Main St 1", "Paris", None)


def test_a_personal_mailbox_beats_the_shared_one_of_a_more_trusted_source() -> None:
    golden = build(
        [
            person("salesforce_contacts", "1", email="info@acme.com", email_kind="role"),
            person("hubspot_contacts", "2", email="ann@acme.com", email_kind="person"),
        ]
    )
    assert golden.contacts["email"].to_list() == ["ann@acme.com"]
    assert golden.contacts["emails"].to_list() == [["ann@acme.com", "info@acme.com"]]


def test_deleted_records_give_no_value_and_alone_no_contact() -> None:
    golden = build(
        [
            person("salesforce_contacts", "1", phone="+4930111111", is_deleted=True),
            person("hubspot_contacts", "2", given_name="Ann"),
            person("hubspot_contacts", "3", "P2", given_name="Gone", is_deleted=True),
        ],
        consents=[{"source": "salesforce_contacts", "record_id": "1:email", "consent_state": "opt_out"}],
    )
    row = golden.contacts.row(0, named=True)
    assert golden.contacts["entity_id"].to_list() == ["P1"]
    assert (row["phone"], row["record_count"]) == (None, 1)
    assert row["is_suppressed"], "what a deleted record said about consent still holds"


def test_quality_is_the_mean_of_its_parts() -> None:
    golden = build(
        [
            person(
                "salesforce_contacts",
                "1",
                full_name="Ann",
                family_name="Ann",
                job_title="CEO",
                email="a@b.co",
                observed_at=days_ago(365),
            ),
            person(
                "hubspot_contacts",
                "2",
                job_title="CTO",
                problems=["phone: no number"],
                observed_at=days_ago(730),
            ),
        ]
    )
    row = golden.contacts.row(0, named=True)
    assert row["completeness_score"] == 0.5  # name, email, job title of six
    assert row["validity_score"] == 0.5
    assert row["freshness_score"] == 0.5  # one half-life
    assert row["consistency_score"] == pytest.approx(2 / 3, abs=1e-4)  # job title disputed of three fields
    parts = [
        row[f"{p}_score"] for p in ("completeness", "validity", "freshness", "consistency", "uniqueness")
    ]
    assert row["quality_score"] == pytest.approx(sum(parts) / 5, abs=1e-4)


def test_provenance_names_record_file_row_rule_and_runner_up() -> None:
    golden = build(
        [
            person("salesforce_contacts", "1", job_title="CEO", row_number=7, file="Contact.csv"),
            person("hubspot_contacts", "2", job_title="Clerk"),
            person("hubspot_contacts", "3", job_title="Clerk", observed_at=days_ago(900)),
        ]
    )
    rows = golden.provenance.collect()
    row = rows.filter(column_name="job_title").row(0, named=True)
    assert (row["value"], row["runner_up"]) == ("CEO", "Clerk")
    assert (row["source"], row["record_id"], row["file"], row["row_number"]) == (
        "salesforce_contacts",
        "1",
        "Contact.csv",
        7,
    )
    assert row["rule"] == "trust salesforce_contacts 0.88, best of 3"

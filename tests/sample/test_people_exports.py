"""Records of people and organisations: truth covers all of them, keys hold, faults are there."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"

Rows = list[dict[str, str]]


def expanded(key: str) -> str:
    """The 18-character form of a Salesforce key, by Salesforce's published algorithm."""
    if len(key) != 15:
        return key
    chunks = (key[i : i + 5] for i in (0, 5, 10))
    return key + "".join(LETTERS[sum(c.isupper() << i for i, c in enumerate(chunk))] for chunk in chunks)


def decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252")


def rows(path: Path, delimiter: str = ",") -> Rows:
    lines = [decoded(line) for line in path.read_bytes().splitlines()]
    return list(csv.DictReader(lines, delimiter=delimiter))


def submissions(sample: Path) -> list[dict[str, object]]:
    text = (sample / "landing/forms/submissions.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def truth(sample: Path, name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    listed = rows(sample / "truth" / name)
    for row in listed:
        found.setdefault(row["DATA_SOURCE"], set()).add(row["RECORD_ID"])
    assert sum(map(len, found.values())) == len(listed), "a record stands in the truth once"
    return found


def ids(table: Rows, column: str) -> Iterator[str]:
    return (expanded(row[column]) for row in table if row[column] not in ("", "#N/A"))


def test_truth_covers_every_person_record(sample: Path) -> None:
    landing = sample / "landing"
    expected = {
        "salesforce_leads": set(ids(rows(landing / "salesforce/Lead.csv"), "Id")),
        "salesforce_contacts": set(ids(rows(landing / "salesforce/Contact.csv"), "Id")),
        "hubspot_contacts": set(ids(rows(landing / "hubspot/contacts.csv"), "Record ID")),
        "dynamics_contacts": set(ids(rows(landing / "dynamics/contacts.csv"), "contactid")),
        "dynamics_leads": set(ids(rows(landing / "dynamics/leads.csv"), "leadid")),
        "form_submissions": {str(r["submission_id"]) for r in submissions(sample) if r["submission_id"]},
    }
    assert truth(sample, "people.csv") == expected


def test_truth_covers_every_organisation_record(sample: Path) -> None:
    landing = sample / "landing"
    expected = {
        "salesforce_accounts": set(ids(rows(landing / "salesforce/Account.csv", ";"), "Id")),
        "hubspot_companies": set(ids(rows(landing / "hubspot/companies.csv"), "Record ID")),
        "dynamics_accounts": set(ids(rows(landing / "dynamics/accounts.csv"), "accountid")),
        "erp_invoices": {row["customer_id"] for row in rows(landing / "erp/invoices.csv")},
    }
    assert truth(sample, "organisations.csv") == expected


def test_references_between_records_hold(sample: Path) -> None:
    landing = sample / "landing"
    accounts = set(ids(rows(landing / "salesforce/Account.csv", ";"), "Id"))
    contacts = rows(landing / "salesforce/Contact.csv")
    leads = rows(landing / "salesforce/Lead.csv")
    assert set(ids(contacts, "AccountId")) <= accounts
    assert set(ids(leads, "ConvertedContactId")) <= set(ids(contacts, "Id"))
    assert set(ids(leads, "ConvertedAccountId")) <= accounts
    companies = set(ids(rows(landing / "hubspot/companies.csv"), "Record ID"))
    associated = [
        i for row in rows(landing / "hubspot/contacts.csv") for i in row["Associated Company IDs"].split(";")
    ]
    assert {i for i in associated if i} <= companies
    parents = set(ids(rows(landing / "dynamics/contacts.csv"), "parentcustomerid"))
    assert parents <= set(ids(rows(landing / "dynamics/accounts.csv"), "accountid"))
    deals = json.loads((landing / "hubspot/deals.json").read_text(encoding="utf-8"))["results"]
    assert {c["id"] for d in deals for c in d["associations"]["companies"]["results"]} <= companies
    opportunities = json.loads((landing / "salesforce/Opportunity.json").read_text(encoding="utf-8"))
    assert opportunities["totalSize"] == len(opportunities["records"]) == len(deals) == 150
    assert {o["AccountId"] for o in opportunities["records"]} - {None} <= accounts


def test_converted_leads_are_the_contacts_they_became(sample: Path) -> None:
    cluster = {row["RECORD_ID"]: row["CLUSTER_ID"] for row in rows(sample / "truth/people.csv")}
    converted = [r for r in rows(sample / "landing/salesforce/Lead.csv") if r["IsConverted"] == "true"]
    pairs = [(expanded(r["Id"]), r["ConvertedContactId"]) for r in converted if r["Id"] != "#N/A"]
    assert pairs
    assert all(cluster[lead] == cluster[contact] for lead, contact in pairs)


def test_dynamics_contacts_mix_two_encodings(sample: Path) -> None:
    lines = (sample / "landing/dynamics/contacts.csv").read_bytes().splitlines()
    kinds = {"ascii": 0, "utf-8": 0, "cp1252": 0}
    for line in lines:
        try:
            kinds["ascii" if line.decode().isascii() else "utf-8"] += 1
        except UnicodeDecodeError:
            kinds["cp1252"] += 1
    assert min(kinds.values()) > 0
    assert kinds["cp1252"] < kinds["utf-8"]


@pytest.mark.parametrize(
    "fault",
    ["test@test.com", "n/a", "000-000-0000", "info@", "9999-", "#N/A", "Ã", "Dr."],
)
def test_faults_of_real_exports_are_there(sample: Path, fault: str) -> None:
    text = "".join(
        p.read_text(encoding="utf-8", errors="replace") for p in sorted((sample / "landing").rglob("*.csv"))
    )
    assert fault in text


def test_some_rows_have_lost_their_id(sample: Path) -> None:
    landing = sample / "landing"
    assert any(row["Id"] == "#N/A" for row in rows(landing / "salesforce/Contact.csv"))
    assert any(row["Record ID"] == "" for row in rows(landing / "hubspot/contacts.csv"))


def test_consent_conflicts_between_sources(sample: Path) -> None:
    cluster = {r["RECORD_ID"]: r["CLUSTER_ID"] for r in rows(sample / "truth/people.csv")}
    said: dict[str, set[str]] = {}
    for row in rows(sample / "landing/salesforce/Contact.csv"):
        said.setdefault(cluster.get(expanded(row["Id"]), ""), set()).add(row["HasOptedOutOfEmail"])
    for row in rows(sample / "landing/hubspot/contacts.csv"):
        said.setdefault(cluster.get(row["Record ID"], ""), set()).add(
            row["Unsubscribed from all email"] or "false"
        )
    assert any(len(states) == 2 for person, states in said.items() if person)


def test_key_of_the_same_person_is_often_but_not_always_the_mail_address(sample: Path) -> None:
    cluster = {r["RECORD_ID"]: r["CLUSTER_ID"] for r in rows(sample / "truth/people.csv")}
    mails: dict[str, list[str]] = {}
    for row in rows(sample / "landing/salesforce/Contact.csv") + rows(sample / "landing/salesforce/Lead.csv"):
        if expanded(row["Id"]) in cluster:
            mails.setdefault(cluster[expanded(row["Id"])], []).append(row["Email"].strip().lower())
    several = [found for found in mails.values() if len(found) > 1]
    share = sum(len(set(found)) == 1 for found in several) / len(several)
    assert 0.5 < share < 0.95

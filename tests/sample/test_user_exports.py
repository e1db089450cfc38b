"""Users of the CRMs: every owner of a record is one, and some who have left still own records."""

from __future__ import annotations

import json
from pathlib import Path

from .test_people_exports import Rows, ids, rows


def share_of_left(owned: Rows, column: str, left: set[str]) -> float:
    owners = [row[column] for row in owned if row[column]]
    return sum(owner in left for owner in owners) / len(owners)


def test_salesforce_records_belong_to_users_of_whom_some_have_left(sample: Path) -> None:
    landing = sample / "landing/salesforce"
    users = rows(landing / "User.csv")
    left = {user["Id"] for user in users if user["IsActive"] == "false"}
    leads = rows(landing / "Lead.csv")
    assert set(ids(leads, "OwnerId")) <= {user["Id"] for user in users}
    assert 0 < len(left) < len(users)
    assert 0.05 < share_of_left(leads, "OwnerId", left) < 0.25


def test_hubspot_names_owners_and_marks_those_who_left(sample: Path) -> None:
    landing = sample / "landing/hubspot"
    owners = json.loads((landing / "owners.json").read_text(encoding="utf-8"))["results"]
    shown = {
        f"{o['firstName']} {o['lastName']}" + (" (Deactivated User)" if o["archived"] else "") for o in owners
    }
    named = {row["Contact owner"] for row in rows(landing / "contacts.csv")} - {""}
    assert named <= shown
    assert any(o["archived"] for o in owners)


def test_dynamics_records_belong_to_system_users(sample: Path) -> None:
    landing = sample / "landing/dynamics"
    users = {row["systemuserid"]: row["isdisabled"] for row in rows(landing / "systemusers.csv")}
    assert {row["ownerid"] for row in rows(landing / "leads.csv")} <= set(users)
    assert set(users.values()) == {"true", "false"}

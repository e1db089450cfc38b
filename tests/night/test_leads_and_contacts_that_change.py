"""A lead that moves on and a contact that changes employer, over two nights of exports."""

from __future__ import annotations

import polars as pl
import pytest

from .project import Project


def rewritten(project: Project, file: str, record: dict[str, str], changes: dict[str, str]) -> None:
    """The export of the next night: the file once more, with one record changed."""
    path = project.landing / file
    frame = pl.read_csv(path, infer_schema=False)
    chosen = pl.all_horizontal(pl.col(c) == v for c, v in record.items())
    assert frame.filter(chosen).height == 1
    changed = frame.with_columns(
        pl.when(chosen).then(pl.lit(v)).otherwise(pl.col(c)).alias(c) for c, v in changes.items()
    )
    changed.write_csv(path, quote_style="always", null_value="#N/A")


@pytest.mark.long
def test_the_past_of_a_lead_and_of_a_contact_is_kept(project: Project) -> None:
    leads = project.read("golden.leads").filter(
        pl.col("lead_state") == "new", pl.col("source") == "salesforce_leads"
    )
    lead = leads.row(0, named=True)
    exported = pl.read_csv(project.landing / "salesforce/Lead.csv", infer_schema=False)
    lead_id = next(i for i in exported["Id"] if i[:15] == lead["record_id"][:15])

    current = project.read("golden.relationships").filter("is_current")
    accounts = project.read("conformed.organisations").filter(pl.col("source") == "salesforce_accounts")
    members = project.read("linked.organisation_members")
    works = current.filter(pl.col("source") == "salesforce_contacts").row(0, named=True)
    contacts = pl.read_csv(project.landing / "salesforce/Contact.csv", infer_schema=False)
    contact_id = next(i for i in contacts["Id"] if i[:15] == works["record_id"][:15])
    other = (
        accounts.filter(~pl.col("is_deleted"))
        .join(members, on=["source", "record_id"])
        .filter(pl.col("entity_id") != works["account_entity_id"])
        .row(0, named=True)
    )

    moved_at = "2026-11-01T08:00:00.000Z"
    project_night = {"LastModifiedDate": moved_at}
    rewritten(
        project, "salesforce/Lead.csv", {"Id": lead_id}, {"Status": "Working - Contacted", **project_night}
    )
    rewritten(
        project,
        "salesforce/Contact.csv",
        {"Id": contact_id},
        {"AccountId": other["record_id"], **project_night},
    )
    assert project.night(day=400).is_success

    life = project.read("golden.lead_states").filter(pl.col("record_id") == lead["record_id"])
    assert life.sort("valid_from")["lead_state"].to_list() == ["new", "working"]
    assert life["is_current"].sum() == 1
    now = project.read("golden.relationships").filter(pl.col("person_entity_id") == works["person_entity_id"])
    before = now.filter(pl.col("account_entity_id") == works["account_entity_id"]).row(0, named=True)
    assert not before["is_current"]
    assert before["valid_to"] is not None
    assert now.filter("is_current")["account_entity_id"].to_list() == [other["entity_id"]]

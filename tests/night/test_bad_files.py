"""Deliveries as they go wrong: each is told, none stops another, and once mended it lands."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest

import crm_hygiene.readers.snapshot as snapshot
from crm_hygiene.night import Night
from crm_hygiene.summary import summarise

from .project import Project

pytestmark = pytest.mark.long

_GOOD_LEAD = (
    "leadid,fullname,companyname,emailaddress1,donotemail,createdon,modifiedon\n"
    "{id},Ada Example,Example Ltd,{id}@example-mail.com,false,2024-01-01T00:00:00Z,2024-01-01T00:00:00Z\n"
)
# A file that cannot be taken as a whole -> a word of the reason a person has to read.
_REFUSED = {
    "salesforce/Lead_empty.csv": "empty",
    "salesforce/Contact_no_id.csv": "Id",
    "dynamics/accounts_page.csv": "HTML",
    "hubspot/deals_cut.json": "cut off",
    "dynamics/leads_extra.csv": "brand_new",
    "dynamics/leads_growing.csv": "changed while it was read",
}


@dataclass
class _Nights:
    project: Project
    before: dict[str, Any]
    notes: list[str]
    after_bad: dict[str, Any]
    refused_then: list[dict[str, Any]]
    quarantine: pl.DataFrame
    newest_person: dict[str, Any]
    last_good: dict[str, Any]
    doubtful: str
    run_id: str


def _spoil(project: Project) -> str:
    """Add one file of every kind of damage; returns the id of the record with a date in 9999."""
    landing = project.landing
    (landing / "salesforce/Lead_empty.csv").write_bytes(b"")
    (landing / "salesforce/Contact_no_id.csv").write_text("FirstName,LastName,Email\nA,B,a@example.com\n")
    (landing / "dynamics/accounts_page.csv").write_text("<!DOCTYPE html><html><body>Sign in</body></html>")
    (landing / "hubspot/deals_cut.json").write_bytes((landing / "hubspot/deals.json").read_bytes()[:-200])
    (landing / "dynamics/leads_growing.csv").write_text(_GOOD_LEAD.format(id="growing"))
    header = "event_id,type,email,campaign,subject,occurred_at\n"
    (landing / "marketing/events_long.csv").write_text(
        header
        + "e-long,open,a@example-mail.com,c,"
        + "x" * (12 * 1024 * 1024)
        + ",2024-01-01T00:00:00Z\n"
        + "e-short,open,a@example-mail.com,c,s,2024-01-01T00:00:00Z\n"
    )
    (landing / "dynamics/leads_extra.csv").write_text(
        _GOOD_LEAD.format(id="extra").replace("leadid", "leadid,brand_new").replace("\nextra,", "\nextra,42,")
    )
    (landing / "dynamics/leads_latin.csv").write_bytes(
        _GOOD_LEAD.format(id="latin").replace("Ada", "Ren\u00e9e").encode("cp1252")
    )
    (landing / "dynamics/leads_cut.csv").write_text(_GOOD_LEAD.format(id="cut") + "cut-off,Bob Exam")
    lines = (landing / "dynamics/contacts.csv").read_bytes().splitlines()
    names, cells = lines[0].split(b","), lines[1].split(b",")
    assert len(names) == len(cells)
    cells[names.index(b"modifiedon")] = b"9999-12-31T00:00:00Z"
    cells[names.index(b"jobtitle")] = b"Time traveller"
    (landing / "dynamics/contacts_9999.csv").write_bytes(b"\n".join([lines[0], b",".join(cells), b""]))
    return cells[0].decode()


def _mend(project: Project) -> None:
    landing = project.landing
    (landing / "salesforce/Lead_empty.csv").write_text(
        "Id,LastName,Company\n00Q000000000001AAA,Mended,Mended Ltd\n"
    )
    (landing / "salesforce/Contact_no_id.csv").write_text("Id,LastName\n003000000000001AAA,Mended\n")
    (landing / "dynamics/leads_extra.csv").write_text(_GOOD_LEAD.format(id="extra"))
    (landing / "dynamics/accounts_page.csv").write_text("accountid,name\nmended,Mended Ltd\n")
    deals = json.loads((landing / "hubspot/deals.json").read_text())
    deals["mended"] = True
    (landing / "hubspot/deals_cut.json").write_text(json.dumps(deals))


@pytest.fixture(scope="module")
def nights(undisturbed: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Nights]:
    project = undisturbed.copy(tmp_path_factory.mktemp("bad") / "project")
    doubtful = _spoil(project)
    growing = project.landing / "dynamics/leads_growing.csv"
    real = codecs.getincrementaldecoder

    class Growing:
        """Stands in for the reader's decoder and writes to the file as it is being read."""

        def __init__(self) -> None:
            self.decoder = real("utf-8")()

        def decode(self, block: bytes, final: bool = False) -> str:
            if b"growing" in block:
                with growing.open("a") as stream:
                    stream.write("growing-on,Another Person,,,,,\n")
            return self.decoder.decode(block, final)

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        before = _person(project, doubtful)
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(snapshot.codecs, "getincrementaldecoder", lambda _: Growing)
            bad = project.night(day=1)
        assert bad.is_success, bad.failures
        first = summarise(Night.open(project.config, bad.run_id), True, {}, bad.notes)
        doubtful_row = _person(project, doubtful)
        quarantine = project.read("quality.quarantine")
        live = {t: project.read(t).height for t in ("golden.contacts", "conformed.people")}
        _mend(project)
        mended = project.night(day=2)
        assert mended.is_success, mended.failures
        yield _Nights(
            project,
            {t: undisturbed.read(t).height for t in live},
            bad.notes,
            live,
            first.refused_files,
            quarantine,
            doubtful_row,
            before,
            doubtful,
            mended.run_id,
        )


def _person(project: Project, record_id: str) -> dict[str, Any]:
    return (
        project.read("conformed.people")
        .filter((pl.col("source") == "dynamics_contacts") & (pl.col("record_id") == record_id))
        .row(0, named=True)
    )


def test_refused_files_are_told_with_their_reason(nights: _Nights) -> None:
    told = {row["file"]: row["reason"] for row in nights.refused_then}
    assert told.keys() == _REFUSED.keys()
    for file, word in _REFUSED.items():
        assert word in told[file]
        assert str(nights.project.folder) not in told[file]
        assert nights.quarantine.filter(pl.col("file") == file).height == 1


def test_nothing_of_a_refused_file_landed(nights: _Nights) -> None:
    for source in ("hubspot_deals", "dynamics_leads"):
        rows = nights.project.read_landing(source).filter(
            pl.col("_landed_at") < nights.project.read("landing.files")["landed_at"].max()
        )
        assert not set(rows["_file"]) & _REFUSED.keys()


def test_everything_else_went_on(nights: _Nights) -> None:
    assert nights.after_bad["golden.contacts"] >= nights.before["golden.contacts"] + 2
    ids = set(
        nights.project.read("conformed.people").filter(pl.col("source") == "dynamics_leads")["record_id"]
    )
    assert {"latin", "cut"} <= ids
    assert "Renée" in nights.project.read("conformed.people")["given_name"].to_list()


def test_damaged_rows_are_in_quarantine_with_reason(nights: _Nights) -> None:
    damaged = nights.quarantine.filter(pl.col("row_number").is_not_null())
    for file, row in (("marketing/events_long.csv", 1), ("dynamics/leads_cut.csv", 2)):
        mine = damaged.filter(pl.col("file") == file)
        assert mine["row_number"].to_list() == [row]
        assert mine["reasons"].list.len().min() > 0  # type: ignore[operator]
    interactions = nights.project.read("conformed.interactions")["record_id"]
    assert "e-short" in interactions
    assert "e-long" not in interactions


def test_what_a_person_should_know_is_noted(nights: _Nights) -> None:
    assert any("leads_latin.csv" in note for note in nights.notes)


def test_record_whose_newest_version_is_refused_keeps_its_last_good_one(nights: _Nights) -> None:
    assert nights.newest_person == nights.last_good
    refused = nights.quarantine.filter(pl.col("record_id") == nights.doubtful)
    assert refused["file"].to_list() == ["dynamics/contacts_9999.csv"]
    assert "modified_at" in refused["reasons"][0][0]


def test_mended_files_land_in_the_next_night(nights: _Nights) -> None:
    files = nights.project.read("landing.files")
    landed = set(files.filter(pl.col("status") == "landed")["file"])
    assert _REFUSED.keys() <= landed
    summary = summarise(Night.open(nights.project.config, nights.run_id), True, {}, [])
    assert summary.refused_files == []
    people = nights.project.read("conformed.people")["record_id"]
    assert {"extra", "growing", "growing-on", "003000000000001AAA"} <= set(people)

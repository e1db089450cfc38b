"""`writeback plan`: counts, samples with personal values shortened, the verdict, JSON and a safe CSV."""

from __future__ import annotations

import csv
import json
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake

Door = Callable[..., tuple[int, str, str]]

ROWS = [
    ("c1", "Contact", "1", "FirstName", "update", "Jon", "Jonathan", 0.5),
    ("c2", "Contact", "2", "Phone", "update", None, "+49301234567", 1.0),
    ("c3", "Contact", "2", "Email", "update", "=cmd()", "ann@one.example", 0.9),
    ("c4", "Contact", "3", "merged_into", "merge", None, "1", 0.8),
    ("c5", "Account", "A", "Industry", "update", "Softwar", "Software", 0.7),
    ("c6", "Contact", "4", "HasOptedOutOfEmail", "suppress", "false", "true", 1.0),
]


@pytest.fixture
def door(tmp_path: Path, front_door: Door) -> Door:
    """Calls `crm-hygiene` in a folder with a small lake: a plan for Salesforce, and six contacts."""
    lake = Lake(str(tmp_path / "lake"), {})
    changes, people = contract_of("writeback.changes"), contract_of("conformed.people")
    plan = pl.DataFrame(
        [
            dict(
                zip(
                    (
                        "change_id",
                        "object",
                        "record_id",
                        "column_name",
                        "change_kind",
                        "before",
                        "after",
                        "confidence",
                    ),
                    row,
                    strict=True,
                ),
                target="salesforce",
                source="salesforce_contacts",
                reason=f"because of {row[0]}",
                entity_id="e",
            )
            for row in ROWS
        ]
    )
    lake.publish(changes, changes.shape(plan), {})
    held = pl.DataFrame(
        [{"source": "salesforce_contacts", "record_id": str(n), "is_deleted": n > 5} for n in range(8)]
    )
    filled = held.with_columns(
        person_kind=pl.lit("contact"),
        file=pl.lit("f"),
        row_number=1,
        observed_at=pl.datetime(2024, 1, 1, time_zone="UTC"),
    )
    lake.publish(people, people.shape(filled), {})
    return partial(front_door, folder=tmp_path)


def test_it_tells_counts_samples_and_that_nothing_was_sent(door: Door) -> None:
    code, out, _ = door("writeback", "plan", "--samples", "9")
    assert code == 0
    text = " ".join(out.split())
    assert "salesforce: 6 changes planned, nothing sent. 5 records touched of 6 known (83.3%)" in text
    assert "would go without asking" in text
    assert "FirstName: J••• → J•••" in text
    assert "Email: =••• → a•••@one.example" in text
    assert "Phone: (empty) → +49•••67" in text
    assert "Industry: Softwar → Software" in text
    assert "merged_into: 1" in text
    assert "because of c1" in text
    assert "Jonathan" not in text


def test_it_can_be_narrowed_and_a_wrong_word_names_the_nearest(door: Door) -> None:
    _, out, _ = door("writeback", "plan", "--object", "Account", "--samples", "0")
    assert "1 changes planned" in out
    assert "Contact" not in out
    for option, word, hint in (
        ("--kind", "updat", "update"),
        ("--object", "Contct", "Contact"),
    ):
        code, _, err = door("writeback", "plan", option, word)
        assert (code, f"did you mean '{hint}'" in err) == (2, True)
    code, out, _ = door("writeback", "plan", "--kind", "link")
    assert code == 0
    assert "Nothing of that is planned" in out


def test_a_plan_that_touches_more_than_the_policy_says_would_wait(door: Door, tmp_path: Path) -> None:
    (tmp_path / "sf.yaml").write_text("target: salesforce\nhalt: {floor: 2}\n")
    (tmp_path / "hygiene.yaml").write_text("target_files: [sf.yaml]\n")
    assert "would wait for approval: more than 2 records and more than 5.0%" in " ".join(
        door("writeback", "plan")[1].split()
    )
    (told,) = json.loads(door("writeback", "plan", "--json")[1])["targets"]
    assert told["waits_for_approval"] is True
    assert (told["records_touched"], told["records_known"]) == (5, 6)


def test_changes_that_a_policy_no_longer_allows_are_told(door: Door, tmp_path: Path) -> None:
    (tmp_path / "sf.yaml").write_text(
        "target: salesforce\nconnector: salesforce\n"
        "objects: {Contact: {fields: {Email: golden}, merges: true}}\n"
    )
    (tmp_path / "hygiene.yaml").write_text("target_files: [sf.yaml]\n")
    assert json.loads(door("writeback", "plan", "--json")[1])["no_longer_allowed"] == 3
    assert "3 of these changes are no longer allowed" in " ".join(door("writeback", "plan")[1].split())


def test_json_shortens_personal_values_unless_asked(door: Door) -> None:
    document = json.loads(door("writeback", "plan", "--json")[1])
    assert document["changes"] == 6
    assert {(c["change_kind"], c["column_name"], c["changes"]) for c in document["counts"]} >= {
        ("update", "FirstName", 1), ("merge", "merged_into", 1),
    }  # fmt: skip
    assert "Jonathan" not in json.dumps(document)
    # The least sure change of a kind comes first.
    asked = ["--json", "--values", "--samples", "1", "--kind", "update"]
    (first,) = json.loads(door("writeback", "plan", *asked)[1])["samples"]
    assert first["after"] == "Jonathan"


def test_the_csv_holds_every_row_in_full_guarded_and_for_its_owner_alone(door: Door, tmp_path: Path) -> None:
    path = tmp_path / "plan.csv"
    code, out, _ = door("writeback", "plan", "--csv", str(path), "--samples", "0")
    assert code == 0
    assert "6 changes written" in out
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = {row["change_id"]: row for row in csv.DictReader(file)}
    assert rows["c1"]["after"] == "Jonathan"
    assert rows["c3"]["before"] == "'=cmd()"
    assert rows["c2"]["before"] == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_night_there_is_no_plan(front_door: Door, tmp_path: Path) -> None:
    code, _, err = front_door("writeback", "plan", folder=tmp_path)
    assert code == 2
    assert "crm-hygiene run" in err

"""A night after an apply: what the new export shows is confirmed before the plan is made."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from .project import FIRST_NIGHT, Project

Door = Callable[..., tuple[int, str, str]]


def as_taken(project: Project, moment: datetime) -> int:
    """Salesforce's next export, in which every update of the written files was taken; counts their rows."""
    taken = 0
    for job in sorted((project.folder / "outbox" / "salesforce").glob("*-update-*")):
        path = project.landing / "salesforce" / f"{job.name.split('-')[0]}.csv"
        text = path.read_text(encoding="utf-8-sig")
        delimiter = ";" if ";" in text.partition("\n")[0] else ","
        # Some exports give ids with 15 characters, some with 18.
        rows = {
            row["Id"][:15]: row for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        }
        with (job / "data.csv").open(newline="", encoding="utf-8") as stream:
            for sent in csv.DictReader(stream):
                row = rows[sent["Id"][:15]]
                row |= {name: value for name, value in sent.items() if value and name != "Id"}
                row["LastModifiedDate"] = f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"
                taken += 1
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, [*next(iter(rows.values()))], delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows.values())
    return taken


@pytest.mark.long
def test_what_an_export_shows_is_confirmed_and_not_planned_again(
    project: Project, front_door: Door, tmp_path: Path
) -> None:
    (project.folder / "sf.yaml").write_text('target: salesforce\nhalt: {share: "1", floor: 100000}\n')
    project.configure("targets: [salesforce]\ntarget_files: [sf.yaml]\n")
    config = ("--config", str(project.config_path), "--json")
    code, out, err = front_door("writeback", "apply", *config)
    assert code == 0, err
    written = json.loads(out)[0]["done"]["written"]
    moment = datetime.now(UTC)
    assert as_taken(project, moment) == written > 0
    sent = project.read("writeback.changes").filter(pl.col("target") == "salesforce")

    outcome = project.night(max(1, (moment - FIRST_NIGHT + timedelta(days=2)).days))

    assert outcome.is_success, outcome.failures
    (told,) = json.loads(front_door("writeback", "status", *config)[1])
    assert (told["confirmed"], told["in_files"], told["reopened"]) == (written, 0, 0)
    fields = ["object", "record_id", "column_name", "after"]
    assert project.read("writeback.changes").join(sent, on=fields, how="semi").is_empty()

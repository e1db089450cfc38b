"""A project folder with its nights; every night has a date of the test's choosing, never the clock's."""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl

from assets import resources, retries
from assets.night import NightOutcome, run_night
from crm_hygiene.config import Config, load_config
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.landing import landing_contract
from crm_hygiene.mapping import Mapping
from crm_hygiene.night import Night, mappings_of
from crm_hygiene.sample import generate

FIRST_NIGHT = datetime(2026, 1, 1, 2, tzinfo=UTC)


@cache
def _built_in() -> dict[str, Mapping]:
    return mappings_of(Config())


@dataclass
class Project:
    """A folder with landing/, lake/ and hygiene.yaml."""

    folder: Path

    @classmethod
    def of_sample(cls, folder: Path, people: int, seed: int = 7) -> Project:
        generate(folder, people, seed)
        project = cls(folder)
        project.configure("")
        return project

    def configure(self, text: str) -> None:
        (self.folder / "hygiene.yaml").write_text(text or "lake: {uri: lake}\n", encoding="utf-8")

    def copy(self, folder: Path) -> Project:
        shutil.copytree(self.folder, folder)
        return Project(folder)

    def exports(self, folder: Path) -> Project:
        """A project in `folder` with the same exports that has had no night."""
        shutil.copytree(self.landing, folder / "landing")
        project = Project(folder)
        project.configure("")
        return project

    @property
    def config_path(self) -> Path:
        return self.folder / "hygiene.yaml"

    @property
    def config(self) -> Config:
        return load_config(self.config_path)

    @property
    def lake(self) -> Lake:
        return Lake(self.config.lake_uri)

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    def night(self, day: int = 0) -> NightOutcome:
        """Run the night of the `day`-th day; a step that fails is not tried again."""
        started_at = FIRST_NIGHT + timedelta(days=day)

        def night_of(config_path: str | None, run_id: str, _: datetime) -> Night:
            key = (config_path, run_id)
            if key not in nights:
                nights[key] = Night.open(load_config(Path(config_path or "")), run_id)
                nights[key].started_at = started_at
            return nights[key]

        nights: dict[Any, Night] = {}
        with (
            mock.patch.object(resources, "started_night", night_of),
            mock.patch.object(retries, "MOST_RETRIES", 0),
        ):
            return run_night(self.config_path, lambda step, text: None)

    def read(self, table: str) -> pl.DataFrame:
        return self.lake.read(contract_of(table))

    def read_landing(self, source: str) -> pl.DataFrame:
        return self.lake.read(landing_contract(_built_in()[source]))

    def versions(self) -> dict[str, int | None]:
        """Delta version of every table there is."""
        return {table: self.lake.version(table) for table in self.lake.tables()}

    def contents(self, tables: tuple[str, ...], without: tuple[str, ...] = ()) -> dict[str, list[Any]]:
        """Rows of tables, in an order that does not depend on the columns left out."""
        found = {}
        for table in tables:
            frame = self.read(table).drop(*without, strict=False)
            found[table] = sorted(frame.rows(), key=repr)
        return found


def export_again(project: Project, day: int) -> None:
    """The next Salesforce export: some contacts changed, one deleted, one new, one under another id."""
    path = project.landing / "salesforce/Contact.csv"
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        columns, rows = list(reader.fieldnames or ()), list(reader)
    rows = rows[day:] + rows[:day]
    stamp = f"2026-01-0{day}T00:00:00.000Z"
    rows[0] |= {"Phone": f"+49 30 901820{day}", "LastModifiedDate": stamp}
    rows[1] |= {"LastName": rows[1]["LastName"] + "e", "LastModifiedDate": stamp}
    rows[2] |= {"IsDeleted": "true", "LastModifiedDate": stamp}
    rows.append({**rows[3], "Id": f"0035g00004Fz{day}aa", "LastModifiedDate": stamp})
    rows[4] |= {"Id": f"0035g00004Fz{day}bb", "LastModifiedDate": stamp}
    rows.append({**rows[5], "Id": f"0035g00004Fz{day}cc", "FirstName": "Zelda", "LastModifiedDate": stamp})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)


OUTCOME = (
    "golden.contacts",
    "golden.accounts",
    "golden.leads",
    "golden.lead_states",
    "golden.relationships",
    "golden.activities",
    "golden.provenance",
    "linked.person_members",
    "linked.organisation_members",
    "linked.person_entities",
    "linked.organisation_entities",
    "reconciled.allocations",
    "reconciled.invoices",
    "reconciled.payments",
    "reconciled.exceptions",
    "reconciled.suggestions",
    "reconciled.order_checks",
    "reconciled.inventory_movements",
    "signals.lead_scores",
    "signals.relationship_strength",
    "writeback.changes",
)

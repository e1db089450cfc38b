"""Nights that conform what landed since are byte for byte the nights that conform everything."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from unittest import mock

import polars as pl
import pytest

from assets import conformed
from assets.publication import run_step
from crm_hygiene.config import Config
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import HygieneError
from crm_hygiene.lake_additions import rows_added_since
from crm_hygiene.landing import land_source, landing_contract
from crm_hygiene.night import Night

from .nights_of_exports import deliver

TABLES = (
    "people",
    "consents",
    "payments",
    "reservations",
    "purchase_order_lines",
    "interactions",
)
#: A mistake in one night stays: rows are kept. So not every night is rebuilt.
COMPARED = (2, 5)
QUARANTINE = contract_of("quality.quarantine")


def _night(folder: Path, number: int) -> Night:
    night = Night.open(Config(base=folder), run_id=f"run {number}")
    night.started_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
    return night


def _land(night: Night, files: dict[str, list[Path]]) -> None:
    for source, paths in files.items():
        refused = land_source(night, night.mappings[source], paths).refused
        assert all("no rows" in reason or "order" in reason for reason in refused.values()), refused


def _conform(night: Night, tables: Sequence[str] = TABLES) -> None:
    for table in tables:
        list(run_step(night, logging.getLogger(), conformed._step(table, night.mappings)))


def _tables(night: Night) -> dict[str, pl.DataFrame]:
    found = {t: night.lake.read(contract_of(f"conformed.{t}")) for t in TABLES}
    refused = night.lake.scan(QUARANTINE).filter(pl.col("table_name").str.starts_with("conformed."))
    return found | {"quarantine": refused.collect().sort("quarantine_id")}


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_nights_of_changes_equal_as_many_rebuilds(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)
    kept, rebuilt = tmp_path / "kept", tmp_path / "rebuilt"
    changes = 0
    for number in range(6):
        files = deliver(kept / "landing", number, chance)
        night = _night(kept, number)
        _land(night, files)
        with mock.patch.object(
            conformed, "conform_changes", wraps=conformed.conform_changes
        ) as conform_changes:
            _conform(night)
        changes += conform_changes.call_count
        if number not in COMPARED:
            continue
        # The same landing with nothing conformed yet.
        shutil.rmtree(rebuilt, ignore_errors=True)
        shutil.copytree(kept, rebuilt)
        shutil.rmtree(rebuilt / "lake" / "conformed")
        shutil.rmtree(rebuilt / "lake" / "quality")
        again = _night(rebuilt, number)
        _conform(again)
        found = _tables(night)
        for table, frame in _tables(again).items():
            assert found[table].equals(frame), (number, table)
            if table != "quarantine":
                name = f"conformed.{table}"
                assert night.lake.state(name) == again.lake.state(name), (number, table)
    assert changes > 10


def test_other_rules_and_other_libraries_conform_everything(tmp_path: Path) -> None:
    night = _night(tmp_path, 0)
    _land(night, deliver(tmp_path / "landing", 0, Random(1)))
    _conform(night, ["people"])
    reads = tuple(f"landing.{n}" for n, m in night.mappings.items() if "people" in m.tables)
    versions = conformed.landing_versions(night, "conformed.people", reads)
    assert versions is not None
    assert versions["landing.dynamics_leads"] is not None
    with mock.patch.object(conformed, "library_versions", return_value={"polars": "0"}):
        assert conformed.landing_versions(night, "conformed.people", reads) is None
    other = _night(tmp_path, 1)
    with mock.patch.object(Night, "rules", "other"):
        assert conformed.landing_versions(other, "conformed.people", reads) is None
    assert conformed.landing_versions(night, "conformed.people", reads[1:]) is None


def test_only_rows_of_new_files_were_added(tmp_path: Path) -> None:
    night = _night(tmp_path, 0)
    contract = landing_contract(night.mappings["dynamics_leads"])
    path = tmp_path / "landing" / "dynamics" / "leads.csv"
    path.parent.mkdir(parents=True)
    for number, lead in enumerate(("a", "b", "c")):
        path.write_text(f"leadid,fullname\n{lead},Ann Lee\n", encoding="utf-8")
        _land(_night(tmp_path, number), {"dynamics_leads": [path]})
    last = night.lake.version(contract.table)
    assert last is not None

    def added(version: int | None) -> list[str] | None:
        rows = rows_added_since(night.lake, contract, version)
        return None if rows is None else sorted(rows.collect()["leadid"].to_list())

    assert added(last) == []
    assert added(last - 1) == ["c"]
    assert added(last - 2) == ["b", "c"]
    assert added(None) == ["a", "b", "c"]
    assert added(last + 1) is None
    night.lake.replace_rows(contract, contract.empty(), "leadid", "a", {})
    assert added(last) is None
    with pytest.raises(HygieneError):
        night.lake.scan(contract, last + 9)


def test_a_record_that_found_its_good_row_does_not_come_again(tmp_path: Path) -> None:
    night = _night(tmp_path, 0)
    path = tmp_path / "landing" / "dynamics" / "leads.csv"
    path.parent.mkdir(parents=True)
    # The newest row of both is refused, of `b` the next one too.
    rows = ["a,Ann,2024-01-01", "a,Ann,9999-01-01", "b,Bo,2024-01-01", "b,Bo,9998-01-01", "b,Bo,9999-01-01"]
    path.write_text("\n".join(["leadid,fullname,modifiedon", *rows]) + "\n", encoding="utf-8")
    _land(night, {"dynamics_leads": [path]})
    _conform(night)
    people = night.lake.read(contract_of("conformed.people"))
    assert people.select("record_id", "row_number").rows() == [("a", 1), ("b", 3)]

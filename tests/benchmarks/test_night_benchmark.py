"""The night's benchmark: ratios from measured figures, a meter of steps, the second night's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bench.changed_exports import change_one_percent
from bench.night_tables import page, ratios
from bench.one_night import StepMeter
from crm_hygiene.sample import generate


def _result(people: int, rows: int, cpu: float) -> dict[str, Any]:
    night = {"is_success": True, "wall_s": 100.0, "cpu_s": cpu, "peak_mib": 900, "notes": []}
    steps = {
        "start": {"wall_s": 5.0, "cpu_s": 5.0, "peak_mib": 200},
        "landing__hubspot_contacts": {"wall_s": 1.0, "cpu_s": 1.0, "peak_mib": 300},
        "link": {"wall_s": 30.0, "cpu_s": 40.0, "peak_mib": 900},
    }
    return {
        "people": people,
        "exported_rows": rows,
        "lake_bytes": 5 << 20,
        "plain": {
            **night,
            "wall_s": 40.0,
            "parts": {"read": {"wall_s": 5.0}, "linkage": {"wall_s": 20.0}},
        },
        "first": {**night, "steps": steps, "pairs_scored": {"person": 12}},
        "changed": {**night, "wall_s": 12.0, "steps": steps},
        "unchanged": {**night, "wall_s": 8.0},
    }


def test_ratios_are_of_this_run_alone() -> None:
    found = ratios(
        [_result(10_000, 1_000, 50), _result(100_000, 10_000, 100), _result(1_000_000, 100_000, 1_300)]
    )
    assert found["10,000"] == {
        "night_to_plain_script": 2.5,
        "changed_to_first_night": 0.12,
        "unchanged_to_first_night": 0.08,
    }
    assert found["100,000"]["linkage_to_plain_linkage"] == 1.5
    assert found["100,000"]["cost_per_record_growth"] == 1.0
    assert found["1,000,000"]["cost_per_record_growth"] == 1.3


def test_a_first_night_that_failed_has_no_ratios() -> None:
    failed = _result(100_000, 10_000, 100)
    failed["first"]["is_success"] = False
    assert ratios([failed]) == {"100,000": {}}


def test_the_page_says_machine_date_and_commit(tmp_path: Path) -> None:
    results = [_result(100_000, 10_000, 100)]
    path = tmp_path / "night.json"
    path.write_text(
        json.dumps(
            {
                "measured_at": "2026-11-21T10:00:00+00:00",
                "commit": "abc123",
                "processor": "Some Processor",
                "cores": 2,
                "memory_gib": 23.5,
                "python": "3.11.7",
                "memory": None,
                "results": results,
                "ratios": ratios(results),
            }
        )
    )
    text = page(path)
    for said in (
        "2026-11-21 10:00",
        "`abc123`",
        "Some Processor",
        "2 cores",
        "| linkage | 30.0 | 40.0 | 900 |",
    ):
        assert said in text


def test_a_meter_gives_each_step_what_is_between_its_start_and_the_next() -> None:
    meter = StepMeter()
    meter("landing__a", "")
    held = bytearray(64 << 20)
    held[::4096] = b"1" * len(held[::4096])
    meter("landing__a", "reading: 3 of 4 files")
    del held
    meter("link", "")
    meter.begin("end")
    assert list(meter.steps) == ["start", "landing__a", "link"]
    assert meter.steps["landing__a"]["peak_mib"] >= 64
    assert all(one["wall_s"] >= 0 for one in meter.steps.values())


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    generate(folder, 2000, events_per_person=5)
    return folder / "landing"


def test_the_second_nights_files_are_about_one_per_cent(landing: Path) -> None:
    contacts = sum(
        pl.read_csv(
            (landing / name).read_bytes().decode(errors="replace").encode(), infer_schema=False
        ).height
        for name in ("salesforce/Contact.csv", "hubspot/contacts.csv", "dynamics/contacts.csv")
    )
    written = change_one_percent(landing)
    # Every hundredth of each of three files, the first row among them.
    assert contacts / 100 <= written["contacts"] < contacts / 100 + 3
    assert written["events"] >= 2000 * 5 / 110
    assert written["ledger_lines"] >= 2
    new = pl.read_csv(landing / "bank/ledger_changed.csv", infer_schema=False)
    invoices = pl.read_csv(landing / "erp/invoices_changed.csv", infer_schema=False)
    old = pl.read_csv(landing / "erp/invoices.csv", infer_schema=False)
    assert new.columns == pl.read_csv(landing / "bank/ledger.csv", infer_schema=False).columns
    assert invoices.columns == old.columns
    assert not set(invoices["invoice_id"]) & set(old["invoice_id"])

"""Whole nights on sample exports of growing size, beside a plain script and pandas with recordlinkage.

Three nights per size, each in a fresh process: the first, one with nothing new, one after about one per
cent of everything changed. The plain script does the bare job on the same exports in the same run. Sizes
also come from the environment, BENCH_PEOPLE="10000 100000".
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.accuracy import figures_of
from bench.changed_exports import change_one_percent
from bench.child import reported
from bench.night_tables import figures_table, page, ratios, ratios_table, steps_table
from bench.one_night import run_night_of
from bench.results import write_results
from crm_hygiene.lake import Lake
from crm_hygiene.sample import generate

HERE = Path(__file__).parent
DEFAULT_PEOPLE = "10000 100000 1000000"
# recordlinkage needs an older pandas than the project: an environment of its own before the project's.
RECORDLINKAGE = HERE.parent / ".venv-recordlinkage" / "bin" / "python"
INTERACTIONS = 5
"""Marketing events of a person, on average."""
RECORDLINKAGE_PEOPLE = 10_000
"""The greatest size at which plain pandas with recordlinkage still finishes in minutes."""


def _table_bytes(lake: Lake) -> dict[str, int]:
    found = {table: lake.statistics(table) for table in lake.tables()}
    return {table: s.byte_count for table, s in found.items() if s is not None}


def _pairs_scored(notes: list[str]) -> dict[str, int]:
    """What linkage said it scored, by kind of entity."""
    told = (re.match(r"(\w+): .*?([\d,]+) candidate pairs", note) for note in notes)
    return {m.group(1): int(m.group(2).replace(",", "")) for m in told if m}


def _night(folder: Path, name: str) -> dict[str, Any]:
    night = run_night_of(folder, name)
    return {**night, "pairs_scored": _pairs_scored(night.get("notes", []))}


def measure(people: int, work: Path, console: Console, memory: str | None, is_beside: bool) -> dict[str, Any]:
    """Three nights on a fresh sample of `people` true persons, and the bare jobs beside them."""
    folder = work / str(people)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(HERE.parent / "dagster.yaml", folder / "dagster.yaml")
    configuration = (HERE.parent / "hygiene.yaml").read_text(encoding="utf-8")
    if memory:
        configuration += f"limits:\n  memory: {memory}\n"
    (folder / "hygiene.yaml").write_text(configuration, encoding="utf-8")
    started = time.perf_counter()
    counts = generate(folder, people, events_per_person=INTERACTIONS)
    found: dict[str, Any] = {
        "people": people,
        "exported_rows": sum(n for name, n in counts.rows.items() if name.startswith("landing/")),
        "sample_s": round(time.perf_counter() - started, 1),
    }
    console.print(f"{people:,} people: {found['exported_rows']:,} rows exported, {found['sample_s']} s")

    def say(what: str, one: dict[str, Any]) -> None:
        console.print(f"  {what}: {one['wall_s']} s wall, {one['cpu_s']} s CPU, {one['peak_mib']:,} MiB")

    if is_beside:
        found["plain"] = reported("bench.plain_night", [str(folder)], folder / "plain.json")
        say("plain script", found["plain"])
        if people <= RECORDLINKAGE_PEOPLE and not RECORDLINKAGE.exists():
            console.print("  pandas and recordlinkage: left out, `make bench` sets them up")
        elif people <= RECORDLINKAGE_PEOPLE:
            found["recordlinkage"] = reported(
                "bench.plain_recordlinkage",
                [str(folder)],
                folder / "recordlinkage.json",
                python=str(RECORDLINKAGE),
            )
            say("pandas and recordlinkage", found["recordlinkage"])
    found["first"] = _night(folder, "first")
    say("first night", found["first"])
    if not found["first"]["is_success"]:
        return found
    lake = Lake(str(folder / "lake"))
    found["table_bytes"] = _table_bytes(lake)
    found["lake_bytes"] = sum(p.stat().st_size for p in (folder / "lake").rglob("*") if p.is_file())
    found["figures"] = figures_of(lake, folder / "truth")
    found["unchanged"] = _night(folder, "unchanged")
    say("nothing changed", found["unchanged"])
    found["changed_rows"] = change_one_percent(folder / "landing")
    found["changed"] = _night(folder, "changed")
    say("1% changed", found["changed"])
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m bench night`."""
    parser.add_argument("--people", type=int, nargs="+", help="true persons, one or more sizes")
    parser.add_argument("--memory", help="limits.memory of the nights, e.g. 1GB; the default's without it")
    parser.add_argument("--only-nights", action="store_true", help="without the plain scripts beside")
    parser.add_argument("--page", type=Path, help="write the tables as Markdown to this file, too")


def command(given: argparse.Namespace, console: Console) -> None:
    """Measure every size asked for and keep the figures as JSON."""
    sizes = given.people or [int(n) for n in os.environ.get("BENCH_PEOPLE", DEFAULT_PEOPLE).split()]
    results = [
        measure(people, given.work.resolve(), console, given.memory, not given.only_nights)
        for people in sizes
    ]
    document = {"memory": given.memory, "results": results, "ratios": ratios(results)}
    for table in (figures_table(results), ratios_table(document["ratios"]), steps_table(results)):
        console.print(table.rich())
    for result in results:
        for name in ("plain", "recordlinkage", "first", "unchanged", "changed"):
            if result.get(name, {}).get("failures"):
                console.print(f"{result['people']:,} {name}: {result[name]['failures']}")
    path = write_results(given.out, "night", document)
    console.print(f"written to {path}")
    if given.page:
        given.page.write_text(page(path), encoding="utf-8")

"""Whole nights on sample exports of growing size: wall, CPU, memory, accuracy.

Three nights per size, each in a fresh process: the first, one with nothing new, one after about one
per cent of the people changed. Sizes also come from the environment, BENCH_PEOPLE="10000 100000".
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from bench.accuracy import figures_of
from bench.one_night import run_night_of
from bench.results import write_results
from crm_hygiene.lake import Lake
from crm_hygiene.sample import generate

HERE = Path(__file__).parent
DEFAULT_PEOPLE = "10000"


def _change_one_percent(folder: Path, people: int) -> int:
    """Deliver changed rows of one source: another job title, a later change time. Returns how many."""
    original = folder / "landing" / "hubspot" / "contacts.csv"
    rows = pl.read_csv(original, infer_schema=False).head(max(1, people // 100))
    rows.with_columns(
        pl.lit("Head of Change").alias("Job Title"),
        pl.lit("2026-11-01 08:00").alias("Last Modified Date"),
    ).write_csv(original.with_name("contacts_changed.csv"))
    return rows.height


def _bytes_below(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def measure(people: int, work: Path) -> dict[str, Any]:
    """Three nights on a fresh sample of `people` true persons."""
    folder = work / str(people)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("hygiene.yaml", "dagster.yaml"):
        shutil.copy(HERE.parent / name, folder / name)
    started = time.perf_counter()
    counts = generate(folder, people)
    found: dict[str, Any] = {
        "people": people,
        "exported_rows": sum(counts.rows.values()),
        "sample_s": round(time.perf_counter() - started, 1),
        "first": run_night_of(folder, "first"),
    }
    found["lake_mib"] = _bytes_below(folder / "lake") >> 20
    if found["first"]["is_success"]:
        found["figures"] = figures_of(Lake(str(folder / "lake")), folder / "truth")
        found["unchanged"] = run_night_of(folder, "unchanged")
        found["changed_rows"] = _change_one_percent(folder, people)
        found["changed"] = run_night_of(folder, "changed")
    return found


def show(results: list[dict[str, Any]], console: Console) -> None:
    """Two tables: nights, and the steps of the first night that took longest."""
    table = Table(title="nights")
    for title in ("people", "night", "wall s", "CPU s", "peak MiB", "lake MiB", "person F1", "org F1"):
        table.add_column(title, justify="right")
    for result in results:
        accuracy = result.get("figures", {}).get("accuracy", {})
        for night in ("first", "unchanged", "changed"):
            if night in result:
                one = result[night]
                is_first = night == "first"
                table.add_row(
                    f"{result['people']:,}",
                    night if one["is_success"] else f"{night}: failed",
                    str(one["wall_s"]),
                    str(one["cpu_s"]),
                    f"{one['peak_mib']:,}",
                    f"{result['lake_mib']:,}" if is_first else "",
                    str(accuracy["person"]["f1"]) if is_first and accuracy else "",
                    str(accuracy["organisation"]["f1"]) if is_first and accuracy else "",
                )
    console.print(table)
    for result in results:
        for night in ("first", "unchanged", "changed"):
            failures = result.get(night, {}).get("failures")
            if failures:
                console.print(f"{result['people']:,} {night}: {failures}")
        steps = sorted(result["first"].get("steps", {}).items(), key=lambda item: -item[1])[:10]
        console.print(f"{result['people']:,}: " + ", ".join(f"{name} {s:.1f} s" for name, s in steps))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m bench night`."""
    parser.add_argument("--people", type=int, nargs="+", help="true persons, one or more sizes")


def command(given: argparse.Namespace, console: Console) -> None:
    """Measure every size asked for and keep the figures as JSON."""
    sizes = given.people or [int(n) for n in os.environ.get("BENCH_PEOPLE", DEFAULT_PEOPLE).split()]
    results = [measure(people, given.work.resolve()) for people in sizes]
    show(results, console)
    console.print(f"written to {write_results(given.out, 'night', {'results': results})}")

"""Linkage on Spark beside DuckDB: the same records and frozen model, equal tables, cost as ratios.

A sample is landed, conformed and linked by one ordinary night on DuckDB, which trains the models; then each
engine links all of it anew in a process of its own. `--lake` takes a lake that has had its first night.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from rich.console import Console
from rich.table import Table

from bench.one_link import TABLES, link_of
from bench.one_night import run_night_of
from bench.results import write_results
from crm_hygiene.sample import generate

PROJECT = Path(__file__).parent.parent
ENGINES = ("duckdb", "spark")


def _lake(people: int, folder: Path) -> Path:
    """The lake of a first night on a fresh sample."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("hygiene.yaml", "dagster.yaml"):
        shutil.copy(PROJECT / name, folder / name)
    generate(folder, people)
    night = run_night_of(folder, "first")
    if not night["is_success"]:
        raise SystemExit(f"the first night failed: {night['failures']}")
    return folder / "lake"


def _differing(left: Path, right: Path, kinds: list[str]) -> list[str]:
    """Tables that are not equal row by row."""
    names = [f"{kind}_{table}.parquet" for kind in kinds for table in TABLES]
    return [n for n in names if not pl.read_parquet(left / n).equals(pl.read_parquet(right / n))]


def measure(lake: Path, work: Path, spark: dict[str, Any]) -> dict[str, Any]:
    """Link the lake's records on each engine; `spark` is the section of hygiene.yaml."""
    found: dict[str, Any] = {"spark_settings": spark}
    for engine in ENGINES:
        folder = work / engine
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        config = folder / "hygiene.yaml"
        config.write_text(
            yaml.safe_dump({"lake": {"uri": str(lake)}, "engine": engine, "spark": spark}), encoding="utf-8"
        )
        found[engine] = link_of(config, folder)
    kinds = list(found["duckdb"]["kinds"])
    found["differing_tables"] = _differing(work / "duckdb", work / "spark", kinds)
    return found


def _cpu(figures: dict[str, Any]) -> float:
    return float(figures["python_cpu_s"] + figures["java_cpu_s"])


def show(found: dict[str, Any], console: Console) -> None:
    """One row per engine, then the ratios and whether the tables are equal."""
    table = Table(title="linkage, both kinds, frozen models")
    for title in (
        "engine",
        "records",
        "pairs scored",
        "wall s",
        "CPU s",
        "of it Java",
        "peak MiB",
        "Java MiB",
    ):
        table.add_column(title, justify="right")
    for engine in ENGINES:
        one = found[engine]
        table.add_row(
            engine,
            f"{sum(k['records'] for k in one['kinds'].values()):,}",
            f"{sum(k['scored_pairs'] for k in one['kinds'].values()):,}",
            str(one["wall_s"]),
            f"{_cpu(one):.1f}",
            str(one["java_cpu_s"]),
            f"{one['python_peak_mib']:,}",
            f"{one['java_peak_mib']:,}",
        )
    console.print(table)
    duckdb, spark = found["duckdb"], found["spark"]
    cpu, wall = _cpu(spark) / _cpu(duckdb), spark["wall_s"] / duckdb["wall_s"]
    console.print(f"Spark to DuckDB: CPU {cpu:.1f}, wall {wall:.1f}")
    differing = found["differing_tables"]
    console.print(f"tables that differ: {', '.join(differing)}" if differing else "every table is equal")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m bench spark`."""
    parser.add_argument("--people", type=int, default=10_000, help="true persons of the sample")
    parser.add_argument("--lake", type=Path, help="a lake to read instead of making one")
    parser.add_argument("--master", default="local[2]", help="spark.master of hygiene.yaml")
    parser.add_argument("--memory", default="2g", help="spark.memory of hygiene.yaml")
    parser.add_argument("--setting", action="append", default=[], help="one of Spark's settings, name=value")


def command(given: argparse.Namespace, console: Console) -> None:
    """Measure, show, keep the figures; fails where a table differs."""
    work = given.work.resolve() / "spark" / str(given.people)
    lake = given.lake.resolve() if given.lake else _lake(given.people, work / "project")
    spark = {
        "master": given.master,
        "memory": given.memory,
        "work_folder": str(work / "handover"),
        "settings": dict(setting.split("=", 1) for setting in given.setting),
    }
    found = {"people": given.people, **measure(lake, work, spark)}
    show(found, console)
    console.print(f"written to {write_results(given.out, 'spark', found)}")
    if found["differing_tables"]:
        raise SystemExit("the engines do not agree")

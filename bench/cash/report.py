"""Reconciliation of generated ledgers with truth: automatic rate, precision, exceptions, cost.

Two consecutive nights per ledger in a process of its own, beside the naive SQL in DuckDB. Seeds 1 to 10 are
for tuning, a record takes fresh ones from 101 on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from bench.cash import transactions
from bench.cash.ledgers import draw, read
from bench.cash.naive_sql import naive
from bench.cash.scoring import made_postings, score, score_reversals, wrong_postings
from bench.results import write_results

PROJECT = Path(__file__).parent.parent.parent
PROFILES = ("referenced", "bare")
BARS = {"referenced": 0.90, "bare": 0.70}
"""Automatic rate asked for; precision is asked to be 1.0000 everywhere."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m bench cash`."""
    parser.add_argument(
        "--lines", type=int, nargs="+", default=[10_000], help="ledger lines, one or more sizes"
    )
    parser.add_argument("--seeds", default="101,102,103", help="seeds, with commas between")
    parser.add_argument(
        "--only", nargs="+", choices=[*PROFILES, "transactions"], help="profiles, or the public set"
    )
    parser.add_argument("--shuffles", type=int, default=0, help="runs more with rows in another order")
    parser.add_argument("--threads", type=int, nargs="+", default=[2], help="threads; lines must be the same")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("BENCH_DATA"), help="folder of public data"
    )


def _nights(folder: Path, threads: int, shuffles: int) -> tuple[dict[str, Any] | None, Path]:
    result = folder / f"nights_{threads}.json"
    result.unlink(missing_ok=True)
    with result.with_suffix(".log").open("w") as log:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "bench.cash.two_nights",
                str(folder),
                str(result),
                "--shuffles",
                str(shuffles),
            ],
            cwd=PROJECT,
            env={**os.environ, "POLARS_MAX_THREADS": str(threads), "PYTHONPATH": str(PROJECT)},
            stderr=log,
            check=False,
        )
    return (json.loads(result.read_text()) if result.exists() else None), result


def measure(
    work: Path, lines: int, profile: str, seed: int, threads: list[int], shuffles: int
) -> dict[str, Any]:
    """Both nights on one ledger, held against its truth, and the naive SQL on the same frames."""
    folder = draw(work, lines, profile, seed)
    found: dict[str, Any] = {"asked_lines": lines, "profile": profile, "seed": seed}
    hashes: set[str] = set()
    for count in threads:
        nights, result = _nights(folder, count, shuffles if count == threads[0] else 0)
        if nights is None:
            return {**found, "failed": f"see {result.with_suffix('.log')}"}
        hashes |= set(nights.pop("hashes"))
        if count == threads[0]:
            allocations = pl.read_parquet(result.with_suffix(".allocations.parquet"))
            truth, cases = read(folder, "truth"), read(folder, "cases")
            made = made_postings(allocations, cases)
            wrong = wrong_postings(made, truth, cases)
            wrong.write_parquet(folder / "wrong.parquet")
            found |= {**nights, **score(made, truth, cases), "reversals": score_reversals(allocations, cases)}
            found["wrong_by_case"] = dict(wrong["case"].value_counts().sort("case").iter_rows())
    return {**found, "is_deterministic": len(hashes) == 1, "naive_sql": naive(folder)}


def show(results: list[dict[str, Any]], console: Console) -> None:
    """One row per ledger, and what is asked for."""
    table = Table(title="cash: two nights, automatic postings")
    for title in (
        "lines", "profile", "seed", "automatic", "bar", "precision", "wrong", "exceptions", "wall s", "CPU s",
        "peak MiB", "same", "SQL precision", "SQL automatic",
    ):  # fmt: skip
        table.add_column(title, justify="right")
    for one in results:
        if "failed" in one:
            table.add_row(f"{one['asked_lines']:,}", one["profile"], str(one["seed"]), one["failed"])
            continue
        table.add_row(
            f"{one['lines']:,}",
            one["profile"],
            str(one["seed"]),
            f"{one['automatic_rate']:.4f}",
            f"{BARS[one['profile']]:.2f}",
            f"{one['precision']:.6f}",
            str(one["wrong"]),
            f"{sum(one['exceptions'].values()):,}",
            " + ".join(str(n["wall_s"]) for n in one["nights"]),
            " + ".join(str(n["cpu_s"]) for n in one["nights"]),
            f"{one['peak_mib']:,}",
            "yes" if one["is_deterministic"] else "NO",
            f"{one['naive_sql']['precision']:.4f}",
            f"{one['naive_sql']['automatic_rate']:.4f}",
        )
    console.print(table)


def command(given: argparse.Namespace, console: Console) -> None:
    """Measure every ledger asked for and keep the figures as JSON."""
    wanted = given.only or [*PROFILES, "transactions"]
    seeds = [int(seed) for seed in given.seeds.split(",")]
    results = [
        measure(given.work.resolve(), lines, profile, seed, given.threads, given.shuffles)
        for lines in given.lines
        for profile in PROFILES
        if profile in wanted
        for seed in seeds
    ]
    if results:
        show(results, console)
    document: dict[str, Any] = {"results": results}
    if "transactions" in wanted:
        if given.data and (given.data / transactions.FOLDER).is_dir():
            document["transactions"] = transactions.measure(given.data)
            console.print(f"transactions: {document['transactions']}")
        else:
            console.print("transactions: left out; name the public data's folder with --data or BENCH_DATA")
    if results or "transactions" in document:
        console.print(f"written to {write_results(given.out, 'cash', document)}")

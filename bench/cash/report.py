"""Reconciliation of generated ledgers with truth: automatic rate, precision, exceptions, cost.

Two consecutive nights per ledger, beside the naive SQL in DuckDB; drawing, each night, scoring and the SQL in
processes of their own, with Parquet files between them. Seeds 1 to 10 are for tuning, a record takes fresh
ones from 101 on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.cash import transactions
from bench.cash.ledgers import folder_of
from bench.cash.night import NIGHTS
from bench.child import PhaseError, measured
from bench.results import write_results

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
    parser.add_argument(
        "--apart", action="store_true", help="every million lines as books of their own, one after the other"
    )
    parser.add_argument("--shuffles", type=int, default=0, help="runs more with rows in another order")
    parser.add_argument("--threads", type=int, nargs="+", default=[2], help="threads; lines must be the same")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("BENCH_DATA"), help="folder of public data"
    )


def _nights(
    folder: Path, out: Path, threads: int, shuffle: int | None = None, *, apart: bool = False
) -> list[dict[str, Any]]:
    """Both nights, each in a process of its own; what each told, and what its whole process took."""
    found = []
    for night in NIGHTS:
        words = [str(folder), str(out), night, *(["--shuffle", str(shuffle)] if shuffle is not None else [])]
        words += ["--apart"] if apart else []
        process = measured("bench.cash.night", words, out / f"{night}.log", threads)
        found.append({**json.loads((out / f"{night}.json").read_text()), "process": process})
    return found


def measure(
    work: Path, lines: int, profile: str, seed: int, threads: list[int], shuffles: int, *, apart: bool = False
) -> dict[str, Any]:
    """Every phase of one ledger: drawing, both nights, scoring, the naive SQL on the same frames.

    `phases` has wall and CPU seconds and the peak of memory of each phase's own process; a night's own are
    those of reconciling alone, without start and reading.
    """
    asked: dict[str, Any] = {"asked_lines": lines, "profile": profile, "seed": seed}
    folder = folder_of(work, lines, profile, seed)
    out = folder / "nights"
    out.mkdir(parents=True, exist_ok=True)
    phases: dict[str, Any] = {}
    try:
        if not (folder / "drawn").exists():
            words = [str(work), str(lines), profile, str(seed)]
            phases["drawing"] = measured("bench.cash.ledgers", words, work / "drawing.log")
            out.mkdir(parents=True, exist_ok=True)
        nights = _nights(folder, out, threads[0], apart=apart)
        phases |= {f"{name} night": night.pop("process") for name, night in zip(NIGHTS, nights, strict=True)}
        phases["scoring"] = measured("bench.cash.scoring", [str(folder), str(out)], out / "scoring.log")
        phases["naive SQL"] = measured("bench.cash.naive_sql", [str(folder), str(out)], out / "naive.log")
        hashes = {nights[-1]["hash"]}
        again = [(count, None) for count in threads[1:]] + [(threads[0], seed) for seed in range(shuffles)]
        for number, (count, shuffle) in enumerate(again):
            other = folder / "nights_again" / str(number)
            other.mkdir(parents=True, exist_ok=True)
            hashes.add(_nights(folder, other, count, shuffle, apart=apart)[-1]["hash"])
            shutil.rmtree(other)
    except PhaseError as error:
        return {**asked, "phases": phases, "failed": str(error)}
    return {
        **asked,
        "lines": nights[-1]["lines"],
        "books": nights[-1].get("books", 1),
        "nights": [{k: night[k] for k in ("lines", "wall_s", "cpu_s", "peak_mib")} for night in nights],
        "phases": phases,
        "allocation_kinds": nights[-1]["allocation_kinds"],
        "exceptions": nights[-1]["exceptions"],
        **json.loads((out / "score.json").read_text()),
        "is_deterministic": len(hashes) == 1,
        "compared_runs": 1 + len(again),
        "naive_sql": json.loads((out / "naive.json").read_text()),
    }


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
            " + ".join(f"{n['peak_mib']:,}" for n in one["nights"]),
            ("yes" if one["is_deterministic"] else "NO") if one["compared_runs"] > 1 else "one run",
            f"{one['naive_sql']['precision']:.4f}",
            f"{one['naive_sql']['automatic_rate']:.4f}",
        )
    console.print(table)
    phases = Table(title="phases, whole processes")
    for title in ("lines", "profile", "seed", "phase", "wall s", "CPU s", "peak MiB"):
        phases.add_column(title, justify="right")
    for one in results:
        for name, took in one["phases"].items():
            phases.add_row(
                f"{one.get('lines', one['asked_lines']):,}",
                one["profile"],
                str(one["seed"]),
                name,
                str(took["wall_s"]),
                str(took["cpu_s"]),
                f"{took['peak_mib']:,}",
            )
    console.print(phases)


def command(given: argparse.Namespace, console: Console) -> None:
    """Measure every ledger asked for and keep the figures as JSON."""
    wanted = given.only or [*PROFILES, "transactions"]
    seeds = [int(seed) for seed in given.seeds.split(",")]
    results = [
        measure(given.work.resolve(), lines, profile, seed, given.threads, given.shuffles, apart=given.apart)
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

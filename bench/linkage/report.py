"""Accuracy of linkage on public data sets with a truth, each through ordinary mappings and one night.

The data are not part of the project: --data, or BENCH_LINKAGE_DATA, names the folder that holds them.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.child import PROJECT
from bench.linkage.datasets import DATA_SETS
from bench.linkage.measure import measure, verdict
from bench.results import write_results
from crm_hygiene.cli.tables import table

DEFAULT_DATA = PROJECT.parent / "shared" / "data" / "linkage"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m bench linkage`."""
    folder = os.environ.get("BENCH_LINKAGE_DATA")
    parser.add_argument(
        "--data", type=Path, default=Path(folder) if folder else DEFAULT_DATA, help="folder of the data sets"
    )
    names = [dataset.name for dataset in DATA_SETS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def show(results: list[dict[str, Any]], console: Console) -> None:
    """Accuracy; cost; what is asked for."""
    accuracy = []
    cost = []
    bars = []
    for found in results:
        own, plain = found.get("accuracy", {}), found.get("plain", {})
        theirs = plain.get("accuracy", {})
        accuracy.append(
            (
                found["name"],
                own.get("record_count"),
                own.get("missing_records"),
                own.get("true_pairs"),
                *(
                    _share(own.get(c))
                    for c in ("precision", "recall", "f1", "bcubed_precision", "bcubed_recall", "bcubed_f1")
                ),
                *(_share(theirs.get(c)) for c in ("precision", "recall", "f1", "bcubed_f1")),
                _share(plain.get("best", {}).get("f1")),
            )
        )
        cost.append(
            (
                found["name"],
                found["pairs_scored"],
                found.get("pairs_kept"),
                found["night_s"],
                found["peak_mib"],
                plain.get("pairs_scored"),
                plain.get("seconds"),
            )
        )
        bars.append(
            (
                found["name"],
                _share(own.get("f1")),
                "" if found["bar"] is None else str(found["bar"]),
                _share(theirs.get("f1")),
                verdict(found),
                found["note"] or plain.get("documented", ""),
            )
        )
    right = "right"
    console.print(
        table(
            "pairwise and B-cubed; plain Splink at 0.95, and at the threshold that labels would choose",
            [
                ("data set", "left"),
                *(
                    (c, right)
                    for c in ("records", "lost", "true pairs", "P", "R", "F1", "B3 P", "B3 R", "B3 F1")
                ),
                *((c, right) for c in ("Splink P", "R", "F1", "B3 F1", "best F1")),
            ],
            accuracy,
        )
    )
    console.print(
        table(
            "cost",
            [
                ("data set", "left"),
                *((c, right) for c in ("scored", "kept", "night s", "peak MiB")),
                *((c, right) for c in ("Splink scored", "Splink s")),
            ],
            cost,
        )
    )
    console.print(
        table(
            "what is asked for",
            [
                ("data set", "left"),
                ("F1", right),
                ("bar", right),
                ("Splink", right),
                ("", "left"),
                ("plain model, labels", "left"),
            ],
            bars,
        )
    )


def command(given: argparse.Namespace, console: Console) -> None:
    """Measure every data set that is there; data that are not are named and left out."""
    wanted = [d for d in DATA_SETS if not given.only or d.name in given.only]
    if not given.data.is_dir():
        console.print(
            f"nothing measured: {given.data} is no folder; name the data's with --data or BENCH_LINKAGE_DATA"
        )
        return
    results = []
    for dataset in wanted:
        missing = dataset.missing(given.data)
        if missing:
            console.print(f"{dataset.name}: left out, {', '.join(missing)} is not below {given.data}")
            continue
        found = measure(dataset, given.data, given.work.resolve())
        results.append(found)
        for step, reason in found["failures"].items():
            console.print(f"{dataset.name}: the night failed: {step} {reason}")
        lost = found.get("accuracy", {}).get("missing_records", 0)
        if lost:
            console.print(
                f"{dataset.name}: {lost:,} records are in no entity and count as alone: see quarantine"
            )
        if "accuracy" in found:
            console.print(f"{dataset.name}: F1 {found['accuracy']['f1']:.4f}, night {found['night_s']} s")
    if results:
        show(results, console)
        console.print(f"written to {write_results(given.out, 'linkage', {'results': results})}")

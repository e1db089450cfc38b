"""One data set: landed, one ordinary night, measured against its truth."""

from __future__ import annotations

import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from bench.child import PROJECT
from bench.linkage.datasets import SOURCES, DataSet
from bench.linkage.plain_splink import PlainResult, opponent
from bench.one_night import run_night_of
from crm_hygiene.contract import contract_of
from crm_hygiene.evaluation.accuracy import Accuracy, pairwise
from crm_hygiene.lake import Lake

_SCORED = re.compile(r"([\d,]+) candidate pairs")


def prepare(dataset: DataSet, data: Path, work: Path) -> Path:
    """A folder of its own with the landed files, the mappings in use and a hygiene.yaml; emptied first."""
    folder = work / "linkage" / dataset.name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "sources").mkdir(parents=True)
    for source in dataset.sources:
        shutil.copy(SOURCES / f"{source}.yaml", folder / "sources")
    dataset.land(data, folder / "landing")
    configuration = {
        "landing": {"folder": "landing"},
        "lake": {"uri": "lake"},
        "sources": {"folders": ["sources"]},
    }
    (folder / "hygiene.yaml").write_text(yaml.safe_dump(configuration, sort_keys=False))
    shutil.copy(PROJECT / "dagster.yaml", folder)
    return folder


def _rounded(accuracy: Accuracy) -> dict[str, Any]:
    return {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(accuracy).items()}


def _pairs_scored(dataset: DataSet, notes: list[str]) -> int | None:
    """Candidate pairs of the kind, as the night tells them."""
    for note in notes:
        found = _SCORED.search(note)
        if found and note.startswith(f"{dataset.kind}:"):
            return int(found[1].replace(",", ""))
    return None


def _plain(result: PlainResult) -> dict[str, Any]:
    return {
        "documented": result.documented,
        "accuracy": _rounded(result.accuracy),
        "best": {k: round(v, 6) for k, v in asdict(result.best).items()},
        "pairs_scored": result.pairs_scored,
        "seconds": round(result.seconds, 1),
    }


def measure(dataset: DataSet, data: Path, work: Path) -> dict[str, Any]:
    """Land, run the night, compare with the truth and with plain Splink.

    Returns
    -------
    dict
        ready for JSON; `accuracy` is absent where the night failed, `plain` where there is no model.
    """
    folder = prepare(dataset, data, work)
    night = run_night_of(folder, "night")
    found: dict[str, Any] = {
        "name": dataset.name,
        "kind": dataset.kind,
        "bar": dataset.bar,
        "note": dataset.note,
        "night_s": night["wall_s"],
        "night_cpu_s": night["cpu_s"],
        "peak_mib": night["peak_mib"],
        "is_success": night["is_success"],
        "failures": night["failures"],
        "pairs_scored": _pairs_scored(dataset, night.get("notes", [])),
        "notes": night.get("notes", []),
    }
    lake = Lake(str(folder / "lake"))
    members = lake.read(contract_of(f"linked.{dataset.kind}_members"))
    if members.height:
        found["accuracy"] = _rounded(pairwise(members, dataset.truth(data)))
        found["pairs_kept"] = lake.read(contract_of(f"linked.{dataset.kind}_pairs")).height
        found["entities"] = members["entity_id"].n_unique()
    plain = opponent(dataset, data)
    if plain is not None:
        found["plain"] = _plain(plain)
    return found


def verdict(found: dict[str, Any]) -> str:
    """`pass`, or what is not reached: the bar, plain Splink; empty where nothing is asked for."""
    if "accuracy" not in found:
        return "the night failed"
    f1 = found["accuracy"]["f1"]
    short = []
    if found["bar"] is not None and f1 < found["bar"]:
        short.append("below the bar")
    # A night ends in one set of entities; plain Splink stands at the threshold its documentation takes.
    if "plain" in found and f1 < found["plain"]["accuracy"]["f1"]:
        short.append("behind plain Splink")
    if short:
        return " and ".join(short)
    return "pass" if found["bar"] is not None or "plain" in found else ""

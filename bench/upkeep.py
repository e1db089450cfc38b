"""A hundred nights on a small lake, with and without upkeep every seventh: how many files there are."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from crm_hygiene.config import UpkeepConfig
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.upkeep import keep_up

_RUNS = contract_of("audit.runs")

# One table of each way in which nights write: added to, replaced whole, replaced in part, and a pair of which
# one names the version of the other.
APPENDED = _RUNS.model_copy(update={"table": "landing.arrivals"})
PUBLISHED = _RUNS.model_copy(update={"table": "golden.things"})
REPLACED = _RUNS.model_copy(update={"table": "quality.refused"})
MEMBERS = _RUNS.model_copy(update={"table": "linked.members"})
REGISTER = _RUNS.model_copy(update={"table": "linked.register"})
TABLES = (APPENDED, PUBLISHED, REPLACED, MEMBERS, REGISTER, _RUNS)

_APPENDS = 3
_DAY_SECONDS = 86_400
SETTINGS = UpkeepConfig(keep_days=14)


@dataclass(frozen=True)
class Standing:
    """The lake after a night: files of the live versions, all files below the tables, and bytes."""

    night: int
    live_files: int
    all_files: int
    byte_count: int


def _rows(*ids: str) -> pl.DataFrame:
    return _RUNS.shape(pl.DataFrame({"run_id": ids, "status": ["succeeded"] * len(ids)}))


def versions_of(lake: Lake) -> dict[str, int]:
    """The live version of every table but the record of runs."""
    live = {contract.table: lake.version(contract.table) for contract in TABLES if contract is not _RUNS}
    return {table: version for table, version in live.items() if version is not None}


def write_night(lake: Lake, number: int, ended_at: datetime, appends: int = _APPENDS) -> None:
    """What one night commits, and its record."""
    texts = {"run_id": f"n{number}", "inputs": f"i{number}"}
    for part in range(appends):
        lake.append(APPENDED, [_rows(f"{number}-{part}")], texts, once=f"{number}-{part}")
    lake.publish(PUBLISHED, _rows(*(f"{number}-{n}" for n in range(5))), texts)
    lake.replace_rows(REPLACED, _rows(f"{number}"), "status", "succeeded", texts)
    if number % 10 == 0:
        lake.publish(REGISTER, _rows(f"{number}"), texts)
    pins = json.dumps({REGISTER.table: lake.version(REGISTER.table)})
    lake.publish(MEMBERS, _rows(f"{number}"), {**texts, "pins": pins})
    record = _rows(f"n{number}").with_columns(
        pl.lit(json.dumps(versions_of(lake))).alias("read_versions"),
        pl.lit(ended_at).dt.cast_time_unit("us").alias("ended_at"),
    )
    lake.append(_RUNS, [_RUNS.shape(record)], texts, once=f"run/{number}")


def age_logs(lake: Lake, seconds: int) -> None:
    """Make every log file look so much older: its age decides whether it may be cleaned up."""
    for path in Path(lake.uri).glob("*/*/_delta_log/*"):
        found = path.stat()
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns - seconds * 10**9))


def standing(lake: Lake, night: int) -> Standing:
    """Count the files."""
    live = [lake.statistics(contract.table) for contract in TABLES]
    stored = [lake.stored(contract.table) for contract in TABLES]
    return Standing(
        night,
        sum(found.file_count for found in live if found),
        sum(len(files) for files in stored),
        sum(sum(files.values()) for files in stored),
    )


def simulate(
    lake: Lake, nights: int, upkeep_every: int | None, appends: int = _APPENDS
) -> Iterator[tuple[int, datetime]]:
    """Write nights one day apart, the last of them today; yields each with its time once it is over."""
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(days=nights)
    for number in range(nights):
        ended_at = first + timedelta(days=number)
        write_night(lake, number, ended_at, appends)
        if upkeep_every is not None and number % upkeep_every == upkeep_every - 1:
            # Files go out of use within seconds here: only what is needed protects them.
            keep_up(lake, SETTINGS, ended_at, keep_hours=0)
        yield number, ended_at
        age_logs(lake, _DAY_SECONDS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How long to simulate."""
    parser.add_argument("--nights", type=int, default=100)
    parser.add_argument("--every", type=int, default=7, help="nights from one upkeep to the next")


def command(given: argparse.Namespace, console: Console) -> None:
    """Simulate, print the counts beside each other, keep them as JSON."""
    found: dict[str, list[Standing]] = {}
    for name, every in (("without", None), ("with", given.every)):
        folder = given.work / "upkeep" / name
        shutil.rmtree(folder, ignore_errors=True)
        lake = Lake(str(folder))
        found[name] = [standing(lake, number) for number, _ in simulate(lake, given.nights, every)]
    table = Table(title=f"Files of {len(TABLES)} tables, upkeep every {given.every} nights")
    for column in ("night", "live without", "live with", "all without", "all with", "MB without", "MB with"):
        table.add_column(column, justify="right")
    for without, tidied in zip(found["without"], found["with"], strict=True):
        if (without.night + 1) % 10 == 0:
            figures = (without.live_files, tidied.live_files, without.all_files, tidied.all_files)
            sizes = (f"{s.byte_count / 1024**2:.1f}" for s in (without, tidied))
            table.add_row(str(without.night + 1), *map(str, figures), *sizes)
    console.print(table)
    given.out.mkdir(parents=True, exist_ok=True)
    out = given.out / "upkeep.json"
    out.write_text(json.dumps({k: [asdict(s) for s in v] for k, v in found.items()}, indent=1) + "\n")
    console.print(f"kept in {out}")

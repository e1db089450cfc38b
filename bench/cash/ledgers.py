"""Generated ledgers as Parquet files: drawn once per size, profile and seed, outside of what is timed.

What does not belong here: any measuring.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.sample.cash import PROFILES, books_of, build_ledger
from crm_hygiene.sample.organisations import build_organisations
from crm_hygiene.sample.vocabulary import load_vocabulary
from crm_hygiene.sample.world import World

PART_LINES = 1_000_000
"""Ledger lines that are drawn at a time; a larger ledger is drawn in parts with other customers."""
ALL = "*"
"""Every part of a ledger."""
_INVOICES_PER_LINE = 0.512
_INVOICES_PER_ORGANISATION = 6


def shaped(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """`frame` with the columns of its contract; what the ledger does not tell is null."""
    schema = contract_of(table).schema
    return frame.select(
        (pl.col(name).cast(kind) if name in frame.columns else pl.lit(None, dtype=kind).alias(name))
        for name, kind in schema.items()
    )


def folder_of(work: Path, lines: int, profile: str, seed: int) -> Path:
    """Where a ledger is kept."""
    return work / "cash" / f"{lines}_{profile}_{seed}"


def draw(folder: Path, lines: int, profile: str, seed: int) -> Path:
    """A folder with the tables of one ledger, `truth` and `cases`; kept where it was drawn before."""
    target = folder_of(folder, lines, profile, seed)
    if (target / "drawn").exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    vocabulary = load_vocabulary()
    serial = 1
    for part, start in enumerate(range(0, lines, PART_LINES)):
        invoices = max(20, round(min(PART_LINES, lines - start) * _INVOICES_PER_LINE))
        people = pl.DataFrame()
        organisations = build_organisations(
            vocabulary, seed * 1000 + part, max(10, invoices // _INVOICES_PER_ORGANISATION)
        )
        world = World(seed * 1000 + part, vocabulary, organisations, people)
        ledger = build_ledger(world, invoices, PROFILES[profile], part=part, first=serial)
        serial += invoices
        books = books_of(world, ledger, PROFILES[profile], part)
        tables = {name: shaped(frame, name) for name, frame in books.tables.items()}
        for name, frame in {**tables, "truth": books.truth, "cases": books.cases}.items():
            (target / name).mkdir(parents=True, exist_ok=True)
            frame.write_parquet(target / name / f"{part:03d}.parquet")
    (target / "drawn").touch()
    return target


def parts_of(folder: Path) -> list[str]:
    """Names of the parts that a ledger was drawn in."""
    return sorted(path.stem for path in (folder / "conformed.payments").glob("*.parquet"))


def scan(folder: Path, table: str, part: str = ALL) -> pl.LazyFrame:
    """One table of a drawn ledger, or of one part of it."""
    return pl.scan_parquet(folder / table / f"{part}.parquet")


def read(folder: Path, table: str, columns: list[str] | None = None, part: str = ALL) -> pl.DataFrame:
    """The same in memory, or some columns of it."""
    return pl.read_parquet(folder / table / f"{part}.parquet", columns=columns)


def main() -> None:
    """Draw one ledger: `ledgers work lines profile seed`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("lines", type=int)
    parser.add_argument("profile", choices=sorted(PROFILES))
    parser.add_argument("seed", type=int)
    given = parser.parse_args()
    draw(given.work, given.lines, given.profile, given.seed)


if __name__ == "__main__":
    main()

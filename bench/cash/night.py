"""One night on one drawn ledger: `night folder out first|second [--shuffle SEED] [--apart]`.

The first night has the documents and entries up to the middle entry's day, the second one all, and the lines
that the first one left in `out`. Reading the files is not timed. With `--apart` each drawn part of the ledger
is a set of books of its own, as of one legal entity, reconciled one after the other. What does not belong
here: scoring.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shutil
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from bench.cash.ledgers import ALL, parts_of, read, scan
from crm_hygiene.cash import load_cash_rules, reconcile
from crm_hygiene.cash.books import Books
from crm_hygiene.contract import contract_of

NIGHTS = ("first", "second")
_TABLES = {
    "invoices": "conformed.invoices",
    "payments": "conformed.payments",
    "orders": "conformed.purchase_orders",
    "members": "linked.organisation_members",
    "organisations": "conformed.organisations",
    "relations": "conformed.payer_relations",
    "advices": "conformed.remittance_advices",
}
_DATED = {"invoices": "issue_date", "payments": "booked_date"}
_HASHED_AT_ONCE = 100_000


def content_hash(allocations: pl.DataFrame) -> str:
    """Hash of the sorted lines; equal for equal content in any order."""
    lines = allocations.select(sorted(allocations.columns)).sort("allocation_id")
    digest = hashlib.sha256()
    for part in lines.iter_slices(_HASHED_AT_ONCE):
        digest.update(part.write_csv(include_header=False).encode())
    return digest.hexdigest()[:16]


def days_of(folder: Path) -> dict[str, date]:
    """The day of each night: that of the middle entry, and of the last."""
    days = scan(folder, "conformed.payments").select("booked_date").collect().to_series().sort()
    middle, last = days[len(days) // 2], days[-1]
    assert isinstance(middle, date)
    assert isinstance(last, date)
    return {"first": middle, "second": last}


def books_at(
    folder: Path, day: date, allocations: pl.DataFrame, shuffle: int | None = None, part: str = ALL
) -> Books:
    """What is known on a day; the rows in another order for each `shuffle`."""
    frames = {}
    for name, table in _TABLES.items():
        frame = scan(folder, table, part)
        if name in _DATED:
            frame = frame.filter(pl.col(_DATED[name]) <= day)
        frames[name] = frame.collect()
        if shuffle is not None:
            frames[name] = frames[name].sample(fraction=1, shuffle=True, seed=shuffle)
    return Books(**frames, allocations=allocations)


def reconcile_part(given: argparse.Namespace, today: date, part: str) -> dict[str, Any]:
    """Reconcile one part, or all; write lines and exceptions, return the figures."""
    name = "000" if part == ALL else part
    schema = contract_of("reconciled.allocations").schema
    before = schema.to_frame() if given.night == "first" else read(given.out, "first.allocations", part=name)
    books, rules = books_at(given.folder, today, before, given.shuffle, part), load_cash_rules()
    lines = books.invoices.height + books.payments.height
    started, used = time.perf_counter(), time.process_time()
    found = reconcile(books, rules, today)
    figures = {
        "lines": lines,
        "wall_s": round(time.perf_counter() - started, 2),
        "cpu_s": round(time.process_time() - used, 2),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    del books
    for table in ("allocations", "exceptions"):
        target = given.out / f"{given.night}.{table}"
        target.mkdir(parents=True, exist_ok=True)
        getattr(found, table).write_parquet(target / f"{name}.parquet")
    kinds = found.allocations["allocation_kind"].value_counts().sort("allocation_kind")
    types = found.exceptions["exception_type"].value_counts().sort("exception_type")
    return {
        **figures,
        "hash": content_hash(found.allocations),
        "allocation_kinds": Counter(dict(kinds.iter_rows())),
        "exceptions": Counter(dict(types.iter_rows())),
    }


def _together(told: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of all parts: sums, the greatest peak, a hash of the hashes."""
    if len(told) == 1:
        return told[0]
    hashes = "".join(one["hash"] for one in told)
    summed = {k: round(sum(one[k] for one in told), 2) for k in ("lines", "wall_s", "cpu_s")}
    counted: dict[str, Counter[str]] = {
        k: sum((one[k] for one in told), Counter()) for k in ("allocation_kinds", "exceptions")
    }
    return {
        **summed,
        **counted,
        "peak_mib": max(one["peak_mib"] for one in told),
        "hash": hashlib.sha256(hashes.encode()).hexdigest()[:16],
        "books": len(told),
    }


def main() -> None:
    """Reconcile; write the lines and exceptions beside the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("night", choices=NIGHTS)
    parser.add_argument("--shuffle", type=int)
    parser.add_argument("--apart", action="store_true")
    given = parser.parse_args()
    for table in ("allocations", "exceptions"):
        shutil.rmtree(given.out / f"{given.night}.{table}", ignore_errors=True)
    today = days_of(given.folder)[given.night]
    parts = parts_of(given.folder) if given.apart else [ALL]
    told = _together([reconcile_part(given, today, part) for part in parts])
    (given.out / f"{given.night}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()

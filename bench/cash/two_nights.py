"""Two nights on one drawn ledger in a process of its own: `two_nights folder result.json`.

The first night has the documents and entries up to the middle entry's day, the second one all. Reading the
files is not timed. What does not belong here: scoring.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from bench.cash.ledgers import read
from crm_hygiene.cash import load_cash_rules, reconcile
from crm_hygiene.cash.books import Books
from crm_hygiene.contract import contract_of

_TABLES = {
    "invoices": "conformed.invoices",
    "payments": "conformed.payments",
    "orders": "conformed.purchase_orders",
    "members": "linked.organisation_members",
    "organisations": "conformed.organisations",
    "relations": "conformed.payer_relations",
    "advices": "conformed.remittance_advices",
}


def content_hash(allocations: pl.DataFrame) -> str:
    """Hash of the sorted lines; equal for equal content in any order."""
    lines = allocations.select(sorted(allocations.columns)).sort("allocation_id")
    return hashlib.sha256(lines.write_csv().encode()).hexdigest()[:16]


def _used(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    result = work()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result, {"wall_s": round(wall, 2), "cpu_s": round(cpu, 2)}


def run(frames: dict[str, pl.DataFrame]) -> tuple[Any, list[dict[str, float]]]:
    """Reconcile on two consecutive nights; the second outcome and what each night cost."""
    rules = load_cash_rules()
    days = frames["payments"]["booked_date"].sort()
    cut, end = days[len(days) // 2], days[-1]
    assert isinstance(cut, date)
    assert isinstance(end, date)
    first = {
        **frames,
        "invoices": frames["invoices"].filter(pl.col("issue_date") <= cut),
        "payments": frames["payments"].filter(pl.col("booked_date") <= cut),
    }
    none = contract_of("reconciled.allocations").schema.to_frame()
    one, first_cost = _used(lambda: reconcile(Books(**first, allocations=none), rules, cut))
    kept = one.allocations
    del one
    two, second_cost = _used(lambda: reconcile(Books(**frames, allocations=kept), rules, end))
    return two, [first_cost, second_cost]


def main() -> None:
    """Run both nights; write the lines and exceptions beside the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--shuffles", type=int, default=0)
    given = parser.parse_args()
    frames = {name: read(given.folder, table) for name, table in _TABLES.items()}
    found, nights = run(frames)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    found.allocations.write_parquet(given.result.with_suffix(".allocations.parquet"))
    found.exceptions.write_parquet(given.result.with_suffix(".exceptions.parquet"))
    hashes = [content_hash(found.allocations)]
    for seed in range(given.shuffles):
        mixed = {n: f.sample(fraction=1, shuffle=True, seed=seed) for n, f in frames.items()}
        hashes.append(content_hash(run(mixed)[0].allocations))
    kinds = found.allocations["allocation_kind"].value_counts().sort("allocation_kind")
    types = found.exceptions["exception_type"].value_counts().sort("exception_type")
    given.result.write_text(
        json.dumps(
            {
                "lines": frames["invoices"].height + frames["payments"].height,
                "nights": nights,
                "peak_mib": peak,
                "hashes": hashes,
                "allocation_kinds": dict(kinds.iter_rows()),
                "exceptions": dict(types.iter_rows()),
            }
        )
    )


if __name__ == "__main__":
    main()

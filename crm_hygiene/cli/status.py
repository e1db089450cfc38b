"""`crm-hygiene status`: last runs, failed checks, freshness, queues."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
from rich.console import Console

from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.options import ConfigOption, JsonOption
from crm_hygiene.cli.tables import table
from crm_hygiene.config import load_config
from crm_hygiene.contract import contract_of
from crm_hygiene.night import Night


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Last runs, gates that failed, freshness, queues."""
    found = status_of(Night.open(load_config(config)))
    if as_json:
        print_json(found)
    else:
        show_status(found, Console())


def status_of(night: Night) -> dict[str, Any]:
    """The state of the lake as plain data: `runs`, `failed_checks`, `freshness`, `queues`."""

    def read(name: str) -> pl.DataFrame:
        return night.lake.read(contract_of(name))

    def count(name: str) -> int:
        return int(night.lake.scan(contract_of(name)).select(pl.len()).collect().item())

    runs = read("audit.runs").sort("started_at", descending=True).head(5)
    gates = read("quality.gate_results")
    latest = gates.filter(pl.col("checked_at") == pl.col("checked_at").max().over("table_name"))
    files = read("landing.files").filter(pl.col("status") == "landed")
    fresh = files.group_by("source").agg(pl.col("landed_at").max(), pl.col("row_count").sum()).sort("source")
    return {
        "runs": runs.select("run_id", "status", "started_at", "ended_at", "reason").to_dicts(),
        "failed_checks": latest.filter(~pl.col("is_passed"))
        .select("table_name", "check_name", "severity", "observed")
        .sort("severity", "table_name", "check_name")
        .to_dicts(),
        "freshness": fresh.to_dicts(),
        "queues": {
            "quarantined rows": count("quality.quarantine"),
            "questions for stewards": count("stewardship.review_queue"),
            "cash exceptions": count("reconciled.exceptions"),
            "planned changes": count("writeback.changes"),
        },
    }


def show_status(found: dict[str, Any], console: Console) -> None:
    """Print the status for a person."""
    if not found["runs"]:
        console.print("No night has run on this lake yet; `crm-hygiene run` starts one.")
        return
    now = datetime.now(UTC)
    console.print(
        table(
            "Last nights that changed something",
            [("started", "left"), ("took", "right"), ("ended", "left"), ("why", "left")],
            (
                (
                    f"{r['started_at']:%Y-%m-%d %H:%M}",
                    f"{(r['ended_at'] - r['started_at']).total_seconds():.0f} s",
                    r["status"],
                    (r["reason"] or "")[:100],
                )
                for r in found["runs"]
            ),
        )
    )
    console.print(
        table(
            "Checks that failed when their table was last computed",
            [("table", "left"), ("check", "left"), ("severity", "left"), ("found", "left")],
            (
                (c["table_name"], c["check_name"], c["severity"], c["observed"])
                for c in found["failed_checks"]
            ),
        )
    )
    console.print(
        table(
            "Sources",
            [("source", "left"), ("last landed", "left"), ("age", "right"), ("rows landed", "right")],
            (
                (
                    f["source"],
                    f"{f['landed_at']:%Y-%m-%d %H:%M}",
                    f"{(now - f['landed_at']).total_seconds() / 3600:.0f} h",
                    f["row_count"],
                )
                for f in found["freshness"]
            ),
        )
    )
    console.print(
        table("Waiting for people", [("queue", "left"), ("rows", "right")], found["queues"].items())
    )
    if found["queues"]["questions for stewards"]:
        console.print(
            "  `crm-hygiene review list` has the questions, the most valuable first", highlight=False
        )

"""The record of a run: what it read, what it published, how it ended (`audit.runs`)."""

from __future__ import annotations

import json
from datetime import datetime

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.night import Night

RUNS = "audit.runs"

# Written by every run that does anything; they are the record, not what is recorded.
_RECORDS = (
    RUNS,
    "quality.gate_results",
    "quality.metrics",
    "quality.distributions",
    "quality.limit_results",
    "quality.quarantine",
    "landing.files",
)


def published_by(lake: Lake, run_id: str, tables: list[str]) -> dict[str, int]:
    """Tables whose content the run changed, with their live version.

    A commit that only notes that newer inputs gave the same content is no change.
    """
    found = {}
    for table in tables:
        commit = {} if table in _RECORDS else lake.metadata(table)
        if commit.get("run_id") == run_id and commit.get("is_changed") != "False":
            version = lake.version(table)
            if version is not None:
                found[table] = version
    return found


def record_run(night: Night, tables: list[str], status: str, ended_at: datetime, reason: str | None) -> bool:
    """Append the run to audit.runs, unless it succeeded without publishing anything.

    A night that found nothing new changes no table; Dagster's own history has it all the same.
    Returns whether a row was added.
    """
    published = published_by(night.lake, night.run_id, tables)
    if not published and status == "succeeded":
        return False
    contract = contract_of(RUNS)
    versions = {table: night.lake.version(table) for table in tables if table not in _RECORDS}
    row = {
        "run_id": night.run_id,
        "status": status,
        "started_at": night.started_at,
        "ended_at": ended_at,
        "rule_fingerprint": night.rules,
        "read_versions": json.dumps({t: v for t, v in versions.items() if v is not None}, sort_keys=True),
        "published": json.dumps(published, sort_keys=True),
        "reason": reason,
    }
    return night.lake.append(
        contract, [pl.DataFrame([row], schema=contract.schema)], night.metadata(), once=f"run/{night.run_id}"
    )

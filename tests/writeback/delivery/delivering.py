"""What the tests of delivery share: a plan as rows, a lake in memory, a clock that nobody waits for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from crm_hygiene.contract import Contract, contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.writeback.delivery.apply import Delivery
from crm_hygiene.writeback.delivery.approval import Approval
from crm_hygiene.writeback.delivery.delivery_log import DeliveryLog
from crm_hygiene.writeback.delivery.dispatch import Watcher, say_nothing
from crm_hygiene.writeback.delivery.report import Report
from crm_hygiene.writeback.delivery.secrets import Redactor
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.target import Target

START = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)


class StandingClock:
    """Stands still until somebody waits."""

    def __init__(self, start: datetime = START) -> None:
        self.moment = start
        self.waits: list[float] = []

    def now(self) -> datetime:
        return self.moment

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.moment += timedelta(seconds=seconds)


class Killed(BaseException):
    """Ends a process in the middle of things, in this process."""


class MemoryLake(Lake):
    """Frames by table; after a kill nothing can be written any more."""

    def __init__(self) -> None:
        super().__init__("memory://lake")
        self.frames: dict[str, pl.DataFrame] = {}
        self.is_dead = False
        self.commits = 0

    def scan(self, contract: Contract, version: int | None = None) -> pl.LazyFrame:
        return self.frames.get(contract.table, contract.empty()).lazy()

    def version(self, table: str, within: float | None = None) -> int | None:
        return self.frames[table].height if table in self.frames else None

    def put(self, table: str, rows: list[dict[str, Any]]) -> None:
        contract = contract_of(table)
        self.frames[table] = contract.shape(pl.DataFrame(rows, schema_overrides=contract.schema))

    def append(
        self,
        contract: Contract,
        parts: Iterable[pl.DataFrame],
        metadata: dict[str, str],
        once: str | None = None,
    ) -> bool:
        if self.is_dead:
            raise Killed
        self.commits += 1
        old = self.frames.get(contract.table, contract.empty())
        self.frames[contract.table] = pl.concat([old, *(contract.shape(part) for part in parts)])
        return True


def policy(**changed: Any) -> TargetPolicy:
    """A policy for `crm`: contacts, accounts and deals; no halting, no canary, unless said."""
    told: dict[str, Any] = {
        "target": "crm",
        "connector": "tryton",
        "objects": {
            "Contact": {
                "default_winner": "golden",
                "external_id": "Key",
                "creates": True,
                "links": "AccountId",
                "merges": True,
            },
            "Account": {"default_winner": "golden", "external_id": "Key", "creates": True},
        },
        "halt": {"share": "1", "floor": 100000},
        "canary": {"share": "0", "floor": 0},
        "pace": {"batch": 4, "per_second": 1000, "per_day": 100000},
        "retry": {"attempts": 4, "first_seconds": 1, "most_seconds": 60},
        "breaker": {"failures": 3, "pause_seconds": 30},
    }
    return TargetPolicy.model_validate({**told, **changed})


def change(
    record_id: str,
    column: str,
    before: str | None,
    after: str | None,
    kind: str = "update",
    object_name: str = "Contact",
    entity_id: str | None = None,
    source: str = "crm_contacts",
) -> dict[str, Any]:
    """A row of writeback.changes."""
    key = "\x1f".join([object_name, record_id, column, kind, str(before), str(after)])
    return {
        "change_id": hashlib.sha256(key.encode()).hexdigest()[:32],
        "target": "crm",
        "object": object_name,
        "source": source,
        "record_id": record_id,
        "column_name": column,
        "change_kind": kind,
        "before": before,
        "after": after,
        "reason": "golden says so",
        "confidence": 1.0,
        "entity_id": entity_id or f"P-{record_id}",
    }


def plan(*rows: dict[str, Any]) -> pl.DataFrame:
    """writeback.changes of these rows."""
    contract = contract_of("writeback.changes")
    return contract.shape(pl.DataFrame([*rows], schema=contract.schema)) if rows else contract.empty()


def delivery(
    lake: Lake,
    target: Target,
    told: TargetPolicy | None = None,
    clock: StandingClock | None = None,
    apply_id: str = "A-1",
    redact: Redactor | None = None,
    watch: Watcher = say_nothing,
) -> Delivery:
    """A delivery over the log of the lake as it is now."""
    told = told or policy()
    log = DeliveryLog(lake, told, {"run_id": "test"})
    return Delivery(
        lake,
        told,
        target,
        log,
        apply_id,
        {"run_id": "test"},
        clock or StandingClock(),
        Random(7),
        redact or Redactor(),
        watch=watch,
    )


def apply(
    lake: Lake,
    target: Target,
    changes: pl.DataFrame,
    told: TargetPolicy | None = None,
    clock: StandingClock | None = None,
    apply_id: str = "A-1",
    population: int = 1000,
    limit: int | None = None,
    approval: Approval | None = None,
) -> Report:
    """One apply of a fresh process, signed in anew."""
    return delivery(lake, target, told, clock, apply_id).apply(changes, population, limit, approval)


def states(lake: Lake, told: TargetPolicy | None = None) -> dict[str, str | None]:
    """Last state of each operation, by record or external id."""
    log = DeliveryLog(lake, told or policy(), {})
    return {
        (e.operation.record_id or (e.operation.external_id or ("", ""))[1]): log.state(key)
        for key, e in log.entries.items()
    }


def ledger(folder: Path) -> Path:
    """Where the ledger of a test lies."""
    return folder / "ledger.sqlite"

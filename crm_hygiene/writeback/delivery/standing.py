"""How a target stands: planned, delivered, confirmed, dead letters, breaker, budget, latency."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.writeback.delivery.breaker import breaker_opened_at
from crm_hygiene.writeback.delivery.delivery_log import (
    ARRIVED,
    DEAD,
    DELIVERIES,
    UNSURE,
    WAITING,
    DeliveryLog,
)
from crm_hygiene.writeback.delivery.outbox import Entry
from crm_hygiene.writeback.delivery.taken_back import taken_back
from crm_hygiene.writeback.policy import TargetPolicy


@dataclass(frozen=True)
class DeadLetter:
    """An operation, or some fields of one, that the target did not take, and why.

    `record_id` of a create is its external id.
    """

    operation_id: str
    object: str
    record_id: str | None
    fields: tuple[str, ...]
    state: str
    code: str
    reason: str


@dataclass(frozen=True)
class TargetStanding:
    """One target's figures; latencies in milliseconds, None before the first answer.

    `held_back` are fields that were undone and are not planned again until `writeback unpark`.
    `in_files` counts what was written to files and not heard of since, `unsure` what a kill left open.
    """

    target: str
    connector: str
    planned: int
    waiting: int
    unsure: int
    in_files: int
    delivered: int
    confirmed: int
    reopened: int
    undone: int
    dead_letters: tuple[DeadLetter, ...]
    dead_by_reason: dict[str, int]
    parked: tuple[tuple[str, str, str], ...]
    held_back: tuple[tuple[str, str, str], ...]
    breaker: str
    budget_left: int
    latency_p50: int | None
    latency_p95: int | None
    last_sent_at: datetime | None


def standing_of(
    lake: Lake, policy: TargetPolicy, log: DeliveryLog, planned: int, now: datetime
) -> TargetStanding:
    """The figures of one target; `planned` is the number of its changes in the plan as it stands."""
    states = Counter(known.state for known in log.standings.values())

    def count(of: frozenset[str | None] | frozenset[str]) -> int:
        return sum(states[state] for state in of)

    letters = tuple(dead_letters(log))
    today = sum(1 for moment in log.sendings if moment.date() == now.date())
    answered = lake.scan(contract_of(DELIVERIES)).filter(
        (pl.col("target") == policy.target) & pl.col("latency_ms").is_not_null()
    )
    latency = answered.select(
        p50=pl.col("latency_ms").quantile(0.5, "nearest"), p95=pl.col("latency_ms").quantile(0.95, "nearest")
    ).collect()
    p50, p95 = latency.row(0)
    undone = taken_back(lake).filter(pl.col("target") == policy.target)
    opened = breaker_opened_at(log)
    lasting = breaker_opened_at(log, now)
    return TargetStanding(
        policy.target,
        policy.connector,
        planned,
        count(WAITING),
        count(UNSURE),
        states["written"],
        count(ARRIVED - {"written"}),
        states["confirmed"],
        states["reopened"],
        states["undone"],
        letters,
        dict(
            sorted(Counter(f"{letter.state}: {letter.code or letter.reason}" for letter in letters).items())
        ),
        tuple(sorted(log.parked)),
        tuple(undone.select("object", "record_id", "column_name").rows()),
        "open" if lasting else "half open: the next apply probes" if opened else "closed",
        max(0, policy.pace.per_day - today),
        None if p50 is None else int(p50),
        None if p95 is None else int(p95),
        max(log.sendings, default=None),
    )


def dead_letters(log: DeliveryLog) -> list[DeadLetter]:
    """Operations that are dead letters, and fields that were left out of others, in the order of delivery."""
    found = [_letter(e, log) for e in log.of_states(DEAD)]
    partly = [e for e in log.of_states(ARRIVED) if log.standings[e.operation_id].left_out]
    for entry in partly:
        fields = tuple(sorted(log.standings[entry.operation_id].left_out))
        operation = entry.operation
        reason = "changed at the target since it was read"
        found.append(
            DeadLetter(
                entry.operation_id,
                operation.object,
                operation.record_id,
                fields,
                "conflict",
                "changed",
                reason,
            )
        )
    return found


def _letter(entry: Entry, log: DeliveryLog) -> DeadLetter:
    known = log.standings[entry.operation_id]
    operation = entry.operation
    return DeadLetter(
        entry.operation_id,
        operation.object,
        operation.record_id or (operation.external_id or (None, None))[1],
        tuple(sorted(operation.after)),
        known.state or "",
        known.code,
        known.answer,
    )

"""The log of decisions: how rows of stewardship.decisions are made and added; nothing is ever changed.

What does not belong here: which rows bind (`crm_hygiene.linkage.decisions`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import LakeError
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.decisions import PAIR, standing
from crm_hygiene.linkage.records import Record
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.night import Night
from crm_hygiene.stewardship.records import ordered

DECISIONS = "stewardship.decisions"

Pair = tuple[EntityKind, Record, Record]
"""Kind and two records, the smaller first."""


def digest(*parts: str) -> str:
    """16 hex digits that stand for `parts`."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def pair_of(row: Mapping[str, Any]) -> Pair:
    """The pair that a row of stewardship.decisions or of the review queue is about."""
    left, right = (row["source_l"], row["record_id_l"]), (row["source_r"], row["record_id_r"])
    return (row["entity_kind"], *ordered(left, right))


@dataclass(frozen=True)
class DecisionLog:
    """stewardship.decisions as it is now."""

    frame: pl.DataFrame

    @classmethod
    def read(cls, lake: Lake) -> DecisionLog:
        """The log of a lake, empty before the first decision."""
        return cls(lake.read(contract_of(DECISIONS)))

    def standing(self) -> dict[Pair, dict[str, Any]]:
        """The row that stands for each pair."""
        return {pair_of(row): row for row in standing(self.frame).iter_rows(named=True)}

    def moment(self, now: datetime) -> datetime:
        """`now`, or just after the last row: where a clock went back the newest row is still the latest."""
        last = self.frame["decided_at"].max()
        return max(now, last + timedelta(microseconds=1)) if isinstance(last, datetime) else now

    def with_rows(self, rows: pl.DataFrame) -> DecisionLog:
        """The log as it would be after `rows`."""
        return DecisionLog(pl.concat([self.frame, rows]))

    def fates(self) -> pl.DataFrame:
        """The log with `state` per row, newest first.

        `state` is binds, overridden, revoked (a judgement) or revocation.
        """
        revoked = self.frame["revokes"].drop_nulls().implode()
        binds = standing(self.frame)["decision_id"].implode()
        return self.frame.with_columns(
            state=pl.when(pl.col("revokes").is_not_null())
            .then(pl.lit("revocation"))
            .when(pl.col("decision_id").is_in(revoked))
            .then(pl.lit("revoked"))
            .when(pl.col("decision_id").is_in(binds))
            .then(pl.lit("binds"))
            .otherwise(pl.lit("overridden"))
        ).sort(["decided_at", "decision_id"], descending=[True, False])


def row_of(
    pair: Pair,
    judgement: str | None,
    reason: str | None,
    decided_by: str,
    decided_at: datetime,
    revokes: str | None = None,
    decision_id: str | None = None,
) -> dict[str, Any]:
    """One row of the log, its group still to be set."""
    kind, left, right = pair
    made = digest(kind, *left, *right, judgement or "", revokes or "", decided_at.isoformat(), decided_by)
    return {
        "decision_id": decision_id or f"D-{made}",
        "entity_kind": kind,
        **dict(zip(PAIR, (*left, *right), strict=True)),
        "judgement": judgement,
        "reason": reason,
        "decided_by": decided_by,
        "decided_at": decided_at,
        "revokes": revokes,
    }


def as_group(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Rows of one act in the shape of the contract; they share `decision_group`."""
    contract = contract_of(DECISIONS)
    if not rows:
        return contract.empty()
    group = "G-" + digest(*sorted(row["decision_id"] for row in rows))
    return pl.DataFrame([{**row, "decision_group": group} for row in rows], schema=contract.schema)


def append(night: Night, rows: pl.DataFrame) -> None:
    """Add the rows of one act in one commit; doing it twice adds them once.

    Raises
    ------
    LakeError
        if the rows break the contract or the lake cannot be written; nothing is written then.
    """
    if rows.is_empty():
        return
    contract = contract_of(DECISIONS)
    rows = contract.shape(rows).sort(contract.key)
    for name in dict.fromkeys((*contract.key, *contract.required)):
        if rows[name].null_count():
            raise LakeError(f"{DECISIONS}: {name} is required; nothing was written")
    for column in contract.columns:
        if column.values and not rows[column.name].drop_nulls().is_in(list(column.values)).all():
            raise LakeError(f"{DECISIONS}: {column.name} must be one of {', '.join(column.values)}")
    if rows["decision_id"].is_duplicated().any():
        raise LakeError(f"{DECISIONS}: a decision_id occurs twice; nothing was written")
    night.lake.append(contract, [rows], night.metadata(), once=f"decisions/{rows['decision_group'][0]}")

"""Approvals: a plan that touches more than the policy's share of records waits until somebody lets it go.

An approval is bound to the digest of one plan: another plan, however alike, asks again. Approvals are
appended and never changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.writeback.policy import HaltPolicy

APPROVALS = "writeback.approvals"


@dataclass(frozen=True)
class Approval:
    """Who lets a plan go, and why."""

    by: str
    why: str


@dataclass(frozen=True)
class Extent:
    """How much of a target a plan touches: records touched, and records there are as far as we know."""

    touched: int
    population: int

    @property
    def share(self) -> Decimal:
        """Touched records of all, 0 to 1; 1 where none is known."""
        return min(Decimal(1), Decimal(self.touched) / self.population) if self.population else Decimal(1)

    def exceeds(self, policy: HaltPolicy) -> bool:
        """Whether both bounds of the policy are passed."""
        return self.touched > policy.floor and self.share > policy.share


def plan_digest(changes: pl.DataFrame, target: str) -> str:
    """16 hexadecimal digits that stand for all changes planned for a target."""
    ids = changes.filter(pl.col("target") == target)["change_id"].sort()
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]


def extent_of(changes: pl.DataFrame, target: str, population: int) -> Extent:
    """How much of the target the plan touches."""
    touched = changes.filter(pl.col("target") == target).select("object", "record_id").n_unique()
    return Extent(touched, population)


def is_approved(lake: Lake, target: str, digest: str) -> bool:
    """Whether somebody has let exactly this plan go."""
    mine = (pl.col("target") == target) & (pl.col("plan_digest") == digest)
    return lake.scan(contract_of(APPROVALS)).filter(mine).collect().height > 0


def approve(
    lake: Lake,
    target: str,
    digest: str,
    extent: Extent,
    approval: Approval,
    now: datetime,
    metadata: Mapping[str, str],
) -> None:
    """Add an approval; the same plan approved by the same person again is passed over."""
    contract = contract_of(APPROVALS)
    row = {
        "approval_id": hashlib.sha256(f"{target}\x1f{digest}\x1f{approval.by}".encode()).hexdigest()[:32],
        "target": target,
        "plan_digest": digest,
        "touched_count": extent.touched,
        "touched_share": round(float(extent.share), 6),
        "reason": approval.why,
        "approved_by": approval.by,
        "approved_at": now,
    }
    frame = contract.shape(pl.DataFrame([row], schema=contract.schema))
    lake.append(contract, [frame], dict(metadata), once=f"approvals/{row['approval_id']}")

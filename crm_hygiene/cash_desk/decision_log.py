"""The log of cash decisions: how rows of stewardship.cash_decisions are made and added; none is changed.

The id of a decision is made of what it says and of how often the same was taken back before: said twice
it is one row, said again after a revocation it is a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, Literal

import polars as pl

from crm_hygiene.cash.money import from_units, units
from crm_hygiene.cash_desk.amounts import plain
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import LakeError
from crm_hygiene.lake import Lake
from crm_hygiene.linkage.records import Record
from crm_hygiene.night import Night
from crm_hygiene.stewardship.log import digest

CASH_DECISIONS = "stewardship.cash_decisions"
DecisionKind = Literal["apply", "split", "write_off", "refund", "park"]
KINDS: tuple[DecisionKind, ...] = ("apply", "split", "write_off", "refund", "park")


@dataclass(frozen=True)
class Line:
    """What one row of a decision says; `amount` in ten-thousandths, None for parking."""

    kind: DecisionKind
    payment: Record | None
    invoice: Record | None = None
    amount: int | None = None
    currency: str | None = None
    until: date | None = None

    @property
    def content(self) -> tuple[str, ...]:
        """All that makes the decision this one and no other; who, when and why do not."""
        return (
            self.kind,
            *(self.payment or ("", "")),
            *(self.invoice or ("", "")),
            "" if self.amount is None else plain(self.amount),
            self.currency or "",
            "" if self.until is None else self.until.isoformat(),
        )


def line_of(row: dict[str, Any]) -> Line:
    """The line that a row of the log, not a revocation, was made of."""
    amount = row["amount"]
    return Line(
        row["decision_kind"],
        (row["payment_source"], row["payment_record_id"]) if row["payment_source"] else None,
        (row["invoice_source"], row["invoice_record_id"]) if row["invoice_source"] else None,
        None if amount is None else units(amount),
        row["currency"],
        row["until_date"],
    )


@dataclass(frozen=True)
class CashLog:
    """stewardship.cash_decisions as it is now, and the ids of those that a night has posted."""

    frame: pl.DataFrame
    posted: frozenset[str] = frozenset()

    @classmethod
    def read(cls, lake: Lake) -> CashLog:
        """The log of a lake, empty before the first decision."""
        frame = lake.read(contract_of(CASH_DECISIONS))
        if frame.is_empty():
            return cls(frame)
        lines = lake.scan(contract_of("reconciled.allocations")).select("decision_id")
        known = frame["cash_decision_id"].implode()
        posted = lines.filter(pl.col("decision_id").is_in(known)).unique().collect()
        return cls(frame, frozenset(posted["decision_id"]))

    @cached_property
    def revoked(self) -> dict[str, dict[str, Any]]:
        """The revocation of each decision that was taken back."""
        gone = self.frame.filter(pl.col("revokes_decision_id").is_not_null())
        return {row["revokes_decision_id"]: row for row in gone.iter_rows(named=True)}

    @cached_property
    def standing(self) -> pl.DataFrame:
        """Decisions that nobody took back, oldest first."""
        return self.frame.filter(
            pl.col("revokes_decision_id").is_null() & ~pl.col("cash_decision_id").is_in(list(self.revoked))
        ).sort("decided_at", "cash_decision_id")

    @cached_property
    def waiting(self) -> pl.DataFrame:
        """Standing decisions on money that no night has posted yet."""
        return self.standing.filter(
            (pl.col("decision_kind") != "park") & ~pl.col("cash_decision_id").is_in(list(self.posted))
        )

    def parked(self, today: date) -> pl.DataFrame:
        """Standing parkings that hold today; their day is the last."""
        return self.standing.filter((pl.col("decision_kind") == "park") & (pl.col("until_date") >= today))

    @cached_property
    def _by_id(self) -> dict[str, dict[str, Any]]:
        return {row["cash_decision_id"]: row for row in self.frame.iter_rows(named=True)}

    def said_before(self, line: Line) -> tuple[str, dict[str, Any] | None, dict[str, Any] | None]:
        """The id a row of `line` gets now, the standing row that says the same, the last one taken back."""
        taken_back = None
        for times in range(len(self._by_id) + 1):
            decision_id = "C-" + digest(*line.content, str(times))
            row = self._by_id.get(decision_id)
            if row is None or decision_id not in self.revoked:
                return decision_id, row, taken_back
            taken_back = row
        raise AssertionError("more revocations than rows")

    def moment(self, now: datetime) -> datetime:
        """`now`, or just after the last row where a clock went back."""
        last = self.frame["decided_at"].max()
        return max(now, last + timedelta(microseconds=1)) if isinstance(last, datetime) else now

    def with_rows(self, rows: pl.DataFrame) -> CashLog:
        """The log as it would be after `rows`."""
        return CashLog(pl.concat([self.frame, rows]), self.posted)

    def fates(self, today: date) -> pl.DataFrame:
        """The log with `state` per row, newest first.

        `state` is waiting (for the next night), posted, parked, due (its day has passed), revoked or
        revocation.
        """
        park, of = pl.col("decision_kind") == "park", pl.col("cash_decision_id")
        return self.frame.with_columns(
            state=pl.when(pl.col("revokes_decision_id").is_not_null())
            .then(pl.lit("revocation"))
            .when(of.is_in(list(self.revoked)))
            .then(pl.lit("revoked"))
            .when(park & (pl.col("until_date") >= today))
            .then(pl.lit("parked"))
            .when(park)
            .then(pl.lit("due"))
            .when(of.is_in(list(self.posted)))
            .then(pl.lit("posted"))
            .otherwise(pl.lit("waiting"))
        ).sort(["decided_at", "cash_decision_id"], descending=[True, False])


def row_of(
    line: Line, decision_id: str, exception_id: str | None, reason: str | None, by: str, at: datetime
) -> dict[str, Any]:
    """One row of the log, its group still to be set; `amount` still in ten-thousandths."""
    payment, invoice = line.payment or (None, None), line.invoice or (None, None)
    return {
        "cash_decision_id": decision_id,
        "decision_kind": line.kind,
        "exception_id": exception_id,
        "payment_source": payment[0],
        "payment_record_id": payment[1],
        "invoice_source": invoice[0],
        "invoice_record_id": invoice[1],
        "amount": line.amount,
        "currency": line.currency,
        "until_date": line.until,
        "reason": reason,
        "decided_by": by,
        "decided_at": at,
    }


def as_acts(acts: Sequence[Sequence[dict[str, Any]]]) -> pl.DataFrame:
    """Rows of several acts in the shape of the contract; the rows of one act share `decision_group`."""
    contract = contract_of(CASH_DECISIONS)
    rows = [
        {**row, "decision_group": "K-" + digest(*sorted(r["cash_decision_id"] for r in act))}
        for act in acts
        for row in act
    ]
    if not rows:
        return contract.empty()
    frame = pl.DataFrame(rows, schema_overrides={**contract.schema, "amount": pl.Int64()})
    return contract.shape(frame.with_columns(from_units("amount"))).sort(contract.key)


def append(night: Night, rows: pl.DataFrame) -> None:
    """Add rows in one commit; doing it twice adds them once.

    Raises
    ------
    LakeError
        if the rows break the contract or the lake cannot be written; nothing is written then.
    """
    if rows.is_empty():
        return
    contract = contract_of(CASH_DECISIONS)
    for name in dict.fromkeys((*contract.key, *contract.required)):
        if rows[name].null_count():
            raise LakeError(f"{CASH_DECISIONS}: {name} is required; nothing was written")
    if rows["cash_decision_id"].is_duplicated().any():
        raise LakeError(f"{CASH_DECISIONS}: a cash_decision_id occurs twice; nothing was written")
    once = "cash_decisions/" + digest(*rows["cash_decision_id"])
    night.lake.append(contract, [rows], night.metadata(), once=once)

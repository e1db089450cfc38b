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
_MONEY = ("amount", "used_amount", "exchange_amount")
_ON_REVERSALS = ("apply", "refund")


@dataclass(frozen=True)
class Line:
    """What one row of a decision says; amounts in ten-thousandths.

    Attributes
    ----------
    amount, currency
        what the invoice is settled by, else what is taken of the payment; None for parking.
    used, used_currency
        what the payment gives for it, where its currency is another.
    exchange
        the part of `amount` that is exchange loss, below 0 a gain.
    takes_back
        the earlier payment that the payment, a reversal, takes back.
    """

    kind: DecisionKind
    payment: Record | None
    invoice: Record | None = None
    amount: int | None = None
    currency: str | None = None
    until: date | None = None
    used: int | None = None
    used_currency: str | None = None
    exchange: int | None = None
    takes_back: Record | None = None

    @property
    def taken(self) -> int:
        """What the payment gives, in ten-thousandths of its own currency."""
        if self.takes_back is not None or (self.kind == "write_off" and self.invoice is not None):
            return 0
        return (self.amount if self.used is None else self.used) or 0

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
            # Ids of decisions that have none of these stay what they were.
            *(() if self.used is None else ("used", plain(self.used), self.used_currency or "")),
            *(() if not self.exchange else ("exchange", plain(self.exchange))),
            *(() if self.takes_back is None else ("takes back", *self.takes_back)),
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
        None if row["used_amount"] is None else units(row["used_amount"]),
        row["used_currency"],
        None if row["exchange_amount"] is None else units(row["exchange_amount"]),
        taken_back_of(row),
    )


def taken_back_of(row: dict[str, Any]) -> Record | None:
    """The payment that a row of the log has taken back by a reversal."""
    record_id = row["taken_back_record_id"]
    return (row["taken_back_source"], record_id) if record_id is not None else None


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
        return cls(frame, frozenset(posted["decision_id"]) | _settled_reversals(lake, frame))

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


def _settled_reversals(lake: Lake, frame: pl.DataFrame) -> frozenset[str]:
    """Decisions on reversals that a night has carried out.

    They may post no line: what is taken back was perhaps never posted. So the question being gone tells.
    """
    payments = lake.scan(contract_of("reconciled.payments")).select("source", "record_id", "amount")
    named = frame.filter(pl.col("decision_kind").is_in(_ON_REVERSALS) & pl.col("exception_id").is_not_null())
    out = payments.filter(pl.col("record_id").is_in(named["payment_record_id"].drop_nulls().implode()))
    outgoing = named.join(
        out.filter(pl.col("amount") < 0).collect(),
        left_on=["payment_source", "payment_record_id"],
        right_on=["source", "record_id"],
        how="semi",
    )
    asked = pl.concat([outgoing, named.filter(pl.col("taken_back_record_id").is_not_null())]).unique()
    if asked.is_empty():
        return frozenset()
    exceptions = lake.scan(contract_of("reconciled.exceptions")).select("exception_id")
    still = exceptions.filter(pl.col("exception_id").is_in(asked["exception_id"].implode())).collect()
    return frozenset(asked.join(still, on="exception_id", how="anti")["cash_decision_id"])


def row_of(
    line: Line, decision_id: str, exception_id: str | None, reason: str | None, by: str, at: datetime
) -> dict[str, Any]:
    """One row of the log, its group still to be set; `amount` still in ten-thousandths."""
    payment, invoice = line.payment or (None, None), line.invoice or (None, None)
    back = line.takes_back or (None, None)
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
        "used_amount": line.used,
        "used_currency": line.used_currency,
        "exchange_amount": line.exchange,
        "taken_back_source": back[0],
        "taken_back_record_id": back[1],
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
    frame = pl.DataFrame(rows, schema_overrides={**contract.schema, **dict.fromkeys(_MONEY, pl.Int64())})
    return contract.shape(frame.with_columns(from_units(name) for name in _MONEY)).sort(contract.key)


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

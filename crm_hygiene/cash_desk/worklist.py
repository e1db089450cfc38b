"""The worklist: open exceptions, those first that are worth most and have waited longest.

Amounts of several currencies do not compare. So each is measured by the median of the invoices in its
currency, and grows by its own size every month it waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from crm_hygiene.cash.money import to_units
from crm_hygiene.cash_desk.balances import INVOICES, PAYMENTS
from crm_hygiene.cash_desk.case import EXCEPTIONS
from crm_hygiene.cash_desk.decision_log import CashLog
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake

_PAYMENT = ["payment_source", "payment_record_id"]
_MONTH = 30
_DECISION = "C-[0-9a-f]{16}"


@dataclass(frozen=True)
class Worklist:
    """Open exceptions, the most pressing first.

    Attributes
    ----------
    rows
        columns of reconciled.exceptions, `left` (of the payment, Decimal) and `payer_name`.
    left_out
        how many more there are beyond the limit.
    decided, parked
        how many are not in it because they are decided since the last night, or put off.
    """

    rows: pl.DataFrame
    left_out: int
    decided: int
    parked: int


def _waiting(log: CashLog) -> pl.DataFrame:
    """What waiting decisions take from each payment, ten-thousandths."""
    takes = ~((pl.col("decision_kind") == "write_off") & pl.col("invoice_record_id").is_not_null())
    rows = log.waiting.filter(takes & pl.col("payment_record_id").is_not_null())
    taken = pl.coalesce("used_amount", "amount").alias("amount")
    return (
        rows.with_columns(taken)
        .select(*_PAYMENT, to_units("amount"))
        .group_by(_PAYMENT)
        .agg(pl.col("amount").sum().alias("taken"))
    )


def worklist(
    lake: Lake,
    today: date,
    exception_type: str | None = None,
    min_amount: int = 0,
    limit: int | None = None,
) -> Worklist:
    """The open exceptions of a lake.

    Parameters
    ----------
    today
        the day by which parked exceptions come back.
    min_amount
        least amount at stake, in ten-thousandths of its own currency.
    """
    log = CashLog.read(lake)
    rows = lake.scan(contract_of(EXCEPTIONS))
    if exception_type is not None:
        rows = rows.filter(pl.col("exception_type") == exception_type)
    stake = pl.coalesce("amount_at_stake", pl.col("amount").abs()).alias("amount_at_stake")
    found = rows.with_columns(stake).collect()
    found = found.filter(found.select(to_units("amount_at_stake").fill_null(0) >= min_amount).to_series())
    parkings = log.parked(today).select("exception_id", *_PAYMENT)
    parked = pl.col("exception_id").is_in(parkings["exception_id"].drop_nulls().implode())
    put_off = parkings.drop_nulls(_PAYMENT).select(_PAYMENT).unique().with_columns(is_put_off=True)
    payments = (
        lake.scan(contract_of(PAYMENTS))
        .select(
            pl.col("source").alias(_PAYMENT[0]),
            pl.col("record_id").alias(_PAYMENT[1]),
            "payer_name",
            "unapplied_amount",
        )
        .join(found.lazy().select(_PAYMENT).unique(), on=_PAYMENT, how="semi")
        .collect()
    )
    # A write-off decides an exception that is about what an invoice lacks.
    of_invoice = (pl.col("decision_kind") == "write_off") & pl.col("invoice_record_id").is_not_null()
    closed = log.waiting.filter(of_invoice)["exception_id"].drop_nulls().implode()
    is_taken = (pl.col("taken") >= to_units("unapplied_amount")).fill_null(value=False)
    # What a night could not carry out waits for the clerk, not for the next night.
    is_stuck = pl.col("reason").str.extract(_DECISION, 0).is_in(log.waiting["cash_decision_id"].implode())
    found = (
        found.join(payments, on=_PAYMENT, how="left")
        .join(_waiting(log), on=_PAYMENT, how="left")
        .join(_scale(lake), on="currency", how="left")
        .join(put_off, on=_PAYMENT, how="left")
        .with_columns(
            left=to_units("unapplied_amount") - pl.col("taken").fill_null(0),
            is_parked=parked | pl.col("is_put_off").fill_null(value=False),
            is_decided=(pl.col("exception_id").is_in(closed) | is_taken) & ~is_stuck.fill_null(value=False),
        )
    )
    is_open = ~pl.col("is_parked") & ~pl.col("is_decided")
    size = to_units("amount_at_stake").fill_null(0) * 1000 // pl.coalesce("scale", pl.lit(10_000_000))
    pressing = size * (_MONTH + pl.col("age_days").fill_null(0))
    ranked = (
        found.filter(is_open)
        .with_columns(pressing=pressing)
        .sort(
            "pressing",
            "amount_at_stake",
            "age_days",
            "exception_id",
            descending=[True, True, True, False],
            nulls_last=True,
        )
    )
    shown = ranked if limit is None else ranked.head(limit)
    columns = contract_of(EXCEPTIONS).column_names
    left = (pl.col("left").cast(pl.Decimal(38, 0)) * pl.lit("0.0001").cast(pl.Decimal(5, 4))).cast(
        pl.Decimal(18, 4)
    )
    return Worklist(
        shown.select(*columns, left.alias("left"), "payer_name"),
        ranked.height - shown.height,
        found.filter(~pl.col("is_parked") & pl.col("is_decided")).height,
        found.filter(pl.col("is_parked")).height,
    )


def _scale(lake: Lake) -> pl.DataFrame:
    """The median invoice of each currency, ten-thousandths, 1 at least."""
    return (
        lake.scan(contract_of(INVOICES))
        .select("currency", to_units("amount").abs().alias("scale"))
        .filter(pl.col("scale") > 0)
        .group_by("currency")
        # Of an even number the lower of the two in the middle: whole, whatever the order.
        .agg(pl.col("scale").quantile(0.5, "lower").cast(pl.Int64))
        .collect()
    )

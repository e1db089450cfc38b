"""The ledger: what payments and invoices still have open, and the postings between them.

Append-only: earlier allocations only lower what is open. Conservation is kept here and nowhere else:
no posting takes more than a payment has or an invoice is open for. What does not belong here: the
choice of what to post (`stages`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from crm_hygiene.cash.money import from_units, to_units
from crm_hygiene.contract import contract_of

PAYMENT_KEY = ["payment_source", "payment_record_id"]
INVOICE_KEY = ["invoice_source", "invoice_record_id"]


@dataclass
class Ledger:
    """Open amounts by row number of payment and invoice, in ten-thousandths, and tonight's postings."""

    payment_open: list[int]
    invoice_open: list[int]
    is_touched: list[bool]
    postings: list[tuple[int, int, str, int, str, str]] = field(default_factory=list)

    def post(self, p: int, i: int, paid: int, fee: int, stage: str, evidence: str) -> None:
        """Post `paid` of payment `p`, and `fee` on top, to invoice `i`.

        Raises
        ------
        ValueError
            if the posting would break conservation.
        """
        if paid <= 0 or fee < 0 or paid > self.payment_open[p] or paid + fee > self.invoice_open[i]:
            raise ValueError(
                f"posting {paid}+{fee} of payment row {p} to invoice row {i} breaks conservation"
            )
        self.payment_open[p] -= paid
        self.invoice_open[i] -= paid + fee
        self.is_touched[p] = True
        self.postings.append((p, i, "payment", paid, stage, evidence))
        if fee:
            self.postings.append((p, i, "fee", fee, stage, evidence))


def applied(allocations: pl.DataFrame) -> pl.DataFrame:
    """Sum allocated per payment (fees left out), `applied` in ten-thousandths."""
    return (
        allocations.filter(pl.col("allocation_kind") != "fee")
        .group_by(PAYMENT_KEY)
        .agg(to_units("allocated_amount").sum().alias("applied"))
    )


def settled(allocations: pl.DataFrame) -> pl.DataFrame:
    """Sum allocated per invoice, `paid` and `fee` in ten-thousandths."""
    is_fee = pl.col("allocation_kind") == "fee"
    amount = to_units("allocated_amount")
    return allocations.group_by(INVOICE_KEY).agg(
        amount.filter(~is_fee).sum().alias("paid"), amount.filter(is_fee).sum().alias("fee")
    )


def _keyed(frame: pl.DataFrame, sums: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    return frame.join(sums, left_on=["source", "record_id"], right_on=key, how="left", maintain_order="left")


def open_ledger(payments: pl.DataFrame, invoices: pl.DataFrame, previous: pl.DataFrame) -> Ledger:
    """The ledger before tonight: amounts less what earlier nights posted.

    Parameters
    ----------
    payments, invoices
        in row order, with `source`, `record_id`, `amount` in ten-thousandths; payments also `is_reversal`.
    previous
        `reconciled.allocations`.
    """
    had = _keyed(payments, applied(previous), PAYMENT_KEY)
    is_matchable = (pl.col("amount") > 0) & ~pl.col("is_reversal").fill_null(value=False)
    left = (pl.col("amount") - pl.col("applied").fill_null(0)).clip(lower_bound=0)
    owed = _keyed(invoices, settled(previous), INVOICE_KEY)
    unsettled = pl.col("amount") - pl.col("paid").fill_null(0) - pl.col("fee").fill_null(0)
    return Ledger(
        payment_open=had.select(pl.when(is_matchable).then(left).otherwise(0).alias("n"))["n"].to_list(),
        invoice_open=owed.select(unsettled.clip(lower_bound=0))["amount"].to_list(),
        is_touched=had["applied"].is_not_null().to_list(),
    )


def _allocation_ids(new: pl.DataFrame, previous: pl.DataFrame) -> list[str]:
    """SHA-256 of payment, invoice, amount and kind; the same posting made on a later night counts up."""
    what = [*PAYMENT_KEY, *INVOICE_KEY, "allocation_kind", "allocated_amount"]
    touched = previous.join(new.select(PAYMENT_KEY).unique(), on=PAYMENT_KEY, how="semi")
    earlier = Counter(touched.select(what).iter_rows())
    ids = []
    for row in new.select(what).iter_rows():
        again = earlier[row]
        parts = [*map(str, row), *([str(again)] if again else [])]
        ids.append(hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32])
    return ids


def allocations_of(
    ledger: Ledger, payments: pl.DataFrame, invoices: pl.DataFrame, previous: pl.DataFrame
) -> pl.DataFrame:
    """`reconciled.allocations`: earlier ones as they are, tonight's added, sorted by payment and invoice."""
    contract = contract_of("reconciled.allocations")
    order = [*PAYMENT_KEY, *INVOICE_KEY, "allocation_kind", "allocation_id"]
    kept = contract.shape(previous)
    if not ledger.postings:
        return kept.sort(order)
    names = ["p", "i", "allocation_kind", "allocated_amount", "stage_name", "evidence"]
    columns = dict(zip(names, zip(*ledger.postings, strict=True), strict=True))
    posted = pl.DataFrame({k: list(v) for k, v in columns.items()}).with_columns(
        from_units("allocated_amount")
    )
    paid_by = payments[posted["p"]]
    owed_by = invoices[posted["i"]]
    new = posted.with_columns(
        paid_by["source"].alias("payment_source"),
        paid_by["record_id"].alias("payment_record_id"),
        paid_by["currency"],
        paid_by["booked_date"],
        owed_by["source"].alias("invoice_source"),
        owed_by["record_id"].alias("invoice_record_id"),
    ).drop("p", "i")
    new = new.with_columns(pl.Series("allocation_id", _allocation_ids(new, previous), dtype=pl.String))
    return pl.concat([kept, contract.shape(new)]).sort(order)


def invoice_states(invoices: pl.DataFrame, allocations: pl.DataFrame, as_of: object) -> pl.DataFrame:
    """`reconciled.invoices`: open = amount - paid - fee, never below 0 for a claim.

    Parameters
    ----------
    invoices
        with `amount` in ten-thousandths and `entity_id` of the customer.
    as_of
        the day overdue days are counted to.
    """
    state = _keyed(invoices, settled(allocations), INVOICE_KEY).with_columns(
        pl.col("paid").fill_null(0), pl.col("fee").fill_null(0)
    )
    rest = pl.col("amount") - pl.col("paid") - pl.col("fee")
    is_credit = pl.col("amount") < 0
    status = (
        pl.when(is_credit).then(pl.lit("credit"))
        .when(rest < 0).then(pl.lit("overpaid"))
        .when(rest == 0).then(pl.lit("paid"))
        .when(rest == pl.col("amount")).then(pl.lit("open"))
        .otherwise(pl.lit("partly_paid"))
    )  # fmt: skip
    late = (pl.lit(as_of) - pl.col("due_date")).dt.total_days()
    is_owed = pl.col("status").is_in(["open", "partly_paid"])
    state = state.with_columns(
        pl.when(is_credit).then(rest).otherwise(rest.clip(lower_bound=0)).alias("open_amount"),
        status.alias("status"),
        pl.col("paid").alias("paid_amount"),
        pl.col("fee").alias("fee_amount"),
        pl.col("entity_id").alias("account_entity_id"),
    ).with_columns(
        pl.when(is_owed).then(late.clip(lower_bound=0)).otherwise(pl.lit(0)).alias("days_overdue"),
    )
    state = state.with_columns(from_units(c) for c in ("amount", "open_amount", "paid_amount", "fee_amount"))
    contract = contract_of("reconciled.invoices")
    return contract.shape(state.select(c for c in contract.column_names if c in state.columns)).sort(
        contract.key
    )


def payment_states(payments: pl.DataFrame, allocations: pl.DataFrame) -> pl.DataFrame:
    """`reconciled.payments`: applied + unapplied = amount for every payment.

    Parameters
    ----------
    payments
        with `amount` in ten-thousandths and `account_entity_id` of the payer.
    """
    state = _keyed(payments, applied(allocations), PAYMENT_KEY).with_columns(pl.col("applied").fill_null(0))
    rest = pl.col("amount") - pl.col("applied")
    status = (
        pl.when(pl.col("amount") < 0).then(pl.lit("outgoing"))
        .when(rest <= 0).then(pl.lit("applied"))
        .when(pl.col("applied") > 0).then(pl.lit("partly_applied"))
        .otherwise(pl.lit("unapplied"))
    )  # fmt: skip
    state = state.with_columns(
        pl.col("applied").alias("applied_amount"), rest.alias("unapplied_amount"), status.alias("status")
    ).with_columns(from_units(c) for c in ("amount", "applied_amount", "unapplied_amount"))
    contract = contract_of("reconciled.payments")
    return contract.shape(state.select(c for c in contract.column_names if c in state.columns)).sort(
        contract.key
    )

"""Splink's transactions as a pure payment-linking set: which destination entry pays which origin entry.

An origin is written as an invoice, a destination as a payment. The set has no accounts, no numbers and no
customers: an origin's memo is the customer's name, a destination's memo the payer's name and the text,
nothing else is told, and no column of the truth is read. Amounts differ by a few per cent where money was
changed, which is no case of a ledger: those an engine of postings must leave open. What does not
belong here: tuning to this set.
"""

from __future__ import annotations

import resource
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from bench.cash.ledgers import shaped
from crm_hygiene.cash import load_cash_rules, reconcile
from crm_hygiene.cash.books import Books
from crm_hygiene.contract import contract_of
from crm_hygiene.standardise.organisations import standardise_organisation_names

FOLDER = Path("linkage/splink_transactions_open")
_DAYS = 10
"""Days after which an origin counts as due; money is under way for about so long."""


def _named(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    names = standardise_organisation_names(frame.select(raw="memo").unique(maintain_order=True))
    normal = names.select(memo="raw", organisation_name_normalised="organisation_name_normalised")
    return frame.join(normal, on="memo", how="left", maintain_order="left").with_columns(
        pl.col("memo").alias(column)
    )


def books(data: Path) -> Books:
    """The set as books."""
    origin = pl.read_parquet(data / FOLDER / "origin.parquet").drop("ground_truth")
    target = pl.read_parquet(data / FOLDER / "destination.parquet").drop("ground_truth")
    amount = pl.col("amount").round(2).cast(pl.Decimal(18, 4))
    invoices = _named(origin, "customer_name").select(
        amount,
        "customer_name",
        "organisation_name_normalised",
        source=pl.lit("origin"),
        record_id=pl.col("unique_id").cast(pl.String),
        is_deleted=pl.lit(False),
        document_kind=pl.lit("invoice"),
        invoice_number="ORIGIN-" + pl.col("unique_id").cast(pl.String),
        customer_record_id=pl.col("organisation_name_normalised"),
        issue_date=pl.col("transaction_date"),
        due_date=pl.col("transaction_date") + timedelta(days=_DAYS),
        currency=pl.lit("GBP"),
        document_status=pl.lit("open"),
    )
    payments = _named(target, "payer_name").select(
        amount,
        "payer_name",
        "organisation_name_normalised",
        source=pl.lit("destination"),
        record_id=pl.col("unique_id").cast(pl.String),
        entry_key=pl.col("unique_id").cast(pl.String),
        booked_date=pl.col("transaction_date"),
        value_date=pl.col("transaction_date"),
        currency=pl.lit("GBP"),
        remittance_text=pl.col("memo"),
        statement_kind=pl.lit("statement"),
        payment_kind=pl.lit("payment"),
        is_reversal=pl.lit(False),
    )
    tables = {"invoices": "conformed.invoices", "payments": "conformed.payments"}
    frames = {k: shaped({"invoices": invoices, "payments": payments}[k], t) for k, t in tables.items()}
    empty = {
        "orders": "conformed.purchase_orders",
        "members": "linked.organisation_members",
        "organisations": "conformed.organisations",
        "allocations": "reconciled.allocations",
    }
    return Books(**frames, **{k: contract_of(t).schema.to_frame() for k, t in empty.items()})


def measure(data: Path) -> dict[str, Any]:
    """Precision and recall of the pairs posted automatically, seconds and exceptions."""
    given = books(data)
    today = given.payments["booked_date"].max()
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    found = reconcile(given, load_cash_rules(), today)  # type: ignore[arg-type]
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    truth = pl.read_csv(data / FOLDER / "truth.csv", infer_schema=False)
    made = found.allocations.filter(pl.col("invoice_record_id").is_not_null()).select(
        unique_id_destination="payment_record_id", unique_id_origin="invoice_record_id"
    )
    pairs = made.drop_nulls().unique()
    right = pairs.join(truth, on=pairs.columns, how="semi").height
    types = found.exceptions["exception_type"].value_counts().sort("exception_type")
    return {
        "pairs": pairs.height,
        "wrong": pairs.height - right,
        "precision": right / pairs.height if pairs.height else 1.0,
        "recall": right / truth.height,
        "wall_s": round(wall, 2),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        "exceptions": dict(types.iter_rows()),
    }

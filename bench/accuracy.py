"""Accuracy of a night against the sample's truth: people, organisations, payments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.evaluation.accuracy import pairwise
from crm_hygiene.lake import Lake

_POSTING = ["payment_source", "payment_record_id", "invoice_source", "invoice_record_id"]


def _text(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)


def linkage_accuracy(lake: Lake, truth: Path, kind: str) -> dict[str, float]:
    """Pairwise precision, recall and F1 of `person` or `organisation`."""
    members = lake.scan(contract_of(f"linked.{kind}_members")).collect()
    name = {"person": "people.csv", "organisation": "organisations.csv"}[kind]
    found = pairwise(members, _text(truth / name))
    return {
        "precision": round(found.precision, 4),
        "recall": round(found.recall, 4),
        "f1": round(found.f1, 4),
    }


def payment_accuracy(lake: Lake, truth: Path) -> dict[str, float]:
    """Precision and recall of (payment, invoice) postings that the night made by itself."""
    allocations = lake.scan(contract_of("reconciled.allocations"))
    made = (
        allocations.filter(pl.col("allocation_kind") == "payment", pl.col("invoice_record_id").is_not_null())
        .select(_POSTING)
        .unique()
        .collect()
    )
    true = _text(truth / "payments.csv").rename(
        dict(
            zip(
                ["PAYMENT_SOURCE", "PAYMENT_ID", "INVOICE_SOURCE", "INVOICE_ID"],
                _POSTING,
                strict=True,
            )
        )
    )
    true = true.filter(pl.col("invoice_record_id").is_not_null()).select(_POSTING).unique()
    right = made.join(true, on=_POSTING, how="semi").height
    return {
        "precision": round(right / made.height, 4) if made.height else 1.0,
        "recall": round(right / true.height, 4) if true.height else 1.0,
    }


def figures_of(lake: Lake, truth: Path) -> dict[str, Any]:
    """Rows, entities, pairs kept, accuracy."""

    def rows(table: str) -> int:
        return int(lake.scan(contract_of(table)).select(pl.len()).collect().item())

    return {
        "person_records": rows("conformed.people"),
        "organisation_records": rows("conformed.organisations"),
        "interactions": rows("conformed.interactions"),
        "payments": rows("conformed.payments"),
        "person_pairs": rows("linked.person_pairs"),
        "organisation_pairs": rows("linked.organisation_pairs"),
        "contacts": rows("golden.contacts"),
        "accounts": rows("golden.accounts"),
        "accuracy": {
            "person": linkage_accuracy(lake, truth, "person"),
            "organisation": linkage_accuracy(lake, truth, "organisation"),
            "payment": payment_accuracy(lake, truth),
        },
    }

"""Postings held against the truth.

A posting is what one payment settles of one document: the sum of its lines, fee, discount and write-off
included, interest and refund not. It is right if the payment, the document and the sum are true. What does
not belong here: making postings.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import polars as pl

from bench.cash.ledgers import read

PAIR = ["payment_record_id", "invoice_record_id"]
_SETTLES = ("payment", "fee", "discount", "write_off", "credit_note", "exchange")


def canonical(frame: pl.DataFrame, cases: pl.DataFrame) -> pl.DataFrame:
    """`frame` with the second of two entries that nobody can tell apart named as the first."""
    twins = cases.filter(pl.col("twin_record_id").is_not_null()).select("payment_record_id", "twin_record_id")
    joined = frame.join(twins, on="payment_record_id", how="left", maintain_order="left")
    return joined.with_columns(payment_record_id=pl.coalesce("twin_record_id", "payment_record_id")).drop(
        "twin_record_id"
    )


def true_postings(truth: pl.DataFrame) -> pl.DataFrame:
    """`payment_record_id`, `invoice_record_id`, `settled`: what each payment truly settles."""
    return (
        truth.filter(pl.col("allocation_kind").is_in(_SETTLES))
        .group_by(PAIR)
        .agg(pl.col("amount").sum().alias("settled"))
    )


def made_postings(allocations: pl.DataFrame, cases: pl.DataFrame) -> pl.DataFrame:
    """The same of the lines that reconciliation posted by itself; contra lines are left out."""
    lines = allocations.filter(
        pl.col("reverses_allocation_id").is_null(),
        pl.col("decision_id").is_null(),
        pl.col("allocation_kind").is_in(_SETTLES),
        pl.col("payment_record_id").is_not_null(),
        pl.col("invoice_record_id").is_not_null(),
    )
    return canonical(lines, cases).group_by(PAIR).agg(pl.col("allocated_amount").sum().alias("settled"))


def wrong_postings(made: pl.DataFrame, truth: pl.DataFrame, cases: pl.DataFrame) -> pl.DataFrame:
    """Postings that are not true, with what is: case, reference_kind, payer_kind, true sum or null."""
    true = true_postings(truth).rename({"settled": "truly"})
    return (
        made.join(true, on=PAIR, how="left")
        .filter(pl.col("truly").is_null() | (pl.col("truly") != pl.col("settled")))
        .join(
            cases.select("payment_record_id", "case", "reference_kind", "payer_kind"), on=PAIR[0], how="left"
        )
        .sort(PAIR)
    )


def score(made: pl.DataFrame, truth: pl.DataFrame, cases: pl.DataFrame) -> dict[str, Any]:
    """Precision of postings, recall, and the automatic rate.

    The automatic rate is the share of the payments that truly settle a document of ours, and do not bounce,
    whose every true posting was made; `automatic_rate_by_case` splits it.
    """
    true = true_postings(truth)
    both = true.join(made.rename({"settled": "made"}), on=PAIR, how="left")
    right = both.filter(pl.col("made") == pl.col("settled")).height
    done = both.group_by("payment_record_id").agg(
        (pl.col("made") == pl.col("settled")).fill_null(False).all()
    )
    bounced = cases.select(payment_record_id="returned_record_id").drop_nulls()
    paying = (
        cases.filter(pl.col("pays"))
        .join(bounced, on="payment_record_id", how="anti")
        .join(done, on="payment_record_id", how="left")
    )
    by_case = paying.group_by("case").agg(pl.len(), pl.col("made").mean()).sort("case")
    by_reference = paying.group_by("reference_kind").agg(pl.col("made").mean()).sort("reference_kind")
    rate = paying["made"].mean()
    return {
        "postings": made.height,
        "wrong": made.height - right,
        "precision": right / made.height if made.height else 1.0,
        "recall": right / true.height if true.height else 1.0,
        "paying": paying.height,
        "usable_share": round(float(paying["is_usable"].mean() or 0), 4),  # type: ignore[arg-type]
        "automatic_rate": float(rate or 0),  # type: ignore[arg-type]
        "automatic_rate_by_case": {c: [n, round(r, 4)] for c, n, r in by_case.iter_rows()},
        "automatic_rate_by_reference": {c: round(r, 4) for c, r in by_reference.iter_rows()},
    }


def score_reversals(allocations: pl.DataFrame, cases: pl.DataFrame) -> dict[str, Any]:
    """Bounced payments: how many stand posted, and contra lines that take back what did not bounce.

    A payment that bounced before it was posted may stay unposted: its net is the same.
    """
    back = cases.filter(pl.col("returned_record_id").is_not_null()).select(
        payment_record_id="returned_record_id"
    )
    contra = allocations.filter(pl.col("reverses_allocation_id").is_not_null()).select(
        allocation_id="reverses_allocation_id"
    )
    taken = allocations.join(contra, on="allocation_id", how="semi")
    untrue = canonical(taken, cases).join(back, on="payment_record_id", how="anti").height
    posted = allocations.filter(pl.col("invoice_record_id").is_not_null()).join(
        contra, on="allocation_id", how="anti"
    )
    posted = posted.filter(pl.col("reverses_allocation_id").is_null())
    standing = back.join(posted, on="payment_record_id", how="semi").height
    return {"returns": back.height, "standing": standing, "contra_lines": contra.height, "untrue": untrue}


_LINE = [
    "allocation_id", "payment_record_id", "invoice_record_id", "allocation_kind", "allocated_amount",
    "reverses_allocation_id", "decision_id",
]  # fmt: skip


def main() -> None:
    """Score the second night: `scoring folder out`; `score.json` in `out`, `wrong.parquet` beside it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    allocations = read(given.out, "second.allocations", _LINE)
    truth, cases = read(given.folder, "truth"), read(given.folder, "cases")
    made = made_postings(allocations, cases)
    wrong = wrong_postings(made, truth, cases)
    wrong.write_parquet(given.out / "wrong.parquet")
    found = {
        **score(made, truth, cases),
        "reversals": score_reversals(allocations, cases),
        "wrong_by_case": dict(wrong["case"].value_counts().sort("case").iter_rows()),
    }
    (given.out / "score.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()

"""What finance keeps about payers: who pays for whom, and what payers told they would pay.

What does not belong here: payments (`accounts`).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from crm_hygiene.sample.cash.books import advice_frame, relation_frame
from crm_hygiene.sample.cash.ledger import Ledger
from crm_hygiene.sample.cash.profile import Profile


def write_payer_relations(ledger: Ledger, path: Path) -> int:
    """`payer_relations.csv`: factors, parents and virtual accounts; returns the number of rows."""
    frame = relation_frame(ledger).select(
        relation_id="record_id",
        payer_iban="payer_iban",
        payer_tax_id="payer_tax_id",
        payer_name="payer_name",
        virtual_account="virtual_account",
        customer_id="customer_record_id",
        customer_tax_id="customer_tax_id",
        relation_kind="relation_kind",
        valid_from="valid_from",
        valid_to="valid_to",
    )
    frame.write_csv(path)
    return len(frame)


def write_remittance_advices(seed: int, ledger: Ledger, profile: Profile, path: Path) -> int:
    """`remittance_advices.csv`, one row per invoice told; returns the number of rows."""
    is_yen = pl.col("currency") == "JPY"

    def printed(column: str) -> pl.Expr:
        return pl.when(is_yen).then(pl.col(column).cast(pl.Decimal(18, 0)).cast(pl.String)).otherwise(
            pl.col(column).cast(pl.Decimal(18, 2)).cast(pl.String)
        )  # fmt: skip

    frame = advice_frame(ledger, profile, seed).select(
        pl.col("record_id").str.split("-").list.first().alias("advice_id"),
        "payer_name",
        "payer_tax_id",
        "payment_reference",
        "payment_date",
        "invoice_number",
        printed("paid_amount").alias("paid_amount"),
        printed("discount_amount").alias("discount_amount"),
        "currency",
    )
    frame.write_csv(path)
    return len(frame)

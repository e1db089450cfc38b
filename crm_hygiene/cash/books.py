"""Books: everything one reconciliation reads, as the frames of a night.

An input that a company does not have is an empty frame of its columns. What does not belong here: any
work on the frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

RELATIONS = pl.Schema(
    {
        "source": pl.String(),
        "record_id": pl.String(),
        "payer_iban": pl.String(),
        "payer_tax_id": pl.String(),
        "payer_name": pl.String(),
        "virtual_account": pl.String(),
        "customer_record_id": pl.String(),
        "customer_tax_id": pl.String(),
        "relation_kind": pl.String(),
        "valid_from": pl.Date(),
        "valid_to": pl.Date(),
    }
)
ADVICES = pl.Schema(
    {
        "source": pl.String(),
        "record_id": pl.String(),
        "payer_name": pl.String(),
        "payer_tax_id": pl.String(),
        "payment_reference": pl.String(),
        "payment_date": pl.Date(),
        "invoice_number": pl.String(),
        "paid_amount": pl.Decimal(18, 4),
        "discount_amount": pl.Decimal(18, 4),
        "currency": pl.String(),
    }
)
DECISIONS = pl.Schema(
    {
        "cash_decision_id": pl.String(),
        "decision_kind": pl.String(),
        "payment_source": pl.String(),
        "payment_record_id": pl.String(),
        "invoice_source": pl.String(),
        "invoice_record_id": pl.String(),
        "amount": pl.Decimal(18, 4),
        "currency": pl.String(),
        "used_amount": pl.Decimal(18, 4),
        "exchange_amount": pl.Decimal(18, 4),
        "taken_back_source": pl.String(),
        "taken_back_record_id": pl.String(),
        "until_date": pl.Date(),
        "reason": pl.String(),
        "decided_by": pl.String(),
        "decided_at": pl.Datetime("us", "UTC"),
        "revokes_decision_id": pl.String(),
    }
)
ORDER_BLOCKS = pl.Schema(
    {"invoice_source": pl.String(), "invoice_record_id": pl.String(), "reason": pl.String()}
)


@dataclass(frozen=True)
class Books:
    """What one reconciliation reads.

    Attributes
    ----------
    invoices, payments, orders, organisations
        `conformed.invoices`, `.payments`, `.purchase_orders`, `.organisations`; amounts Decimal(18,4).
    members
        `linked.organisation_members`; ties (source, customer_record_id) to an entity.
    allocations
        `reconciled.allocations` of the nights before; they stay as they are.
    relations
        `conformed.payer_relations`: who pays for whom.
    advices
        `conformed.remittance_advices`: what payers told they would pay, a row per invoice.
    decisions
        `stewardship.cash_decisions`: what clerks decided; binding.
    order_blocks
        invoices that a three-way check blocks: (`invoice_source`, `invoice_record_id`, `reason`).
    """

    invoices: pl.DataFrame
    payments: pl.DataFrame
    orders: pl.DataFrame
    members: pl.DataFrame
    organisations: pl.DataFrame
    allocations: pl.DataFrame
    relations: pl.DataFrame = field(default_factory=RELATIONS.to_frame)
    advices: pl.DataFrame = field(default_factory=ADVICES.to_frame)
    decisions: pl.DataFrame = field(default_factory=DECISIONS.to_frame)
    order_blocks: pl.DataFrame = field(default_factory=ORDER_BLOCKS.to_frame)

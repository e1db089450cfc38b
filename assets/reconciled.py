"""Reconciled: payments posted to invoices, and what a person has to look at."""

from __future__ import annotations

import dagster as dg

from assets.publication import Step, Tables, step_asset
from crm_hygiene.asof import latest_landing
from crm_hygiene.cash import load_cash_rules, reconcile
from crm_hygiene.contract import contract_of
from crm_hygiene.night import Night

READS = (
    "conformed.invoices",
    "conformed.payments",
    "conformed.purchase_orders",
    "linked.organisation_members",
    "conformed.organisations",
)


def _compute(night: Night) -> Tables:
    invoices, payments, orders, members, organisations = (
        night.lake.read(contract_of(table)) for table in READS
    )
    own = night.config.rules.cash
    found = reconcile(
        invoices,
        payments,
        orders,
        members,
        organisations,
        night.lake.read(contract_of("reconciled.allocations")),
        load_cash_rules(night.config.resolve(own)) if own else load_cash_rules(),
        latest_landing(invoices, payments).date(),
    )
    return {
        "reconciled.allocations": found.allocations,
        "reconciled.invoices": found.invoices,
        "reconciled.payments": found.payments,
        "reconciled.exceptions": found.exceptions,
    }


def reconciled_assets() -> list[dg.AssetsDefinition]:
    """Allocations, invoices and payments with their state, and exceptions."""
    return [
        step_asset(
            Step(
                name="reconcile",
                tables=(
                    "reconciled.allocations",
                    "reconciled.invoices",
                    "reconciled.payments",
                    "reconciled.exceptions",
                ),
                reads=READS,
                compute=_compute,
                column_sources={
                    "reconciled.invoices": ("conformed.invoices",),
                    "reconciled.payments": ("conformed.payments",),
                },
            )
        )
    ]

"""Small conformed frames for the tests of golden records: name what matters, the rest is filled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
SYSTEMS = {
    "salesforce_contacts": "salesforce",
    "salesforce_leads": "salesforce",
    "salesforce_accounts": "salesforce",
    "hubspot_contacts": "hubspot",
    "hubspot_companies": "hubspot",
    "form_submissions": "forms",
    "marketing_events": "marketing",
    "salesforce_users": "salesforce",
    "salesforce_lead_history": "salesforce",
    "salesforce_opportunities": "salesforce",
}


def days_ago(days: float) -> datetime:
    return AS_OF - timedelta(days=days)


def frame(table: str, rows: list[dict[str, Any]], **defaults: Any) -> pl.DataFrame:
    """Rows of `table` in its contract's shape."""
    contract = contract_of(table)
    always: dict[str, Any] = {
        "is_deleted": False,
        "file": "landing.csv",
        "observed_at": days_ago(10),
        "landed_at": AS_OF,
        "content_hash": "h",
        "problems": [],
        **defaults,
    }
    filled = [
        {
            name: row.get(name, number if name == "row_number" else always.get(name))
            for name in contract.column_names
        }
        for number, row in enumerate(rows, start=1)
    ]
    for row in rows:
        assert set(row) <= {*contract.column_names, "entity"}, row
    return pl.DataFrame(filled, schema=contract.schema, orient="row") if filled else contract.empty()


def people(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return frame("conformed.people", rows, person_kind="contact")


def organisations(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return frame("conformed.organisations", rows)


def consents(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return frame("conformed.consents", rows, purpose="marketing", channel="email")


def interactions(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return frame("conformed.interactions", rows, interaction_kind="open", channel="email")


def members(rows: list[dict[str, Any]], table: str = "linked.person_members") -> pl.DataFrame:
    """Members of rows that say their `entity`."""
    return pl.DataFrame(
        [{"source": r["source"], "record_id": r["record_id"], "entity_id": r["entity"]} for r in rows],
        schema=contract_of(table).schema,
        orient="row",
    )

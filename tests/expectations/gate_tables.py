"""Small contracts that the tests of this folder check frames against."""

from __future__ import annotations

from typing import Any

from crm_hygiene.contract import Check, Column, Contract


def check(expectation: str, severity: str = "warning", because: str = "", **arguments: Any) -> Check:
    return Check.model_validate(
        {"expectation": expectation, "arguments": arguments, "severity": severity, "because": because}
    )


def contract(*checks: Check, required: tuple[str, ...] = ()) -> Contract:
    kinds = {
        "source": "string",
        "record_id": "string",
        "channel": "string",
        "email": "string",
        "count": "integer",
        "score": "float",
        "amount": "money",
        "born": "date",
        "seen_at": "timestamp",
        "is_open": "boolean",
        "tags": "strings",
    }
    columns = tuple(
        Column.model_validate({"name": n, "type": t, "meaning": f"{n}.", "pii": n == "email"})
        for n, t in kinds.items()
    )
    return Contract(
        table="tests.rows",
        meaning="Rows.",
        grain="one row per row",
        owner="tests",
        key=("source", "record_id"),
        required=required,
        columns=columns,
        checks=checks,
    )

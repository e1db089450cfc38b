"""Candidates from short rows: name what matters, the rest is filled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from crm_hygiene.survivorship import Candidates, GroupRule, Rules, choose, gather_candidates, load_rules
from crm_hygiene.survivorship.rules import ValidityTest

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
SYSTEMS = {"crm_a": "crm", "crm_b": "crm", "erp": "erp", "web": "web"}


def candidates(rows: list[dict[str, Any]]) -> Candidates:
    """One entity E unless a row says otherwise; `age` in days."""
    filled = [
        {
            "source": row.get("source", "web"),
            "record_id": str(row.get("record_id", number)),
            "entity_id": row.get("entity_id", "E"),
            "is_deleted": row.get("is_deleted", False),
            "observed_at": min(AS_OF - timedelta(days=row.get("age", 0)), AS_OF),
            "modified_at": AS_OF - timedelta(days=row["age"]) if "age" in row else None,
            "landed_at": AS_OF,
            "field_times": [
                f"{column}={AS_OF - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
                for column, days in row.get("changed", {}).items()
            ],
            "created_at": AS_OF - timedelta(days=row.get("created", 0)) if "created" in row else None,
            "problems": row.get("problems", []),
            "file": "f",
            "row_number": number,
            "value": row.get("value"),
            "kind": row.get("kind"),
            "city": row.get("city"),
            "is_bounced": row.get("is_bounced", False),
        }
        for number, row in enumerate(rows)
    ]
    schema = {
        **dict.fromkeys(["source", "record_id", "entity_id", "file", "value", "kind", "city"], pl.String()),
        **dict.fromkeys(["is_deleted", "is_bounced"], pl.Boolean()),
        **dict.fromkeys(["observed_at", "modified_at", "created_at", "landed_at"], pl.Datetime("us", "UTC")),
        **dict.fromkeys(["problems", "field_times"], pl.List(pl.String())),
        "row_number": pl.Int64(),
    }
    frame = pl.DataFrame(filled, schema=schema)
    keys = frame.select("source", "record_id", "entity_id")
    columns = ["value", "kind", "city", "is_bounced"]
    return gather_candidates(frame.drop("entity_id"), keys, SYSTEMS, columns, rules().times)


_BUILT_IN = load_rules()


def rules(**changes: Any) -> Rules:
    """The built-in rules with three plain lines of trust."""
    return _BUILT_IN.model_copy(update={"trust": {"erp": 0.9, "crm*": 0.8, "web": 0.3}, **changes})


def group(*strategies: str, columns: tuple[str, ...] = ("value",), **rule: Any) -> GroupRule:
    """A rule on `columns`."""
    return GroupRule.model_validate({"columns": columns, "strategies": strategies, **rule})


def chosen(
    rows: list[dict[str, Any]], *strategies: str, tests: dict[str, Any] | None = None, **rule: Any
) -> tuple[Any, Any, str]:
    """Winning value, runner-up and what decided, for entity E."""
    pool = candidates(rows)
    declared = {name: ValidityTest(**test) for name, test in (tests or {}).items()}
    given = rules(tests=declared)
    outcome = choose(pool, "contacts", "value", group(*strategies, **rule), given, AS_OF).winners
    if outcome.is_empty():
        return None, None, ""
    picked = outcome.row(0, named=True)
    values = pool.records["value"]
    other = None if picked["runner_up"] is None else values[picked["runner_up"]]
    return values[picked["row"]], other, picked["decided"]

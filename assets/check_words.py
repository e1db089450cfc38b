"""What a check demands, what follows when it does not hold, and what it saw, in a steward's words."""

from __future__ import annotations

from typing import Any

import dagster as dg

from crm_hygiene.contract import Check

_CONSEQUENCES = {
    "critical": "If it does not hold, the table is not published and its last good version stays.",
    "warning": "A row for which it does not hold goes to quality.quarantine.",
    "info": "It is noted and stops nothing.",
}

# The derived checks explain themselves by what they demand; their reasons would say it twice.
_SAID = ("is required.", "has a closed vocabulary.", "The key must be unique.")

# So many failing rows show without a click; the rest is behind one.
_SHOWN_EXAMPLES = 3


def _demand(check: Check) -> str:
    given = check.arguments
    column = f"`{check.column}`"
    match check.expectation:
        case "expect_column_values_to_not_be_null":
            return f"{column} must be filled."
        case "expect_column_values_to_be_null":
            return f"{column} must be empty."
        case "expect_column_values_to_be_in_set":
            return f"{column} must be one of: {', '.join(map(str, given['value_set']))}."
        case "expect_column_values_to_be_unique":
            return f"No two rows may have the same {column}."
        case "expect_compound_columns_to_be_unique":
            return f"No two rows may have the same {', '.join(f'`{c}`' for c in given['column_list'])}."
        case "expect_column_values_to_match_regex":
            return f"{column} must have the form `{given['regex']}`."
        case "expect_column_values_to_be_between" | "expect_column_value_lengths_to_be_between":
            low, high = given.get("min_value"), given.get("max_value")
            subject = column if "values" in check.expectation else f"The length of {column}"
            if high is None:
                return f"{subject} must be at least {low}."
            return (
                f"{subject} must be at most {high}."
                if low is None
                else (f"{subject} must be between {low} and {high}.")
            )
    words = check.expectation.removeprefix("expect_").replace("_", " ").replace(" to ", " must ", 1)
    bounds = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in given.items())
    return f"{words[:1].upper()}{words[1:]} ({bounds})."


def check_description(check: Check) -> str:
    """What a check demands, why, and what follows when it does not hold, in words."""
    because = "" if check.because.endswith(_SAID) else check.because
    return " ".join(part for part in (_demand(check), because, _CONSEQUENCES[check.severity]) if part)


def check_metadata(row: dict[str, Any] | None) -> dict[str, Any]:
    """What a check saw: counts and keys of failing rows."""
    if row is None:
        return {"observed": "not evaluated: the table has never been computed"}
    found: dict[str, Any] = {
        "observed": row["observed"] or "",
        "rows": int(row["row_count"] or 0),
        "failed": int(row["failed_count"] or 0),
    }
    examples = list(row["examples"] or ())
    if examples:
        # The UI shows a text at once, Markdown on a check's page only after a click.
        more = len(examples) - _SHOWN_EXAMPLES
        shown = "; ".join(examples[:_SHOWN_EXAMPLES]) + (f"; and {more} more below" if more > 0 else "")
        found["failing rows"] = shown
        if more > 0:
            found["failing examples"] = dg.MetadataValue.md("\n".join(f"- {e}" for e in examples))
        table = row["table_name"]
        refused = f"select reasons, row from quality.quarantine where table_name = '{table}'"
        sql = refused if row["severity"] == "warning" else f"select * from {table}"
        found["see them"] = f'crm-hygiene query "{sql}"'
    return found

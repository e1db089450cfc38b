"""What a steward types for a golden field, read as a source's value would be.

Only reading belongs here: standardising, refusing what cannot be, and completing a group from what it is now.
"""

from __future__ import annotations

from collections.abc import Mapping as Record
from typing import Any

import polars as pl

from crm_hygiene.conform.standard import standardise_table
from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.mapping import Mapping
from crm_hygiene.survivorship.rules import CONFORMED, RESOLVED, GroupRule, TableRules, survivorship_columns

# Columns that name another one's parts: a new part makes the whole anew, and the other way round.
_WHOLE, _PARTS = "full_name", ("given_name", "middle_name", "family_name")


def pinnable_rule(table: str, field: str, rules: TableRules) -> tuple[str, GroupRule]:
    """Name and rule of the field or group that a steward's `field`, a column, belongs to.

    Raises
    ------
    ConfigurationError
        if golden `table` has no such field, or nobody can pin it.
    """
    if field in rules.groups and field not in survivorship_columns(table):
        columns = ", ".join(rules.groups[field].columns)
        raise ConfigurationError(
            f"'{field}' is a group; name the column to change, the others stay as they are now: {columns}"
        )
    if field == RESOLVED[table]:
        raise ConfigurationError(
            f"'{field}' follows from the records' own references and cannot be pinned; mend the reference in "
            "the source, or decide what belongs together: crm-hygiene review decide"
        )
    found = rules.rule_of(field)
    if found is None:
        columns_known = [c for c in survivorship_columns(table) if c != RESOLVED[table]]
        hint = nearest(field, columns_known) or f"; there are {', '.join(columns_known)}"
        raise ConfigurationError(f"golden.{table} has no field '{field}' that survives from records{hint}")
    return found


def read_pin(
    table: str, field: str, text: str | None, rule: GroupRule, now: Record[str, Any]
) -> dict[str, str | None]:
    """The values of all columns of `rule` once `field` says `text` (None: nothing), as texts.

    `now` is the golden row as it is: a group is pinned as a whole, the other columns as they are.

    Raises
    ------
    ConfigurationError
        if the text is no value of that field; the message says why.
    """
    kept = {c: None if now.get(c) is None else str(now[c]) for c in rule.columns}
    raw: dict[str, str | None] = {**kept, field: text}
    if field in _PARTS and _WHOLE in raw:
        raw[_WHOLE] = None
    if field == _WHOLE:
        raw.update(dict.fromkeys((c for c in _PARTS if c in raw), None))
    if text is None and all(value is None for value in raw.values()):
        return raw
    country = now.get("country_code")
    mapping = Mapping(
        source="steward", system="steward", object="pin", files=("pin",), tables={},
        default_country=str(country) if country else None,
    )  # fmt: skip
    frame = pl.DataFrame([raw], schema=dict.fromkeys(raw, pl.String))
    read = standardise_table(frame, contract_of(CONFORMED[table]), mapping)
    values = {c: read[c][0] if c in read.columns else None for c in rule.columns}
    if text is not None and values[field] is None:
        problems = [p.split(": ", 1)[-1] for p in read["problems"][0]]
        why = "; ".join(problems) or "it cannot be read as one"
        raise ConfigurationError(f"'{text}' is no value of {field}: {why}")
    return {c: None if v is None else str(v) for c, v in values.items()}

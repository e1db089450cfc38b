"""The reference page of all tables, rendered from the contracts: `python -m expectations.reference`.

Prints Markdown to standard output. The page is built with the docs and never committed, so it
cannot disagree with what the gates check.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from crm_hygiene.contract import Check, Column, Contract, load_contracts
from expectations.suite import is_row_level, named_checks


def render_reference(contracts: Mapping[str, Contract]) -> str:
    """Markdown with a section per layer and table: meaning, grain, owner, key, columns and checks.

    `contracts` is by table name, as `load_contracts` gives it; the page is in the order of names.
    """
    tables = sorted(contracts.values(), key=lambda contract: contract.table)
    lines = [
        "# Tables",
        "",
        "Rendered from the contracts below `expectations/`. A name here is at once the asset key, the Delta",
        "table below the lake, the contract and the view in the analysts' catalog.",
        "",
    ]
    for layer, members in groupby(tables, key=lambda contract: contract.layer):
        lines += [f"## {layer}", ""]
        for contract in members:
            lines += _table(contract)
    return "\n".join(lines).rstrip("\n") + "\n"


def _table(contract: Contract) -> list[str]:
    needed = {*contract.key, *contract.required}
    return [
        f"### {contract.table}",
        "",
        contract.meaning,
        "",
        f"- Grain: {contract.grain}",
        f"- Owner: {contract.owner}",
        f"- Key: {', '.join(f'`{name}`' for name in contract.key)}",
        "",
        "| column | type | required | PII | meaning |",
        "|---|---|---|---|---|",
        *(_column(column, column.name in needed) for column in contract.columns),
        "",
        "| check | arguments | on failure | because |",
        "|---|---|---|---|",
        *(_check(contract, name, check) for name, check in named_checks(contract).items()),
        "",
    ]


def _column(column: Column, is_required: bool) -> str:
    meaning = column.meaning
    if column.values is not None:
        meaning += f" One of: {', '.join(f'`{value}`' for value in column.values)}."
    return _row(
        f"`{column.name}`", column.type, "yes" if is_required else "", "yes" if column.pii else "", meaning
    )


def _check(contract: Contract, name: str, check: Check) -> str:
    said = {"column", "column_list"}
    arguments = ", ".join(
        f"`{key}={_plain(value)}`" for key, value in check.arguments.items() if key not in said
    )
    consequence = "is noted"
    if check.severity == "critical":
        consequence = "stops the table"
    elif check.severity == "warning" and is_row_level(contract, check):
        consequence = "quarantines the row"
    return _row(f"`{name}`", arguments, f"{check.severity}: {consequence}", check.because)


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _row(*cells: str) -> str:
    # A pipe or a line break inside a cell would start another cell or row.
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(render_reference(load_contracts()))

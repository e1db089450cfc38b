"""What a steward sees of a table in Dagster: schema, counts, a preview, lineage, failing examples.

The open-source UI does not draw column lineage, so it is also given as a Markdown table.
Personal data is masked: metadata outlives the row in Dagster's own storage.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import polars as pl

from crm_hygiene.contract import Contract, contract_of
from crm_hygiene.lake import Lake, Publication

PREVIEW_ROWS = 8
_PREVIEW_COLUMNS = 10


def schema_metadata(contract: Contract) -> dict[str, Any]:
    """The table's schema as Dagster draws it."""
    columns = [
        dg.TableColumn(
            name=c.name,
            type=c.type,
            description=c.meaning,
            constraints=dg.TableColumnConstraints(
                nullable=c.name not in (*contract.key, *contract.required),
                unique=contract.key == (c.name,),
                other=[f"one of: {', '.join(c.values)}"] if c.values else [],
            ),
            tags={"pii": ""} if c.pii else {},
        )
        for c in contract.columns
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns), "key": ", ".join(contract.key)}


def lineage_metadata(contract: Contract, sources: tuple[str, ...]) -> dict[str, Any]:
    """Columns of the same name in the tables a table is made from; a name has one meaning everywhere."""
    if not sources:
        return {}
    deps: dict[str, list[dg.TableColumnDep]] = {}
    lines = ["| column | comes from |", "|---|---|"]
    for name in contract.column_names:
        found = [table for table in sources if name in contract_of(table).column_names]
        if found:
            deps[name] = [dg.TableColumnDep(asset_key=table.split("."), column_name=name) for table in found]
            lines.append(f"| {name} | {', '.join(f'{table}.{name}' for table in found)} |")
    if not deps:
        return {}
    return {
        "dagster/column_lineage": dg.TableColumnLineage(deps_by_column=deps),
        "column lineage": dg.MetadataValue.md("\n".join(lines)),
    }


def _cell(value: Any, is_pii: bool) -> str:
    if value is None:
        return ""
    text = str(value)
    if is_pii:
        return f"{text[:1]}…"
    text = text.replace("|", "¦").replace("\n", " ")
    return text if len(text) <= 40 else f"{text[:39]}…"


def preview(contract: Contract, frame: pl.DataFrame) -> str:
    """The first rows as a Markdown table: key first, then the fullest columns, personal data masked."""
    rows = frame.head(PREVIEW_ROWS)
    filled = sorted(
        (c for c in contract.column_names if c not in contract.key),
        key=lambda c: (rows[c].null_count(), contract.column_names.index(c)),
    )
    chosen = [*contract.key, *filled][:_PREVIEW_COLUMNS]
    lines = [f"| {' | '.join(chosen)} |", f"|{'---|' * len(chosen)}"]
    for row in rows.select(chosen).iter_rows():
        cells = (_cell(v, c in contract.pii_columns) for c, v in zip(chosen, row, strict=True))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def table_metadata(lake: Lake, contract: Contract, publication: Publication | None) -> dict[str, Any]:
    """Row count, Delta version, address and a preview of the live table."""
    frame = lake.scan(contract)
    rows = frame.select(pl.len()).collect().item() if publication is None else publication.row_count
    version = lake.version(contract.table) if publication is None else publication.version
    found: dict[str, Any] = {
        "dagster/row_count": int(rows),
        "dagster/uri": lake.table_uri(contract.table),
        "delta version": -1 if version is None else version,
        "preview": dg.MetadataValue.md(preview(contract, frame.head(PREVIEW_ROWS).collect())),
    }
    if publication is not None:
        found["changed"] = publication.is_changed
    return found


def check_metadata(row: dict[str, Any] | None) -> dict[str, Any]:
    """What a check saw: counts and keys of failing rows."""
    if row is None:
        return {"observed": "not evaluated: the table has never been computed"}
    found: dict[str, Any] = {
        "observed": row["observed"] or "",
        "rows": int(row["row_count"] or 0),
        "failed": int(row["failed_count"] or 0),
    }
    if row["examples"]:
        found["failing examples"] = dg.MetadataValue.md("\n".join(f"- {e}" for e in row["examples"]))
    return found

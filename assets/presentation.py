"""What a steward sees of a table in Dagster: schema, counts, a preview, lineage, failing examples.

The open-source UI does not draw column lineage, so it is also given as a Markdown table.
Personal data is masked: metadata outlives the row in Dagster's own storage.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from assets.changes import NOTHING_KNOWN, Made, changes
from crm_hygiene.contract import Contract, contract_of
from crm_hygiene.explanation.charts import charts_folder
from crm_hygiene.lake import Lake, Publication
from crm_hygiene.night import Night
from crm_hygiene.report.page import report_path

PREVIEW_ROWS = 8
_PREVIEW_COLUMNS = 7

# The UI hides longer Markdown behind a link.
_SHOWN_INLINE = 1000

_HASH = re.compile("[0-9a-f]{32,}")

_OWNERS = "Owner: {}."

# Column -> the (table, column) pairs it is made of.
Lineage = dict[str, tuple[tuple[str, str], ...]]


def schema_metadata(contract: Contract) -> dict[str, Any]:
    """The table's schema as Dagster draws it."""
    columns = [
        dg.TableColumn(
            name=c.name,
            type=c.type,
            description=f"{c.meaning} Joins {c.references}." if c.references else c.meaning,
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


def table_description(contract: Contract) -> str:
    """What a table is, who answers for it and where to look next, as Markdown."""
    key = ", ".join(f"`{name}`" for name in contract.key)
    grain = contract.grain[:1].upper() + contract.grain[1:]
    lines = [contract.meaning, f"{grain}, told apart by {key}. {_OWNERS.format(contract.owner)}"]
    joins = [f"`{c.name}` is `{c.references}`" for c in contract.columns if c.references]
    if joins:
        lines.append(f"Joins: {', '.join(joins)}.")
    look = f'Look at it: `crm-hygiene query "select * from {contract.table} limit 20"`.'
    if "entity_id" in contract.key and contract.layer in ("golden", "linked"):
        look += " Ask why one is as it is: `crm-hygiene explain <entity_id>`."
    elif contract.key == ("source", "record_id") and contract.layer in ("conformed", "golden", "linked"):
        look += " Ask about one record: `crm-hygiene explain <source>:<record_id>`."
    lines.append(look)
    lines.append(
        "What last night changed and a preview are under Metadata below the columns (Plots shows them over"
        " time); rules and failing rows under Checks."
    )
    return "\n\n".join(lines)


def same_names(contract: Contract, sources: tuple[str, ...]) -> Lineage:
    """Columns of the same name in the tables a table is made from; a name has one meaning everywhere."""
    return {
        name: tuple((table, name) for table in sources if name in contract_of(table).column_names)
        for name in contract.column_names
    }


def lineage_of(metadata: Mapping[str, Any]) -> Lineage:
    """The column lineage in an asset's metadata; empty where it has none."""
    found = metadata.get("dagster/column_lineage")
    if not isinstance(found, dg.TableColumnLineage):
        return {}
    return {
        name: tuple((".".join(dep.asset_key.path), dep.column_name) for dep in deps)
        for name, deps in found.deps_by_column.items()
    }


def lineage_metadata(contract: Contract, lineage: Lineage) -> dict[str, Any]:
    """Where each column comes from: Dagster's own column lineage, and the same as a Markdown table."""
    known = {name: lineage[name] for name in contract.column_names if lineage.get(name)}
    if not known:
        return {}
    lines = ["| column | comes from |", "|---|---|"]
    for name, origins in known.items():
        by_table: dict[str, list[str]] = {}
        for table, column in origins:
            by_table.setdefault(table, []).append(column)
        told = "; ".join(f"{table}: {', '.join(columns)}" for table, columns in by_table.items())
        lines.append(f"| `{name}` | {told.replace('_', chr(92) + '_')} |")
    return {
        "dagster/column_lineage": dg.TableColumnLineage(
            deps_by_column={
                name: [dg.TableColumnDep(asset_key=table.split("."), column_name=c) for table, c in origins]
                for name, origins in known.items()
            }
        ),
        "column lineage": dg.MetadataValue.md("\n".join(lines)),
    }


def _cell(value: Any, is_pii: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return f"({len(value)})" if is_pii else _cut(", ".join(map(str, value)))
    return f"{str(value)[:1]}…" if is_pii else _cut(str(value))


def _cut(text: str) -> str:
    text = text.replace("|", "¦").replace("\n", " ")
    longest = 8 if _HASH.fullmatch(text) else 48
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def preview(contract: Contract, frame: pl.DataFrame) -> str:
    """The first rows as a Markdown table: key first, then the fullest columns, personal data masked.

    There are as many rows as the UI shows without a click, and at least three.
    """
    rows = frame.head(PREVIEW_ROWS)
    filled = [c for c in contract.preview if c not in contract.key] or sorted(
        (c for c in contract.column_names if c not in contract.key),
        key=lambda c: (rows[c].null_count(), contract.column_names.index(c)),
    )
    chosen = [*contract.key, *filled][:_PREVIEW_COLUMNS]
    lines = [f"| {' | '.join(chosen)} |", f"|{'---|' * len(chosen)}"]
    for row in rows.select(chosen).iter_rows():
        cells = (_cell(v, c in contract.pii_columns) for c, v in zip(chosen, row, strict=True))
        line = f"| {' | '.join(cells)} |"
        if len(lines) >= 5 and sum(map(len, lines)) + len(lines) + len(line) >= _SHOWN_INLINE:
            break
        lines.append(line)
    return "\n".join(lines)


def _models(lake: Lake, contract: Contract) -> dict[str, Any]:
    """The linkage models that the live version was made with, if it has to do with any."""
    text = lake.metadata(contract.table).get("models")
    return {"linkage models": dg.MetadataValue.json(json.loads(text))} if text else {}


def table_metadata(
    lake: Lake,
    contract: Contract,
    publication: Publication | None,
    made: Made = NOTHING_KNOWN,
) -> dict[str, Any]:
    """What the night changed, a preview, row count, Delta version and address of the live table.

    Without a publication the table is as it was; `made` as of `changes`.
    """
    standing = lake.statistics(contract.table) if publication is None else publication
    rows, version = (0, None) if standing is None else (standing.row_count, standing.version)
    return {
        **changes(lake, contract, publication, rows, made),
        "preview": dg.MetadataValue.md(preview(contract, lake.scan(contract).head(PREVIEW_ROWS).collect())),
        "dagster/row_count": rows,
        "dagster/uri": lake.table_uri(contract.table),
        "delta version": -1 if version is None else version,
        **_models(lake, contract),
    }


def where_to_look(night: Night, contract: Contract) -> dict[str, Any]:
    """Addresses of the pages that picture the table: the night's report and the charts of the linkage."""
    found = {"night report": dg.MetadataValue.path(str(report_path(night)))}
    if contract.layer in ("linked", "golden"):
        is_organisation = contract.table == "golden.accounts" or ".organisation_" in contract.table
        page = charts_folder(night) / ("organisation" if is_organisation else "person") / "index.html"
        found["linkage charts"] = dg.MetadataValue.path(str(page))
    return found

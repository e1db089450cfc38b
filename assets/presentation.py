"""What a steward sees of a table in Dagster: schema, counts, a preview, lineage, failing examples.

The open-source UI does not draw column lineage, so it is also given as a Markdown table.
Personal data is masked: metadata outlives the row in Dagster's own storage.
"""

from __future__ import annotations

import json
import re
from typing import Any

import dagster as dg
import polars as pl

from crm_hygiene.contract import Check, Contract, contract_of
from crm_hygiene.lake import Lake, Publication

PREVIEW_ROWS = 8
_PREVIEW_COLUMNS = 8

# The UI hides longer Markdown behind a link.
_SHOWN_INLINE = 1000

# Beyond this, comparing a table with its last version would cost the night more than it tells.
_COMPARED_ROWS = 4_000_000

_HASH = re.compile("[0-9a-f]{32,}")

# Column -> the (table, column) pairs it is made of.
Lineage = dict[str, tuple[tuple[str, str], ...]]


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


def same_names(contract: Contract, sources: tuple[str, ...]) -> Lineage:
    """Columns of the same name in the tables a table is made from; a name has one meaning everywhere."""
    return {
        name: tuple((table, name) for table in sources if name in contract_of(table).column_names)
        for name in contract.column_names
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
    filled = sorted(
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


def _changes(lake: Lake, contract: Contract, publication: Publication | None) -> dict[str, Any]:
    """Rows added, removed and altered since the table's last version, told apart by its key.

    Where a table has `content_hash`, a row that only landed again is not an altered one.
    """
    if publication is None or not publication.is_changed:
        return {"rows added": 0, "rows removed": 0, "rows altered": 0}
    if publication.version < 1 or publication.row_count > _COMPARED_ROWS:
        return {}
    told_by = ["content_hash"] if "content_hash" in contract.column_names else contract.column_names
    now, before = (
        lake.scan(contract, version).select(key=pl.struct(contract.key).hash(), row=pl.struct(told_by).hash())
        for version in (publication.version, publication.version - 1)
    )
    both = now.join(before, on="key", how="full", coalesce=False)
    found = both.select(
        added=pl.col("key_right").is_null().sum(),
        removed=pl.col("key").is_null().sum(),
        altered=(pl.col("row") != pl.col("row_right")).sum(),
    ).collect()
    return {f"rows {name}": int(found[name][0]) for name in found.columns}


def _models(lake: Lake, contract: Contract) -> dict[str, Any]:
    """The linkage models that the live version was made with, if it has to do with any."""
    text = lake.metadata(contract.table).get("models")
    return {"linkage models": dg.MetadataValue.json(json.loads(text))} if text else {}


def table_metadata(lake: Lake, contract: Contract, publication: Publication | None) -> dict[str, Any]:
    """Row count, what changed, Delta version, address and a preview of the live table.

    Without a publication the table is as it was.
    """
    frame = lake.scan(contract)
    rows = frame.select(pl.len()).collect().item() if publication is None else publication.row_count
    version = lake.version(contract.table) if publication is None else publication.version
    return {
        "dagster/row_count": int(rows),
        "dagster/uri": lake.table_uri(contract.table),
        "delta version": -1 if version is None else version,
        **_models(lake, contract),
        "preview": dg.MetadataValue.md(preview(contract, frame.head(PREVIEW_ROWS).collect())),
        **_changes(lake, contract, publication),
    }


def check_description(check: Check) -> str:
    """What a check demands and what follows when it does not hold, in words."""
    consequence = {
        "critical": "If it does not hold, the table is not published and its last good version stays.",
        "warning": "A row for which it does not hold goes to quality.quarantine.",
        "info": "It is noted and stops nothing.",
    }[check.severity]
    words = check.expectation.removeprefix("expect_").replace("_", " ").replace(" to ", " must ", 1)
    bounds = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in check.arguments.items())
    demand = check.because or f"{words[:1].upper()}{words[1:]} ({bounds})."
    return f"{demand} {consequence}"


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

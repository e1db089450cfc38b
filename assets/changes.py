"""What a night changed in a table: rows added, removed and changed, and in which columns.

Counts only: metadata outlives the rows in Dagster's own storage.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import polars as pl

from crm_hygiene.contract import Contract
from crm_hygiene.lake import Lake, Publication

# Beyond this, comparing a table with its last version would cost the night more than it tells.
_COMPARED_ROWS = 4_000_000

# Beyond this many changed rows, which columns changed is not counted: it was a night of new rules.
_COLUMN_ROWS = 300_000

_COLUMNS_TOLD = 8


def changes(lake: Lake, contract: Contract, publication: Publication | None, rows: int) -> dict[str, Any]:
    """Rows added, removed and changed since the table's last version, as numbers and as a sentence.

    `rows` is the row count of the live table; rows are told apart by the table's key. A row of which
    nothing but ageing columns differ did not change; where a table has `content_hash`, neither did a
    row that only landed again.
    """
    if publication is None or not publication.is_changed:
        return _told(rows, 0, 0, 0, None)
    if publication.version < 1 or rows > _COMPARED_ROWS:
        return {}
    told_by = ["content_hash"] if "content_hash" in contract.column_names else contract.told_by
    now, before = (
        lake.scan(contract, version).select(key=pl.struct(contract.key).hash(), row=pl.struct(told_by).hash())
        for version in (publication.version, publication.version - 1)
    )
    differing = (
        now.join(before, on="key", how="full", coalesce=False)
        .filter(pl.col("row").ne_missing(pl.col("row_right")))
        .select("key", "key_right")
        .collect()
    )
    added = differing["key_right"].null_count()
    removed = differing["key"].null_count()
    changed = differing.drop_nulls()["key"]
    found = _told(rows, added, removed, len(changed), _last_night(lake, contract.table))
    if 0 < len(changed) <= _COLUMN_ROWS and not contract.table.startswith("landing."):
        found["columns changed"] = dg.MetadataValue.md(_columns(lake, contract, publication.version, changed))
    return found


def _last_night(lake: Lake, table: str) -> str | None:
    """The day the version before the live one was published."""
    versions = lake.versions(table)
    return f"{versions[-2].published_at:%Y-%m-%d %H:%M} UTC" if len(versions) > 1 else None


def _told(rows: int, added: int, removed: int, changed: int, since: str | None) -> dict[str, Any]:
    parts = [f"{n:,} {what}" for n, what in ((added, "new"), (changed, "changed"), (removed, "gone")) if n]
    moved = ", ".join(parts) or "nothing changed"
    return {
        "last night": f"{rows:,} rows: {moved}{f' since {since}' if since and parts else ''}.",
        "rows added": added,
        "rows changed": changed,
        "rows removed": removed,
    }


def _columns(lake: Lake, contract: Contract, version: int, changed: pl.Series) -> str:
    """The columns that differ most often in the changed rows, as a Markdown table."""
    columns = [name for name in contract.told_by if name not in contract.key]
    now, before = (
        lake.scan(contract, v)
        .with_columns(_key=pl.struct(contract.key).hash())
        .filter(pl.col("_key").is_in(changed.implode()))
        .select("_key", *columns)
        .collect()
        for v in (version, version - 1)
    )
    both = now.join(before, on="_key", suffix="_before", validate="1:1")
    counts = both.select(pl.col(c).ne_missing(pl.col(f"{c}_before")).sum() for c in columns).row(0)
    most = sorted(((n, c) for c, n in zip(columns, counts, strict=True) if n), key=lambda p: (-p[0], p[1]))
    lines = ["| column | rows changed |", "|---|---:|"]
    lines += [f"| {c.replace('_', chr(92) + '_')} | {n:,} |" for n, c in most[:_COLUMNS_TOLD]]
    return "\n".join(lines)

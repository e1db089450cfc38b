"""What a night changed in a table: rows added, removed and changed, and in which columns.

Counts only: metadata outlives the rows in Dagster's own storage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

_BATCH_ROWS = 250_000
_BOTH = ["key", "row"]


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
        _told_rows(lake, contract, version, told_by)
        for version in (publication.version, publication.version - 1)
    )
    # Rows that are on both sides as they are say nothing; only the others are looked up by key.
    new, old = now.join(before, on=_BOTH, how="anti"), before.join(now, on=_BOTH, how="anti")
    differing = new.join(old, on="key", how="full", coalesce=False).select("key", "key_right")
    added = differing["key_right"].null_count()
    removed = differing["key"].null_count()
    changed = differing.drop_nulls()["key"]
    found = _told(rows, added, removed, len(changed), _last_night(lake, contract.table))
    if 0 < len(changed) <= _COLUMN_ROWS and not contract.table.startswith("landing."):
        found["columns changed"] = dg.MetadataValue.md(_columns(lake, contract, publication.version, changed))
    return found


def _batches(lake: Lake, contract: Contract, version: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    rows = lake.scan(contract, version).select(list(dict.fromkeys(columns)))
    yield from rows.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=False)


def _told_rows(lake: Lake, contract: Contract, version: int, told_by: Sequence[str]) -> pl.DataFrame:
    """`key` and `row` of every row of a version: hashes of its key and of what tells it from another one."""
    # Hashing a frame's rows is ten times as fast as hashing structs.
    parts = [
        pl.DataFrame(
            [
                part.select(contract.key).hash_rows(seed=0).alias("key"),
                part.select(list(told_by)).hash_rows(seed=0).alias("row"),
            ]
        )
        for part in _batches(lake, contract, version, [*contract.key, *told_by])
    ]
    return pl.concat([pl.DataFrame(schema={"key": pl.UInt64, "row": pl.UInt64}), *parts])


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
    wanted = changed.implode()

    def rows(of: int) -> pl.DataFrame:
        parts = (
            part.select(part.select(contract.key).hash_rows(seed=0).alias("_key"), *columns)
            for part in _batches(lake, contract, of, [*contract.key, *columns])
        )
        return pl.concat([part.filter(pl.col("_key").is_in(wanted)) for part in parts])

    now, before = rows(version), rows(version - 1)
    both = now.join(before, on="_key", suffix="_before", validate="1:1")
    counts = both.select(pl.col(c).ne_missing(pl.col(f"{c}_before")).sum() for c in columns).row(0)
    most = sorted(((n, c) for c, n in zip(columns, counts, strict=True) if n), key=lambda p: (-p[0], p[1]))
    lines = ["| column | rows changed |", "|---|---:|"]
    lines += [f"| {c.replace('_', chr(92) + '_')} | {n:,} |" for n, c in most[:_COLUMNS_TOLD]]
    return "\n".join(lines)

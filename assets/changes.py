"""What a night changed in a table: rows added, removed and changed, and in which columns.

Counts only: metadata outlives the rows in Dagster's own storage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl

from crm_hygiene.contract import Contract
from crm_hygiene.lake import Lake, Publication
from crm_hygiene.revision import slices

# Beyond this, comparing a table with its last version would cost the night more than it tells.
COMPARED_ROWS = 4_000_000

# Beyond this many changed rows, which columns changed is not counted: it was a night of new rules.
_COLUMN_ROWS = 300_000

_COLUMNS_TOLD = 8

_BATCH_ROWS = 250_000
_BOTH = ["key", "row"]


@dataclass(frozen=True)
class Made:
    """What a step knows of a table that it has just published, so that it need not be read again.

    Attributes
    ----------
    fresh
        the rows that were made, where all others are rows of the last version.
    gone
        beside `fresh`, the rows of the last version that are no more.
    hashes
        of all rows, as of `hashes_of`.
    """

    fresh: pl.DataFrame | None = None
    gone: pl.DataFrame | None = None
    hashes: pl.DataFrame | None = None


NOTHING_KNOWN = Made()


def changes(
    lake: Lake,
    contract: Contract,
    publication: Publication | None,
    rows: int,
    made: Made = NOTHING_KNOWN,
) -> dict[str, Any]:
    """Rows added, removed and changed since the table's last version, as numbers and as a sentence.

    `rows` is the row count of the live table. Rows are told apart by the table's key. A row of which nothing
    but ageing columns differ did not change; where a table has `content_hash`, neither did a row that only
    landed again.
    """
    fresh, gone = made.fresh, made.gone
    if publication is None or not publication.is_changed:
        return _told(rows, 0, 0, 0, None)
    if publication.version < 1 or (fresh is None and rows > COMPARED_ROWS):
        return {}
    version = publication.version
    if fresh is None:
        before = _told_rows(lake, contract, version - 1)
        if before.is_empty():
            return _told(rows, rows, 0, 0, _last_night(lake, contract.table))
        now, others = made.hashes, 0
        if now is None:
            now = _told_rows(lake, contract, version)
    else:
        fresh, others = fresh.select(contract.column_names), 0
        if gone is None:
            replaced = _with_keys_of(lake.scan(contract, version - 1), contract, fresh)
            had = lake.scan(contract, version - 1).select(pl.len()).collect().item()
            others = had - (rows - fresh.height) - replaced.height
        else:
            replaced = gone.select(contract.column_names)
        now, before = hashes_of(fresh, contract), hashes_of(replaced, contract)
    # Rows that are on both sides as they are say nothing; only the others are looked up by key.
    new, old = _lacking(now, before), _lacking(before, now)
    differing = new.join(old, on="key", how="full", coalesce=False).select("key", "key_right")
    added = differing["key_right"].null_count()
    removed = differing["key"].null_count() + others
    changed = differing.drop_nulls()["key"]
    found = _told(rows, added, removed, len(changed), _last_night(lake, contract.table))
    if 0 < len(changed) <= _COLUMN_ROWS and not contract.table.startswith("landing."):
        if fresh is None:
            keys = _keys_of(lake, contract, version, changed)
            fresh, replaced = (
                _with_keys_of(lake.scan(contract, v), contract, keys) for v in (version, version - 1)
            )
        columns = list(dict.fromkeys([*contract.key, *contract.told_by]))
        new, old = (_keyed(part, contract, columns) for part in (fresh, replaced))
        found["columns changed"] = dg.MetadataValue.md(_columns(contract, new, old, changed))
    return found


def hashes_of(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """`key` and `row`: hashes of every row's key and of what tells it from another one."""
    # Hashing a frame's rows is ten times as fast as hashing structs.
    return pl.DataFrame(
        [
            rows.select(contract.key).hash_rows(seed=0).alias("key"),
            rows.select(_told_by(contract)).hash_rows(seed=0).alias("row"),
        ]
    )


def _lacking(these: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Those of `these` hashes that `others` have not."""
    # A join by both columns costs three times as much.
    here, there = (part.select(*_BOTH, both=part.select(_BOTH).hash_rows(seed=0)) for part in (these, others))
    return here.join(there, on="both", how="anti").drop("both")


def _told_by(contract: Contract) -> list[str]:
    return ["content_hash"] if "content_hash" in contract.column_names else contract.told_by


def _with_keys_of(before: pl.LazyFrame, contract: Contract, fresh: pl.DataFrame) -> pl.DataFrame:
    """Rows whose keys `fresh` has as well."""
    for column in contract.key:
        # Asked of each column first: a reader need not even make the other columns of most rows.
        before = before.filter(pl.col(column).is_in(fresh[column].unique().implode()))
    return before.collect().join(fresh.select(contract.key), on=list(contract.key), how="semi")


def _batches(lake: Lake, contract: Contract, version: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    rows = lake.scan(contract, version).select(list(dict.fromkeys(columns)))
    for part in slices(rows, _BATCH_ROWS):
        yield part.collect()


def _told_rows(lake: Lake, contract: Contract, version: int) -> pl.DataFrame:
    """`hashes_of` all rows of a version."""
    parts = _batches(lake, contract, version, [*contract.key, *_told_by(contract)])
    empty = pl.DataFrame(schema={"key": pl.UInt64, "row": pl.UInt64})
    return pl.concat([empty, *(hashes_of(part, contract) for part in parts)])


def _keyed(rows: pl.DataFrame, contract: Contract, columns: Sequence[str]) -> pl.DataFrame:
    """`columns` of the rows, beside the hash of their key."""
    return rows.select(rows.select(contract.key).hash_rows(seed=0).alias("_key"), *columns)


def _keys_of(lake: Lake, contract: Contract, version: int, hashes: pl.Series) -> pl.DataFrame:
    """The keys of a version's rows that hash to one of `hashes`; no other column is read."""
    parts = (_keyed(part, contract, contract.key) for part in _batches(lake, contract, version, contract.key))
    return pl.concat([part.filter(pl.col("_key").is_in(hashes.implode())) for part in parts]).drop("_key")


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


def _columns(contract: Contract, now: pl.DataFrame, before: pl.DataFrame, changed: pl.Series) -> str:
    """The columns that differ most often in the changed rows, as a Markdown table."""
    columns = [name for name in contract.told_by if name not in contract.key]
    is_changed = pl.col("_key").is_in(changed.implode())
    both = now.filter(is_changed).join(before, on="_key", suffix="_before", validate="1:1")
    counts = both.select(pl.col(c).ne_missing(pl.col(f"{c}_before")).sum() for c in columns).row(0)
    most = sorted(((n, c) for c, n in zip(columns, counts, strict=True) if n), key=lambda p: (-p[0], p[1]))
    lines = ["| column | rows changed |", "|---|---:|"]
    lines += [f"| {c.replace('_', chr(92) + '_')} | {n:,} |" for n, c in most[:_COLUMNS_TOLD]]
    return "\n".join(lines)

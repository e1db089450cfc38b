"""Upkeep of the lake: small files become few, what no night needs any more goes, logs stay short.

Rows, states and versions that past nights need stay what they are: a commit that tidies carries on the texts
of the commit before it, so the next night finds nothing changed. For each table, in this order:

1. *Compact* where there are many small files, keeping the order of rows; or *Z-order* where hygiene.yaml asks
   for it and rows came since. Not where another table's commit names the live version (`pins`).
2. *Vacuum*: files that no version needs and that went out of use before the days to keep.
3. *Checkpoint and log clean-up*: a checkpoint makes opening cheap; commits older than the days to keep go,
   unless a version that is needed is among them.

A version is needed if it is live, if a run that ended within the days to keep names it in audit.runs (and the
last run before, which "the night of that day" may mean), or if the commit of a needed version pins it. The
catalog's own history needs nothing of the lake once a night has built it.

What does not belong here: how Delta does it (`lake`), when (`assets.upkeep`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from crm_hygiene.config import UpkeepConfig
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake, Tidying
from crm_hygiene.lake_tables import OPEN_TABLES
from crm_hygiene.runs import RUNS

_MEGABYTE = 1024**2

# The log is kept longer: the last run before the days to keep must be found, and commits before a version to
# open it.
_DAYS_BEFORE = 7

# Commits since the last checkpoint that make another one worth its writing.
_COMMITS_TO_CHECKPOINT = 10


@dataclass(frozen=True)
class Holding:
    """What a table takes: the files of its live version; all of them, those of past versions and log too."""

    live_files: int
    live_bytes: int
    all_files: int
    all_bytes: int


@dataclass(frozen=True)
class TableUpkeep:
    """What upkeep did to one table, or would do; `after` is None for what was only looked at."""

    table: str
    before: Holding
    after: Holding | None
    is_compacted: bool
    vacuumed_files: int
    removed_log_files: int

    @property
    def is_tidy(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.is_compacted or self.vacuumed_files or self.removed_log_files)


def needed_versions(lake: Lake, since: datetime) -> dict[str, set[int]]:
    """Versions besides the live ones that may still be asked for, by table.

    Parameters
    ----------
    since
        UTC; runs that ended from then on can be looked back to, and the last one before.
    """
    needed: dict[str, set[int]] = defaultdict(set)
    runs = lake.scan(contract_of(RUNS)).select("ended_at", "run_id", "read_versions").collect()
    recent = runs.filter(pl.col("ended_at") >= since)
    before = runs.filter(pl.col("ended_at") < since).sort("ended_at", "run_id").tail(1)
    for text in pl.concat([before, recent])["read_versions"].drop_nulls():
        for table, version in json.loads(text).items():
            needed[table].add(int(version))
    for table in lake.tables():
        pins = lake.metadata(table).get("pins")
        if pins is None:
            continue
        past = sorted(needed[table] & lake.tidying(table).known_versions())
        for text in (pins, *(lake.metadata(table, version).get("pins") for version in past)):
            for other, version in json.loads(text or "{}").items():
                if version is not None:
                    needed[other].add(int(version))
    return dict(needed)


def _pinned_live(lake: Lake, tables: list[str]) -> set[str]:
    """Tables whose live version the live commit of another one names."""
    pinned = set()
    for table in tables:
        for other, version in json.loads(lake.metadata(table).get("pins") or "{}").items():
            if version == lake.version(other):
                pinned.add(other)
    return pinned


def _holding(lake: Lake, table: str) -> Holding:
    stored = lake.stored(table)
    live = lake.statistics(table)
    return Holding(
        live.file_count if live else 0,
        live.byte_count if live else 0,
        len(stored),
        sum(stored.values()),
    )


def _is_scattered(tidying: Tidying, settings: UpkeepConfig) -> bool:
    small = [size for size in tidying.file_sizes() if size < settings.target_file_megabytes * _MEGABYTE / 2]
    return len(small) >= settings.least_small_files


def _tidy(
    lake: Lake,
    table: str,
    settings: UpkeepConfig,
    needed: set[int],
    since: datetime,
    keep_hours: int,
    may_rewrite: bool,
    is_dry_run: bool,
) -> TableUpkeep:
    before = _holding(lake, table)
    tidying = lake.tidying(table)
    needed = needed & tidying.known_versions()
    if not is_dry_run:
        tidying.keep_for(settings.keep_days + _DAYS_BEFORE)
    columns = settings.z_order.get(table, ())
    wants_order = bool(columns) and not tidying.is_ordered_by(columns)
    is_compacted = may_rewrite and (wants_order or _is_scattered(tidying, settings))
    target = settings.target_file_megabytes * _MEGABYTE
    if is_compacted and not is_dry_run:
        if columns:
            tidying.z_order(columns, target)
        else:
            tidying.compact(target)
    vacuumed = tidying.vacuum(keep_hours, sorted(needed), is_dry_run)
    removed = 0
    if not is_dry_run:
        if tidying.commits_since_checkpoint() >= _COMMITS_TO_CHECKPOINT:
            tidying.checkpoint()
        if tidying.are_younger(needed, since - timedelta(days=_DAYS_BEFORE)):
            removed = tidying.clean_log()
    after = None if is_dry_run else _holding(lake, table)
    return TableUpkeep(table, before, after, is_compacted, vacuumed, removed)


def keep_up(
    lake: Lake,
    settings: UpkeepConfig,
    now: datetime,
    is_dry_run: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    keep_hours: int | None = None,
) -> list[TableUpkeep]:
    """Tidy every table; a second call right after finds nothing to do. The caller holds the night's lock.

    Parameters
    ----------
    now
        UTC; the days to keep are counted from it.
    is_dry_run
        look and say what would be done; nothing is written.
    tell
        called with each table's name as its turn comes.
    keep_hours
        how long a file that went out of use stays though no known run needs it; by default the days to keep.
        Less only where nobody else reads or writes.

    Raises
    ------
    LakeError
        if the lake cannot be read or written; every table is whole, and the next upkeep goes on.
    """
    since = now - timedelta(days=settings.keep_days)
    tables = lake.tables()
    needed: Mapping[str, set[int]] = needed_versions(lake, since)
    pinned = _pinned_live(lake, tables)
    done = []
    for table in tables:
        tell(table)
        versions = needed.get(table, set())
        hours = settings.keep_days * 24 if keep_hours is None else keep_hours
        may_rewrite = table not in pinned
        done.append(_tidy(lake, table, settings, versions, since, hours, may_rewrite, is_dry_run))
    OPEN_TABLES.forget()
    return done

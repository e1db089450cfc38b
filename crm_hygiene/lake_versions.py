"""What Delta's log tells of a table: its versions, what stands in the live one, what publishing did.

Pure data and how it is read from the log's own records. What does not belong here: the log itself (`lake`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

# Commits that change rows; others make the table, add constraints or tidy its files.
_ROW_OPERATIONS = frozenset({"WRITE", "DELETE", "UPDATE", "MERGE", "RESTORE"})

#: In a commit that changes no row: the version, the one before, whose content it tells.
CONTENT_OF = "content_of"

#: What a night writes into a commit, and what a commit that only tidies carries on from the one before.
COMMIT_TEXTS = ("run_id", "rules", "inputs", "content", "rows", "pins", "models", "is_changed")


@dataclass(frozen=True)
class Publication:
    """What publishing did: the live version, its rows, and whether a commit was needed."""

    table: str
    version: int
    row_count: int
    is_changed: bool


@dataclass(frozen=True)
class TableVersion:
    """One commit that changed rows: its number, its time, the state it left (see `Lake.state`), its rows."""

    version: int
    published_at: datetime
    state: str
    row_count: int | None


@dataclass(frozen=True)
class Snapshot:
    """A table as it stands: its version, its state (see `Lake.state`), the addresses of its files."""

    version: int
    state: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Statistics:
    """What Delta keeps of a version beside its rows; nulls only of columns it keeps statistics of."""

    version: int
    row_count: int
    byte_count: int
    file_count: int
    null_counts: dict[str, int]


def state_of(commit: Mapping[str, Any]) -> str:
    """The state that a commit left: the fingerprint of its content, or its number where it names none."""
    return str(commit.get("content") or f"v{commit['version']}")


def row_versions(commits: Iterable[Mapping[str, Any]]) -> list[TableVersion]:
    """The commits that changed rows, in the order given, which is that of their versions."""
    found: list[TableVersion] = []
    for commit in commits:
        if CONTENT_OF in commit:
            if found and found[-1].version == int(commit[CONTENT_OF]):
                found[-1] = replace(found[-1], state=state_of(commit), row_count=int(commit["rows"]))
            continue
        if commit.get("operation") not in _ROW_OPERATIONS:
            continue
        rows = commit.get("rows")
        found.append(
            TableVersion(
                version=int(commit["version"]),
                published_at=datetime.fromtimestamp(commit["timestamp"] / 1000, UTC),
                state=state_of(commit),
                row_count=None if rows is None else int(rows),
            )
        )
    return found


def statistics_of(version: int, files: pl.DataFrame) -> Statistics:
    """Sums over the files of a version; `files` is Delta's own list of them, one row each, flattened."""
    prefix = "null_count."
    nulls = {
        name.removeprefix(prefix): int(files[name].sum())
        for name in files.columns
        # A file without statistics of a column makes the column's sum unknown.
        if name.startswith(prefix) and files[name].dtype.is_integer() and not files[name].null_count()
    }
    return Statistics(
        version=version,
        row_count=int(files["num_records"].sum()) if files.height else 0,
        byte_count=int(files["size_bytes"].sum()) if files.height else 0,
        file_count=files.height,
        null_counts=nulls,
    )

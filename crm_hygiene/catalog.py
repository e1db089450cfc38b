"""The catalog: one DuckDB file with every published table by its name, for analysts.

It is built beside the live file and put in its place in one step, so a reader never sees half a
night and an open reader keeps the file it opened. Tables whose content did not change are taken
over from the last catalog, and where few rows changed those are exchanged; what golden is made of is
read where it lies (`crm_hygiene.catalog_in_place`). Nothing is installed or downloaded to read it. What it
offers beside the tables is in `crm_hygiene.catalog_macros`, how it tells past nights in
`crm_hygiene.catalog_history`, how it is asked in `crm_hygiene.catalog_query`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from crm_hygiene import catalog_history as history
from crm_hygiene.catalog_history import literal, qualified, quoted
from crm_hygiene.catalog_in_place import drop, is_read_in_place, read_in_place
from crm_hygiene.catalog_loading import Arrivals, comment
from crm_hygiene.catalog_macros import HELPERS, make_helpers
from crm_hygiene.catalog_moves import Move, exchange_rows
from crm_hygiene.contract import Contract
from crm_hygiene.errors import LakeError
from crm_hygiene.fingerprint import fingerprint
from crm_hygiene.lake import Lake, TableVersion
from crm_hygiene.lineage.origins import make_origins, origins_offer
from crm_hygiene.progress import counted

STATES = "main.catalog_states"
"""Table of the file: each table's state, version, files and contract as it was built."""

# In the list of states: what the file offers beside the tables, as a fingerprint.
_OFFER = "main"

# A catalog made from nothing goes back through as many rows of a table's past versions.
_REPLAYED_ROWS = 20_000_000


@dataclass(frozen=True)
class CatalogBuild:
    """What a build did: tables brought up to date, tables taken over, size of the file in bytes."""

    renewed: list[str]
    kept: list[str]
    byte_count: int


@dataclass(frozen=True)
class _Known:
    """A table of the last catalog: its content, its Delta version and files, its contract's fingerprint.

    The content of a table that is read in place is in its files: other files with the same rows are another.
    """

    state: str
    version: int
    files: frozenset[str]
    contract: str

    def is_like(self, other: _Known) -> bool:
        """Whether the rows and what is said of them are the same; versions and files may differ."""
        return (self.state, self.contract) == (other.state, other.contract)


def _live_states(path: Path) -> dict[str, _Known]:
    """States of the tables in the live catalog; empty if it is damaged or older than this code."""
    try:
        # Attached, not connected to: a process that holds the file open would be given what it holds,
        # which may be the catalog of an earlier night.
        with duckdb.connect() as probe:
            probe.execute(f"ATTACH {literal(str(path))} AS live (READ_ONLY)")
            rows = probe.execute(
                f"SELECT table_name, state, version, files, contract FROM live.{STATES}"
            ).fetchall()
    except duckdb.Error:
        return {}
    return {row[0]: _Known(row[1], row[2], frozenset(row[3]), row[4]) for row in rows}


def _offer(contracts: Sequence[Contract], history_days: int) -> _Known:
    macros = [history.as_of_macro(c) for c in contracts if history.is_remembered(c)]
    said = [[h.kind, h.name, h.meaning, h.sql] for h in HELPERS]
    return _Known(fingerprint([macros, said, origins_offer(contracts), history_days]), 0, frozenset(), "")


def _note(connection: duckdb.DuckDBPyConnection, states: dict[str, _Known]) -> None:
    connection.execute(f"DROP TABLE IF EXISTS {STATES}")
    connection.execute(
        f"CREATE TABLE {STATES}"
        " (table_name VARCHAR, state VARCHAR, version BIGINT, files VARCHAR[], contract VARCHAR)"
    )
    for table, known in sorted(states.items()):
        connection.execute(
            f"INSERT INTO {STATES} VALUES (?, ?, ?, ?, ?)",
            [table, known.state, known.version, sorted(known.files), known.contract],
        )


def _live(lake: Lake, contract: Contract) -> _Known | None:
    seen = fingerprint(contract.model_dump(mode="json"))
    snapshot = lake.snapshot(contract.table)
    if snapshot is None:
        # A query must not fail because nothing was ever refused, say; a source may never be landed.
        return None if contract.layer == "landing" else _Known("absent", -1, frozenset(), seen)
    files = frozenset(snapshot.files)
    is_in_place = is_read_in_place(lake, contract, files)
    state = fingerprint([snapshot.state, *sorted(files)]) if is_in_place else snapshot.state
    return _Known(state, snapshot.version, files, seen)


def _readable_past(lake: Lake, contract: Contract, versions: list[TableVersion]) -> list[TableVersion]:
    """The newest versions that can all be read, the live one last, within the budget of rows."""
    found = versions[-1:]
    rows = 0
    for version in reversed(versions[:-1]):
        # The commits of streamed tables do not say their rows: they count as large ones.
        rows += _REPLAYED_ROWS // 10 if version.row_count is None else version.row_count
        if rows > _REPLAYED_ROWS or not lake.has_files_of(contract.table, version.version):
            break
        found.append(version)
    return found[::-1]


def _follow(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    contract: Contract,
    known: _Known | None,
    history_days: int,
    arrivals: Arrivals,
    move: Move | None,
) -> None:
    """Bring a table whose past is kept up to its live version, and log what that changes."""
    target = qualified(contract.table)
    versions = lake.versions(contract.table)
    can_go_on = known is not None and history.prepare(connection, contract)
    missing = [v for v in versions if known is None or v.version > known.version]
    steps = _readable_past(lake, contract, missing if can_go_on else versions)
    state = known.state if known is not None else ""
    if not versions:  # nothing tells since when the rows are there
        history.forget(connection, contract.table)
        arrivals.load(contract, target, None)
    elif not can_go_on or len(steps) < len(missing):
        # Nothing to go on from, or a night in between is gone: the log begins with the oldest step.
        first, *steps = steps
        state = first.state
        arrivals.load(contract, target, first.version)
        history.begin(connection, contract, first.published_at)
    elif not missing:
        arrivals.load(contract, target, None)
    for step in steps:
        if step.state == state:
            continue
        state = step.state
        if move is not None:
            history.remember(connection, contract, move.gone, move.come, step.published_at)
            continue
        incoming = f"{contract.table} incoming"
        arrivals.load(contract, qualified(incoming), step.version)
        history.remember(connection, contract, target, qualified(incoming), step.published_at)
        connection.execute(f"DROP TABLE {target}")
        connection.execute(f"ALTER TABLE {qualified(incoming)} RENAME TO {target.split('.', 1)[1]}")
    if versions:
        history.shorten(connection, contract, history_days, versions[-1].published_at)


def _came_back(lake: Lake, contract: Contract, known: _Known, live: _Known) -> bool:
    """Whether a table whose past is kept was another one between two builds, and is what it was again."""
    if live.version == known.version or not history.is_remembered(contract):
        return False
    return any(v.state != known.state for v in lake.versions(contract.table) if v.version > known.version)


def _refresh(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    contract: Contract,
    known: _Known | None,
    live: _Known,
    history_days: int,
    arrivals: Arrivals,
    move: Move | None,
) -> None:
    """Bring one table up to date, with its comments."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(contract.layer)}")
    if is_read_in_place(lake, contract, live.files):
        read_in_place(connection, contract, live.files)
        return
    if history.is_remembered(contract):
        _follow(connection, lake, contract, known, history_days, arrivals, move)
    elif move is None:
        arrivals.load(contract, qualified(contract.table), None)
    if contract.table not in arrivals.commented:
        comment(connection, contract, qualified(contract.table))


def _to_fetch(lake: Lake, contract: Contract, known: _Known | None) -> tuple[Contract, int | None] | None:
    """The version of a stale table that will be read whole, as far as that is sure beforehand."""
    if not history.is_remembered(contract):
        return contract, None
    versions = lake.versions(contract.table)
    if not versions:
        return None
    last = versions[-1]
    is_new = known is None or (last.version > known.version and last.state != known.state)
    return (contract, last.version) if is_new else None


def _moves(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    stale: Sequence[Contract],
    known: dict[str, _Known],
    live: dict[str, _Known],
) -> dict[str, Move]:
    """Bring the stale tables of which only some rows changed up to date, and tell which rows those were."""
    found = {}
    for contract in stale if "://" not in lake.uri else ():
        table = contract.table
        if table not in known or known[table].state == live[table].state:
            continue
        if history.is_remembered(contract) and not _is_one_step(connection, lake, contract, known[table]):
            continue
        move = exchange_rows(connection, contract, sorted(live[table].files))
        if move is not None:
            found[table] = move
    return found


def _is_one_step(
    connection: duckdb.DuckDBPyConnection, lake: Lake, contract: Contract, known: _Known
) -> bool:
    """Whether one version, the last one, is all that the table's log has to be told of."""
    missing = [v for v in lake.versions(contract.table) if v.version > known.version]
    if len(missing) != 1 or missing[0].state == known.state:
        return False
    return history.prepare(connection, contract)


def _fetch(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    stale: Sequence[Contract],
    known: dict[str, _Known],
) -> Arrivals:
    """Read what will be needed of the stale tables, several at once."""
    arrivals = Arrivals(connection, lake)
    wanted = [w for c in stale if (w := _to_fetch(lake, c, known.get(c.table)))]
    outdated = [c.table for c, _ in wanted if c.table in known and not history.is_remembered(c)]
    for table in outdated:
        drop(connection, table)
    if outdated:
        connection.execute("CHECKPOINT")  # or the file would grow beside the room that they leave
    arrivals.fetch(wanted)
    return arrivals


def _forget(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    drop(connection, table)
    history.forget(connection, table)


def _discard(path: Path) -> None:
    """Remove a file, or the folder to which DuckDB moves what does not fit into memory."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def build_catalog(
    lake: Lake, contracts: list[Contract], path: Path, history_days: int = 90, memory: str | None = None
) -> CatalogBuild:
    """Bring `path` up to the live version of every table among `contracts`.

    Tables that were never published are there without rows, but for those of landing.

    Parameters
    ----------
    history_days
        how many days back `as_of` can tell how a table stood.
    memory
        bound for DuckDB, as "2GB"; what does not fit goes to a folder beside the file. None: its own bound.

    Raises
    ------
    LakeError
        if the file cannot be written; the last catalog stays.
    """
    staged = path.with_name(f".{path.name}.{os.getpid()}.staged")
    renewed: list[str] = []
    kept: list[str] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for abandoned in path.parent.glob(f".{path.name}.*.staged*"):
            _discard(abandoned)  # a kill left it behind
        live = {c.table: found for c in contracts if (found := _live(lake, c)) is not None}
        published = {c.table: c for c in contracts if c.table in live}
        states = {**live, _OFFER: _offer(list(published.values()), history_days)}
        known = _live_states(path) if path.exists() else {}
        stale = {t for t in states if t not in known or not known[t].is_like(states[t])}
        stale |= {t for t in known.keys() & live.keys() if _came_back(lake, published[t], known[t], live[t])}
        if known.keys() == states.keys() and not stale:
            return CatalogBuild([], list(published), path.stat().st_size)
        if known:
            shutil.copyfile(path, staged)
        with duckdb.connect(str(staged), config={"memory_limit": memory} if memory else {}) as connection:
            history.make_register(connection)
            outdated = [published[t] for t in published if t in stale]
            held = [c for c in outdated if not is_read_in_place(lake, c, live[c.table].files)]
            moves = _moves(connection, lake, held, known, live)
            arrivals = _fetch(connection, lake, [c for c in held if c.table not in moves], known)
            # One transaction: a thousand comments would otherwise each be flushed to disk.
            connection.execute("BEGIN TRANSACTION")
            steps = counted(
                published.items(), "bringing tables up to date", total=len(published), unit="tables"
            )
            for table, contract in steps:
                if table not in stale:
                    kept.append(table)
                    continue
                _refresh(
                    connection,
                    lake,
                    contract,
                    known.get(table),
                    live[table],
                    history_days,
                    arrivals,
                    moves.get(table),
                )
                renewed.append(table)
            arrivals.clear()
            for move in moves.values():
                move.drop(connection)
            for gone in known.keys() - states.keys():
                _forget(connection, gone)
            history.make_macros(connection, list(published.values()))
            make_helpers(connection, list(published.values()))
            make_origins(connection, list(published.values()))
            _note(connection, states)
            connection.execute("COMMIT")
        staged.replace(path)
    except (duckdb.Error, OSError) as error:
        raise LakeError(f"{path}: the catalog was not replaced, the last one stays: {error}") from error
    finally:
        for end in ("", ".wal", ".tmp"):
            _discard(staged.with_name(staged.name + end))
    return CatalogBuild(renewed, kept, path.stat().st_size)

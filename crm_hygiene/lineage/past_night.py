"""An earlier night: the lake as it stood when a run ended, to read and never to write.

audit.runs keeps the Delta version of every table at the end of each run; a lake that is pinned to those
versions answers like the live one did that night. What differs between two nights belongs to `changes`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any, NoReturn

from crm_hygiene.contract import contract_of, nearest
from crm_hygiene.errors import ConfigurationError, LakeError
from crm_hygiene.lake import Lake
from crm_hygiene.night import Night
from crm_hygiene.runs import RUNS

# Kept by every run besides, so no run notes their version; their rows say themselves when they are of.
_RUNNING = frozenset({RUNS, "landing.files", "quality.gate_results", "quality.metrics", "quality.quarantine"})
_SHORTEST_RUN_ID = 6
_SHOWN = 5


@dataclass
class PinnedLake(Lake):
    """A lake in which every table stands at one version; a table that is not named was not there."""

    pinned: Mapping[str, int] = field(default_factory=dict)

    def _open(
        self, table: str, version: int | None = None, within: float | None = None, is_read: bool = True
    ) -> Any:
        if version is None and table not in _RUNNING:
            if table not in self.pinned:
                return None
            version = self.pinned[table]
        try:
            return super()._open(table, version, within, is_read)
        except LakeError as error:
            raise LakeError(
                f"{table}: version {version} of that night is gone from the lake or cannot be read: {error}"
            ) from error

    def _ensure(self, *_: Any, **__: Any) -> NoReturn:
        raise LakeError("an earlier night cannot be written to")

    def _write(self, *_: Any, **__: Any) -> NoReturn:
        raise LakeError("an earlier night cannot be written to")


@dataclass(frozen=True)
class PastNight:
    """A night of the lake: the run that ended it, and a Night that reads what stood then."""

    run_id: str
    ended_at: datetime
    rules: str
    night: Night


def past_night(night: Night, text: str, table: str = "golden.contacts", option: str = "--night") -> PastNight:
    """The night that `text` names.

    Parameters
    ----------
    text
        a run id or its beginning, a version of `table`, or a time (UTC where it says nothing else; a date
        is the end of that day): then the last night that had ended by then.
    option
        where the text was given, for the error.

    Raises
    ------
    ConfigurationError
        if no night is meant; the message names nights there are.
    """
    runs = night.lake.scan(contract_of(RUNS)).collect().sort("ended_at", "run_id")
    if runs.is_empty():
        raise ConfigurationError(f"{option} {text}: no night is on record yet")
    rows = runs.to_dicts()
    found = _by_version(rows, text, table) if text.isdecimal() and len(text) < 6 else _by_time(rows, text)
    if found is None and len(text) >= _SHORTEST_RUN_ID:
        plain = text.replace("-", "")
        found = next((r for r in rows if r["run_id"].replace("-", "").startswith(plain)), None)
    if found is None:
        raise ConfigurationError(f"{option} {text}: {_known(rows, text, table)}")
    lake = PinnedLake(
        night.lake.uri, night.lake.storage_options, pinned=json.loads(found["read_versions"] or "{}")
    )
    then = Night(night.config, lake, night.mappings, found["run_id"], found["started_at"])
    return PastNight(found["run_id"], found["ended_at"], found["rule_fingerprint"], then)


def _by_version(rows: list[dict[str, Any]], text: str, table: str) -> dict[str, Any] | None:
    wanted = int(text)
    return next((r for r in rows if json.loads(r["read_versions"] or "{}").get(table) == wanted), None)


def _by_time(rows: list[dict[str, Any]], text: str) -> dict[str, Any] | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) == len("2026-01-01"):
        moment = datetime.combine(date.fromisoformat(text), time.max)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return next((r for r in reversed(rows) if r["ended_at"] <= moment), None)


def _known(rows: list[dict[str, Any]], text: str, table: str) -> str:
    shown = [
        f"{row['run_id'][:8]} (ended {row['ended_at']:%Y-%m-%d %H:%M}, {table} version "
        f"{json.loads(row['read_versions'] or '{}').get(table, 'none')})"
        for row in rows[-_SHOWN:]
    ]
    close = nearest(text, [row["run_id"] for row in rows])
    return (
        "no run of that id, no version that a night ended with, and no night ended by then"
        f"{close}; the latest nights: {', '.join(reversed(shown))}"
    )


def live_rules(night: Night, table: str) -> str | None:
    """Fingerprint of rules, mappings and program that the live version of a table was made with."""
    found = night.lake.metadata(table).get("rules")
    return None if found is None else str(found)

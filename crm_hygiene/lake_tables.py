"""Tables of the lake that this process has open, and whether one has moved on since.

A night asks for the state of the same tables a thousand times; opening one replays its log. An opened
table is kept and never moved on, so whoever reads it lazily reads one version; it is opened anew when
somebody, this process or another, has committed to it since.

- In a folder that is exact and costs two looks at files: the next commit is not there, and the commit it
  was opened at is still the same file (a table that was deleted and made again has another).
- In an object store it is a request: an answer, also that there is no such table, serves for `FRESH_SECONDS`,
  unless somebody knows that another process has written (`ask_again`), as a night does of its own. Reading
  what was live seconds ago is reading a moment earlier; what writes asks again (`Lake._ensure`), and who
  must know sooner says how old an answer may be.

What does not belong here: how a table is opened and written (`lake`).
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import Any

import polars as pl
import pyarrow as pa

from crm_hygiene.lake_versions import Statistics, statistics_of

FRESH_SECONDS = 10.0

# Tables of a few lakes; one holds its list of files, a few kilobytes.
_KEPT = 512

Mark = tuple[int, int, int]


def is_folder(address: str) -> bool:
    """Whether an address is a path, not that of an object store."""
    return "://" not in address


def _commit_path(address: str, version: int) -> str:
    return f"{address}/_delta_log/{version:020d}.json"


def _mark(path: str) -> Mark | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - a thousand times a night
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


class OpenTable:
    """A table as it stood when it was opened.

    Attributes
    ----------
    delta
        Delta's handle; nobody may move it to another version or write through it.
    """

    def __init__(self, address: str, delta: Any) -> None:
        self.address = address
        self.delta = delta
        self.version = int(delta.version())
        self._mark = _mark(_commit_path(address, self.version)) if is_folder(address) else None
        self._seen_at = time.monotonic()
        self._last_commit: dict[str, Any] | None = None

    @property
    def last_commit(self) -> dict[str, Any]:
        """The commit that made this version, with its `version`."""
        if self._last_commit is None:
            # Asked for one commit, Delta gives those that came since this version as well, newest first,
            # numbered as if the first were this one.
            self._last_commit = {**self.delta.history(1)[-1], "version": self.version}
        return self._last_commit

    @cached_property
    def statistics(self) -> Statistics:
        """Rows, bytes, files and nulls of this version, from the log alone."""
        files = pl.from_arrow(pa.table(self.delta.get_add_actions(flatten=True)))
        assert isinstance(files, pl.DataFrame)
        return statistics_of(self.version, files)

    def commits(self) -> list[dict[str, Any]]:
        """The commits up to this version that the log still tells, newest first, each with its `version`."""
        since = len(self.delta.history(1)) - 1
        found = self.delta.history()[since:]
        return [{**commit, "version": self.version - age} for age, commit in enumerate(found)]

    def is_live(self, within: float) -> bool:
        """Whether nothing was committed since; in an object store as of `within` seconds ago at the most."""
        if is_folder(self.address):
            return self.is_there() and not os.path.exists(_commit_path(self.address, self.version + 1))  # noqa: PTH110
        now = time.monotonic()
        if now - self._seen_at < within:
            return True
        if int(self.delta._table.get_latest_version()) != self.version:
            return False
        self._seen_at = now
        return True

    def caught_up(self) -> Any:
        """The handle moved on to the last commit; None where the table is no longer the one it was.

        For who has taken the table out of `OPEN_TABLES`: nobody else may have it.
        """
        if not self.is_there():
            return None
        self.delta.update_incremental()
        return self.delta if int(self.delta.version()) >= self.version else None

    def ask_again(self) -> None:
        """Take no answer of a moment ago."""
        self._seen_at = -math.inf

    def is_there(self) -> bool:
        """Whether the commit it was opened at is the one that was read; unknown counts as no."""
        if not is_folder(self.address):
            return True
        return self._mark is not None and self._mark == _mark(_commit_path(self.address, self.version))


Key = tuple[str, tuple[tuple[str, str], ...], int | None]


class OpenTables:
    """The tables open in this process, those used last; of each the live one and versions that were asked."""

    def __init__(self) -> None:
        self._tables: OrderedDict[Key, OpenTable] = OrderedDict()
        self._missed_at: dict[Key, float] = {}
        self._written: set[Key] = set()  # those that nobody has asked for since this process wrote to them
        self._lock = threading.Lock()

    def get(
        self,
        key: Key,
        opened: Callable[[], OpenTable | None],
        within: float | None = None,
        is_read: bool = True,
    ) -> OpenTable | None:
        """The table of `key`, opened by `opened` where it is not open or has moved on.

        `within` is how many seconds old an object store's answer may be, by default `FRESH_SECONDS`. Who does
        not read by its handle says so.
        """
        within = FRESH_SECONDS if within is None else within
        with self._lock:
            found = self._tables.get(key)
            if is_read:
                self._written.discard(key)
            if found is None and time.monotonic() - self._missed_at.get(key, -math.inf) < within:
                return None
        # A version that is named stays what it is while its table is there.
        if found is None or not (found.is_live(within) if key[2] is None else found.is_there()):
            found = opened()
            self.put(key, found)
            return found
        with self._lock:
            if key in self._tables:
                self._tables.move_to_end(key)
        return found

    def put(self, key: Key, table: OpenTable | None, is_written: bool = False) -> None:
        """Keep a table that was just opened, or written to by this process; None says that there is none."""
        with self._lock:
            # In one step with keeping it: whoever asks for it from now on reads it.
            (self._written.add if is_written else self._written.discard)(key)
            self._tables.pop(key, None)
            self._missed_at.pop(key, None)
            if table is not None:
                self._tables[key] = table
            elif not is_folder(key[0]):
                self._missed_at[key] = time.monotonic()
            while len(self._tables) > _KEPT:
                self._written.discard(self._tables.popitem(last=False)[0])

    def take(self, key: Key) -> OpenTable | None:
        """The table as this process wrote it, if nobody has asked for it since; it is no longer kept here."""
        with self._lock:
            if key not in self._written:
                return None
            self._written.discard(key)
            return self._tables.pop(key, None)

    def ask_again(self) -> None:
        """Another process may have written until now: what is open stays so where nobody committed to it."""
        with self._lock:
            self._missed_at.clear()
            for table in self._tables.values():
                table.ask_again()

    def forget(self) -> None:
        """Open every table anew: other tables may be at their addresses by now."""
        with self._lock:
            self._missed_at.clear()
            self._written.clear()
            self._tables.clear()


#: One for the process: several `Lake`s of one address share what is open.
OPEN_TABLES = OpenTables()

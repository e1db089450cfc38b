"""A lease on the lake in an object store: one night at a time, whatever machine it runs on.

A folder has a lock file that the operating system holds; a store has none. There the lease is a table of its
own without rows, `<lake>/_leases/<name>`: taking, renewing and giving it back are commits, and a commit is a
conditional put, which of two writers lets one through. The last commit says who holds it and until when.

- The holder renews it every `RENEW_SECONDS` from a thread; a lease that was not renewed for `LEASE_SECONDS`
  (its machine is gone) may be taken by anybody. Clocks must agree to within a few minutes.
- A holder that could not renew in time, or finds that another took the lease, has lost it: from then on its
  process commits nothing more (`check_held`, asked before every commit to the lake). Of a commit that is on
  its way at that moment, Delta's own conditional put decides.

What does not belong here: how a commit is made (`lake`), what is done under the lease (`night_lock`).
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from crm_hygiene.errors import LakeError

LEASE_SECONDS = 300.0
RENEW_SECONDS = 60.0


class LeaseTable(Protocol):
    """What a lease is kept in: numbered commits, of which each number can be made once."""

    def last(self) -> tuple[int, Mapping[str, Any]]:
        """The number of the last commit and its texts; the first call makes the table."""

    def commit(self, after: int, texts: dict[str, str]) -> bool:
        """Make the commit that follows number `after`; False if another one was faster."""


class Lease:
    """One holder's lease; made by `hold_lease`."""

    def __init__(self, table: LeaseTable, running: str, clock: Callable[[], datetime]) -> None:
        self._table = table
        self._running = running
        self._clock = clock
        self._holder = uuid.uuid4().hex
        self._who = f"process {os.getpid()} on {socket.gethostname()} since {clock():%F %T} UTC"
        self._number = -1
        self._renewed_at = 0.0
        self._is_lost = False

    def _texts(self, until: datetime) -> dict[str, str]:
        return {"holder": self._holder, "who": self._who, "until": until.isoformat()}

    def _commit(self, seconds: float) -> bool:
        # Taken before the commit: the lease must not seem longer to its holder than to others.
        began = time.monotonic()
        if not self._table.commit(self._number, self._texts(self._clock() + timedelta(seconds=seconds))):
            return False
        self._number += 1
        self._renewed_at = began
        return True

    def take(self) -> None:
        """Take the lease, or raise LakeError naming who holds it."""
        self._number, found = self._table.last()
        until = datetime.fromisoformat(found["until"]) if "until" in found else None
        if until is not None and until > self._clock():
            raise LakeError(
                f"{self._running} ({found.get('who', 'another process')}); wait until it has ended. If its "
                f"machine is gone, its lease ends by itself at {until:%F %T} UTC"
            )
        if not self._commit(LEASE_SECONDS):
            raise LakeError(f"{self._running}: it began at this moment; wait until it has ended")

    def renew(self) -> None:
        """Hold the lease for another while; marks it lost where another has taken it."""
        if self._is_lost or self._commit(LEASE_SECONDS):
            return
        # A commit whose answer was lost is there all the same.
        self._number, found = self._table.last()
        self._is_lost = found.get("holder") != self._holder or not self._commit(LEASE_SECONDS)

    def give_back(self) -> None:
        """Let others take it at once; what was lost needs no giving back."""
        if not self._is_lost:
            self._commit(0)

    def check(self) -> None:
        """Raise LakeError if the lease was lost, or could not be renewed in time."""
        if self._is_lost or time.monotonic() - self._renewed_at >= LEASE_SECONDS:
            raise LakeError(
                f"{self._running}: this process could not renew its lease in time and may have been "
                "replaced; it commits nothing more. Run again: what it published is whole"
            )


# Leases this process holds, by address of the lake.
_held: dict[str, list[Lease]] = {}


def check_held(lake_uri: str) -> None:
    """Raise LakeError if this process held a lease on the lake and lost it; without one, nothing happens."""
    for lease in _held.get(lake_uri, ()):
        lease.check()


def _renew_until(ended: threading.Event, lease: Lease) -> None:
    while not ended.wait(RENEW_SECONDS):
        # A store that does not answer is asked again; `check` knows when it is too late.
        try:
            lease.renew()
        except LakeError:
            continue


@contextmanager
def hold_lease(
    lake_uri: str,
    table: LeaseTable,
    running: str,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[Lease]:
    """Hold the lease that `table` keeps.

    Parameters
    ----------
    running
        what another holder does, for the message.
    clock
        the time in UTC.

    Raises
    ------
    LakeError
        if another holds it, naming that process; or if the store cannot be written.
    """
    lease = Lease(table, running, clock)
    lease.take()
    ended = threading.Event()
    renewing = threading.Thread(target=_renew_until, args=(ended, lease), name="lease", daemon=True)
    renewing.start()
    _held.setdefault(lake_uri, []).append(lease)
    try:
        yield lease
    finally:
        _held[lake_uri].remove(lease)
        ended.set()
        renewing.join()
        lease.give_back()

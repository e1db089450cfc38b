"""One night at a time on one lake: a lock file in the lake's folder.

The operating system holds the lock, so it ends with the process, however that ends; nothing has to be
cleaned up after a kill. The file says who holds it. For a lake in an object store there is no such
file: there one Dagster instance sees to it (`concurrency.runs` in dagster.yaml).
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from crm_hygiene.errors import LakeError

LOCK_NAME = ".night.lock"


def take(stream: IO[str]) -> bool:
    """Whether the lock is now ours; never waits."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextmanager
def night_lock(lake_uri: str) -> Iterator[None]:
    """Hold the lake for one night.

    Parameters
    ----------
    lake_uri
        address of the lake; for anything but a path nothing is locked.

    Raises
    ------
    LakeError
        if another night runs on the lake, naming its process; or if the lake's folder cannot be written.
    """
    if "://" in lake_uri:
        yield
        return
    path = Path(lake_uri) / LOCK_NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise LakeError(f"{path.parent}: the lake cannot be written: {error.strerror or error}") from error
    with stream:
        if not take(stream):
            stream.seek(0)
            holder = stream.read(200).strip() or "another process"
            raise LakeError(
                f"{path.parent}: another night is running on this lake ({holder}); wait until it has ended, "
                "or end that process: the lock ends with it"
            )
        try:
            stream.truncate(0)
            stream.write(
                f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%F %T} UTC"
            )
            stream.flush()
        except OSError:
            pass  # a full disk: the lock holds without saying whose it is, and the night tells the rest
        yield

"""One process at a time: a lock file held by the operating system.

The lock ends with the process, however that ends; nothing has to be cleaned up after a kill. The file says
who holds it. What does not belong here: what is locked (`night_lock`, `writeback.delivery.apply_lock`).
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


def _take(stream: IO[str]) -> bool:
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
def process_lock(path: Path, running: str, after: str = "") -> Iterator[None]:
    """Hold a lock file; its folder is made.

    Parameters
    ----------
    running
        what another holder does, for the message: "the lake: another night is running".
    after
        what the message adds on how it goes on once that process has ended.

    Raises
    ------
    LakeError
        if another process holds it, naming that process; or if the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise LakeError(f"{path.parent}: cannot be written: {error.strerror or error}") from error
    with stream:
        if not _take(stream):
            stream.seek(0)
            holder = stream.read(200).strip() or "another process"
            raise LakeError(
                f"{running} ({holder}); wait until it has ended, or end that process: the lock ends with "
                f"it{after}"
            )
        try:
            stream.truncate(0)
            stream.write(
                f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%F %T} UTC"
            )
            stream.flush()
        except OSError:
            pass  # a full disk: the lock holds without saying whose it is, and what runs tells the rest
        yield

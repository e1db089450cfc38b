"""One apply at a time for each target: a lock file in the lake's folder, held as a night holds its own.

The operating system holds the lock, so it ends with the process, however that ends. For a lake in an
object store the file lies beside hygiene.yaml: there two machines must not apply at once.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from crm_hygiene.errors import LakeError
from crm_hygiene.night_lock import take


@contextmanager
def apply_lock(lake_uri: str, project: Path, target: str) -> Iterator[None]:
    """Hold a target for one apply, undo, retry or unpark.

    Raises
    ------
    LakeError
        if another process holds it, naming that process; or if the folder cannot be written.
    """
    folder = project if "://" in lake_uri else Path(lake_uri)
    path = folder / f".writeback.{re.sub(r'[^0-9A-Za-z_.-]', '_', target)}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise LakeError(f"{folder}: cannot be written: {error.strerror or error}") from error
    with stream:
        if not take(stream):
            stream.seek(0)
            holder = stream.read(200).strip() or "another process"
            raise LakeError(
                f"{target}: another apply is running ({holder}); wait until it has ended, or end that "
                "process: the lock ends with it, and the next apply goes on where it was"
            )
        try:
            stream.truncate(0)
            stream.write(
                f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%F %T} UTC"
            )
            stream.flush()
        except OSError:
            pass  # a full disk: the lock holds without saying whose it is
        yield

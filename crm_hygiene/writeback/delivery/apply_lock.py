"""One apply at a time for each target: a lock file in the lake's folder, as a night has one.

For a lake in an object store the file lies beside hygiene.yaml: there two machines must not apply at once.
What does not belong here: the lock itself (`process_lock`).
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from pathlib import Path

from crm_hygiene.process_lock import process_lock


def apply_lock(lake_uri: str, project: Path, target: str) -> AbstractContextManager[None]:
    """Hold a target for one apply, undo, retry or unpark.

    Raises
    ------
    LakeError
        on entering, if another process holds it, naming that process; or if the folder cannot be written.
    """
    folder = project if "://" in lake_uri else Path(lake_uri)
    path = folder / f".writeback.{re.sub(r'[^0-9A-Za-z_.-]', '_', target)}.lock"
    running = f"{target}: another apply is running"
    return process_lock(path, running, after=", and the next apply goes on where it was")

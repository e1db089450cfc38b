"""One apply at a time for each target: a lock file in the lake's folder, as a night has one.

For a lake in an object store the file lies beside hygiene.yaml, and a lease in the store keeps other machines
from applying at once. What does not belong here: the lock itself (`process_lock`, `lease`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from crm_hygiene.lake import Lake
from crm_hygiene.lake_tables import is_folder
from crm_hygiene.lease import hold_lease
from crm_hygiene.process_lock import process_lock


@contextmanager
def apply_lock(
    lake_uri: str, project: Path, target: str, storage_options: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Hold a target for one apply, undo, retry or unpark.

    Raises
    ------
    LakeError
        on entering, if another process holds it, naming that process; or if the folder cannot be written.
    """
    name = f"writeback.{re.sub(r'[^0-9A-Za-z_.-]', '_', target)}"
    folder = Path(lake_uri) if is_folder(lake_uri) else project
    running = f"{target}: another apply is running"
    with process_lock(folder / f".{name}.lock", running, after=", and the next apply goes on where it was"):
        if is_folder(lake_uri):
            yield
            return
        lake = Lake(lake_uri, dict(storage_options or {}))
        with hold_lease(lake_uri, lake.lease(name), running):
            yield

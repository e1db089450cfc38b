"""One night at a time on one lake: a lock file in the lake's folder.

For a lake in an object store there is no such file: there one Dagster instance sees to it
(`concurrency.runs` in dagster.yaml). What does not belong here: the lock itself (`process_lock`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crm_hygiene.process_lock import process_lock

LOCK_NAME = ".night.lock"


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
    folder = Path(lake_uri)
    with process_lock(folder / LOCK_NAME, f"{folder}: another night is running on this lake"):
        yield

"""One night at a time on one lake: a lock file in the lake's folder, a lease in its object store.

What does not belong here: the lock itself (`process_lock`, `lease`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from crm_hygiene.lake import Lake
from crm_hygiene.lake_tables import OPEN_TABLES, is_folder
from crm_hygiene.lease import hold_lease
from crm_hygiene.process_lock import process_lock

LOCK_NAME = ".night.lock"
LEASE_NAME = "night"


@contextmanager
def night_lock(lake_uri: str, storage_options: Mapping[str, str] | None = None) -> Iterator[None]:
    """Hold the lake for one night.

    Parameters
    ----------
    lake_uri
        address of the lake.
    storage_options
        for an object store: its options, secrets in place.

    Raises
    ------
    LakeError
        if another night runs on the lake, naming its process; or if the lake cannot be written.
    """
    running = "another night is running on this lake"
    if is_folder(lake_uri):
        folder = Path(lake_uri)
        with process_lock(folder / LOCK_NAME, f"{folder}: {running}"):
            yield
        return
    lake = Lake(lake_uri, dict(storage_options or {}))
    with hold_lease(lake_uri, lake.lease(LEASE_NAME), f"{lake_uri}: {running}"):
        OPEN_TABLES.forget()  # whoever held it before may have written until now
        yield

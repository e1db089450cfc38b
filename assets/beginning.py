"""What a night begins before anything else: the process from which all beside it are forked.

It imports Dagster, Great Expectations and Splink on another core while the night's own process imports what
it needs. What does not belong here: what it imports (`assets.imported_once`), and what is done beside a night
(`assets.side_work`, `assets.apart`). It is itself imported first, so it imports little.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

from crm_hygiene.beside import import_now
from crm_hygiene.config import Config

IMPORTED_ONCE = "assets.imported_once"
"""What all processes of a night import."""

# Exports of so many bytes in all make a small night.
MOST_LANDED_BYTES = 32_000_000


def begin(config: Config) -> None:
    """Begin the imports of a night that will have something to do, where there is a core for them."""
    if _can_have_processes() and _is_one_new(config, _exports(config)):
        import_now(IMPORTED_ONCE)


def has_side_work(config: Config) -> bool:
    """Whether there are two cores, the exports are few, and one is newer than the last catalog."""
    if not _can_have_processes():
        return False
    exports = list(_exports(config))
    return sum(found.st_size for found in exports) <= MOST_LANDED_BYTES and _is_one_new(config, exports)


def _can_have_processes() -> bool:
    return os.name == "posix" and (os.cpu_count() or 1) >= 2


def _is_one_new(config: Config, exports: Iterable[os.stat_result]) -> bool:
    catalog = config.catalog_path
    replaced_at = catalog.stat().st_mtime if catalog.exists() else 0.0
    return any(found.st_mtime > replaced_at for found in exports)


def _exports(config: Config) -> Iterator[os.stat_result]:
    """What the system says of the files in the landing folder; who reads them tells of those it cannot."""
    for path in config.landing_folder.rglob("*"):
        with suppress(OSError):
            if path.is_file():
                yield path.stat()

"""The files beside the tables of a lake in an object store: made on this machine, kept in the store too.

DuckDB needs its catalog as a file, a browser its pages; they are made in `lake.local_folder` and copied to
the lake's address after a night. Whoever has another machine fetches the catalog from there (`crm-hygiene
query` does). A catalog is uploaded under a name of its own and then pointed at (`catalog.json`), so a reader
who is in the middle of the last one gets it whole. What does not belong here: the store (`lake_files`), what
is in the files (`catalog`, `report`, `explanation.charts`, `lineage.transport`).
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crm_hygiene.config import Config
from crm_hygiene.errors import LakeError
from crm_hygiene.lake import Lake
from crm_hygiene.lake_errors import in_short
from crm_hygiene.lake_tables import is_folder

POINTER = "catalog.json"

# A reader may still be fetching the one before.
_CATALOGS_KEPT = 2

# Below the local folder and below the lake alike.
_FOLDERS = ("report", "charts", "openlineage")


@contextmanager
def _told(lake: Lake) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = in_short(error)
        raise LakeError(f"{lake.uri}: files could not be copied from or to the store: {reason}") from error


def _note_of(path: Path) -> Path:
    """What this machine knows of its catalog: the store's name of it, size and time when they were alike."""
    return path.with_name(f".{path.name}.copy.json")


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _noted(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _note(path: Path, content: object) -> None:
    staged = path.with_name(f"{path.name}.{os.getpid()}.staged")
    staged.write_text(json.dumps(content, sort_keys=True), encoding="utf-8")
    staged.replace(path)


def fetch_catalog(config: Config, lake: Lake) -> bool:
    """Make the local catalog the one in the store, where that is another one; returns whether it was.

    Does nothing for a lake in a folder, and where no night has copied a catalog to the store.

    Raises
    ------
    LakeError
        if the store does not answer or the local folder cannot be written; the local catalog stays.
    """
    if is_folder(lake.uri):
        return False
    path = config.catalog_path
    with _told(lake):
        files = lake.files()
        content = files.read(POINTER)
        if content is None:
            return False
        name = json.loads(content)["file"]
        if path.exists() and _noted(_note_of(path)).get("file") == name:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{os.getpid()}.fetched")
        try:
            files.download(name, staged)
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
        _note(_note_of(path), {"file": name, "stamp": _stamp(path)})
    return True


def share_catalog(config: Config, lake: Lake) -> bool:
    """Copy the local catalog to the store, where it has changed since; returns whether it was copied.

    Raises
    ------
    LakeError
        as of `fetch_catalog`; the store points at the catalog of the night before.
    """
    path = config.catalog_path
    if is_folder(lake.uri) or not path.exists():
        return False
    stamp = _stamp(path)
    if _noted(_note_of(path)).get("stamp") == stamp:
        return False
    with _told(lake):
        files = lake.files()
        before = files.read(POINTER)
        name = f"catalog/{uuid.uuid4().hex}.duckdb"
        files.upload(path, name)
        kept = [name, *(json.loads(before)["kept"] if before else [])][:_CATALOGS_KEPT]
        files.write(POINTER, json.dumps({"file": name, "kept": kept}).encode())
        for old in files.files("catalog"):
            if old not in kept:
                files.delete(old)
        _note(_note_of(path), {"file": name, "stamp": stamp})
    return True


def share_pages(config: Config, lake: Lake) -> int:
    """Copy what is new of report, charts and lineage events to the store; returns how many files.

    Raises
    ------
    LakeError
        as of `fetch_catalog`.
    """
    if is_folder(lake.uri):
        return 0
    root = config.local_folder
    note = root / ".pages.copy.json"
    known = _noted(note)
    paths = [path for folder in _FOLDERS for path in sorted((root / folder).rglob("*")) if path.is_file()]
    now = {path.relative_to(root).as_posix(): _stamp(path) for path in paths}
    changed = [name for name, stamp in now.items() if known.get(name) != stamp]
    gone = known.keys() - now.keys()
    if not changed and not gone:
        return 0
    with _told(lake):
        files = lake.files()
        for name in changed:
            files.upload(root / name, name)
        for name in sorted(gone):
            if files.exists(name):
                files.delete(name)
        _note(note, now)
    return len(changed)

"""Plain files in the lake's object store: what is no table but belongs beside the tables.

The store replaces an object in one step, so a reader sees the old file or the new one. What does not belong
here: which files those are (`lake_copies`), tables (`lake`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyarrow.fs import FileSelector, FileType, PyFileSystem

# A part of an upload, and of a download; stores take parts of 5 MiB to 5 GiB.
_PART_BYTES = 16 * 1024**2


class StoreFiles:
    """Files below the lake's address; names are relative to it, with slashes.

    Every method raises OSError where the store does not answer or refuses.
    """

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self._files = PyFileSystem(handler)

    def folders(self, name: str = "") -> list[str]:
        """Names of the folders directly below one."""
        found = self._files.get_file_info(FileSelector(name, recursive=False, allow_not_found=True))
        return sorted(entry.base_name for entry in found if entry.type == FileType.Directory)

    def files(self, name: str = "") -> dict[str, int]:
        """Bytes of every file below a folder, at any depth, by name."""
        found = self._files.get_file_info(FileSelector(name, recursive=True, allow_not_found=True))
        return {entry.path: int(entry.size) for entry in found if entry.type == FileType.File}

    def exists(self, *names: str) -> bool:
        """Whether every one of the files is there."""
        return all(entry.type == FileType.File for entry in self._files.get_file_info(list(names)))

    def read(self, name: str) -> bytes | None:
        """A small file whole; None if there is none."""
        if not self.exists(name):
            return None
        with self._files.open_input_stream(name) as stream:
            return bytes(stream.read())

    def write(self, name: str, content: bytes) -> None:
        """Make `content` the file."""
        self._put(name, iter([content]))

    def upload(self, path: Path, name: str) -> None:
        """Make the file at `path` the file of that name."""
        with path.open("rb") as stream:
            self._put(name, iter(lambda: stream.read(_PART_BYTES), b""))

    def _put(self, name: str, parts: Any) -> None:
        # pyarrow's stream around Delta's hands it buffers, which it does not take.
        stream = self._handler._handler.open_output_stream(name, None)
        for part in parts:
            stream.write(part)
        stream.close()

    def download(self, name: str, path: Path) -> None:
        """Write the file to `path`."""
        with self._files.open_input_stream(name) as stream, path.open("wb") as out:
            while part := stream.read(_PART_BYTES):
                out.write(part)

    def delete(self, name: str) -> None:
        """Take the file away."""
        self._files.delete_file(name)

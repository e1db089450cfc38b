"""Frames put by until they are asked for: in memory, or in files of a folder that goes with its owner.

For what a step makes in parts and needs again later, where all parts together would not fit into memory.
The folder is the user's alone and stands where temporary files do.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import polars as pl

PutBy = Callable[[], pl.DataFrame]
"""Gives a frame that was put by, any number of times."""


class Spill:
    """Where frames are put by; files of it are gone when nothing that was put by is left, or at exit."""

    def __init__(self, is_held: bool = False) -> None:
        """With `is_held` frames stay in memory."""
        self._folder = None if is_held else Path(tempfile.mkdtemp(prefix="crm-hygiene-"))
        self._numbers = count()
        if self._folder is not None:
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def put(self, frame: pl.DataFrame) -> PutBy:
        """Put a frame by; what gives it back keeps the files alive."""
        if self._folder is None:
            return lambda: frame
        path = self._folder / f"{next(self._numbers)}.arrow"
        frame.write_ipc(path, compression="lz4")
        return lambda: self._read(path)

    def _read(self, path: Path) -> pl.DataFrame:
        return pl.read_ipc(path)


def gathered(parts: Sequence[PutBy]) -> pl.DataFrame:
    """All parts in one frame, in their order; at least one part."""
    return pl.concat(part() for part in parts)

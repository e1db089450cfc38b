"""Fingerprints: one hash for everything a table is a function of.

A table whose inputs' fingerprint is unchanged need not be computed again. The code itself is an
input: a new release recomputes, whatever its version number says.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

# Parts of the library that make no table: the command line, the summary, the sample generator.
_SHOWN = frozenset(
    {
        "__pycache__",
        "cli",
        "sample",
        "summary.py",
        "progress.py",
        "beside.py",
        "upkeep.py",
        "catalog.py",
        "catalog_history.py",
        "catalog_in_place.py",
        "catalog_loading.py",
        "catalog_macros.py",
        "catalog_moves.py",
        "catalog_query.py",
    }
)

PACKAGE = Path(__file__).parent
CONTRACTS = PACKAGE.parent / "expectations"


def fingerprint(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`."""
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def code_fingerprint() -> str:
    """SHA-256 over the library's modules and data files and the contracts; not over what only shows."""
    digest = hashlib.sha256()
    for root in (PACKAGE, CONTRACTS):
        # Parts below the root: what the folders above it are called is nobody's business.
        inside = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
        for name in sorted(name for name in inside if not _SHOWN & set(name.parts)):
            digest.update(f"{root.name}/{name.as_posix()}".encode())
            digest.update(inside[name].read_bytes())
    return digest.hexdigest()


class Content:
    """Order-independent fingerprint of rows that come in parts, all of the same columns.

    Polars' row hash is fixed for one Polars version, so the version is part of the text: after an
    upgrade a table counts as changed once.
    """

    def __init__(self) -> None:
        self.row_count = 0
        self._total = 0
        self._mixed = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Count the rows of a part in."""
        if frame.is_empty():
            return
        hashes = frame.hash_rows(seed=0x9E3779B9)
        self.row_count += frame.height
        # two independent folds of the 64-bit hashes; wrapping arithmetic keeps them in 64 bits
        self._total = (self._total + int(hashes.cast(pl.UInt64).sum() or 0)) & 0xFFFFFFFFFFFFFFFF
        self._mixed += int((hashes % 1_000_003).cast(pl.UInt64).sum() or 0)

    @property
    def text(self) -> str:
        """The fingerprint of the rows so far."""
        return f"polars-{pl.__version__}:{self.row_count}:{self._total:016x}:{self._mixed:x}"


def content_of(frame: pl.DataFrame) -> str:
    """`Content` of the rows of `frame`."""
    content = Content()
    content.add(frame)
    return content.text

"""Rows as Delta takes them: Arrow with plain types, in batches that are made as they are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pyarrow as pa

# Rows handed to Delta at a time.
_BATCH_ROWS = 250_000


def delta_schema(frame: pl.DataFrame) -> pa.Schema:
    """The Arrow schema of `frame` as Delta takes it."""
    return _plain(frame.clear()).schema


def batches_of(frame: pl.DataFrame) -> Iterator[pa.RecordBatch]:
    """A frame piece by piece: a large one is not copied as a whole."""
    for piece in frame.iter_slices(_BATCH_ROWS):
        yield from _plain(piece).to_batches()


def as_reader(frame: pl.DataFrame) -> pa.RecordBatchReader:
    """`batches_of` a frame as a reader."""
    return pa.RecordBatchReader.from_batches(delta_schema(frame), batches_of(frame))


def made_apart(parts: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The parts, one by one, made in a thread of their own.

    Delta asks for them in its own threads, where nothing may be asked of Delta: who makes parts may read the
    lake and write to other tables of it.
    """
    remaining = iter(parts)
    with ThreadPoolExecutor(1, thread_name_prefix="parts") as maker:
        while (part := maker.submit(next, remaining, None).result()) is not None:
            yield part


def _plain(frame: pl.DataFrame) -> pa.Table:
    """Arrow with plain types: views become large strings, which every Delta reader knows."""
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())

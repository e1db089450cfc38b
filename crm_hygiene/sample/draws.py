"""Seeded draws: the only place where the sample world meets chance.

Every part of the sample asks for a stream of its own by name, so that a change in one export leaves
the bytes of the others alone. What does not belong here: what the drawn values mean.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Rng = np.random.Generator

_LOW = {"#": 0, "%": 1, "~": 2}
_LETTERS = np.frombuffer(b"ABDEFGHJLNPQRSTUWXYZ", dtype=np.uint8)


def stream(seed: int, name: str) -> Rng:
    """The PCG64 generator of one named part of the sample."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())])))


def hit(rng: Rng, n: int, rate: float) -> Mask:
    """`n` independent draws that are true with probability `rate`."""
    return rng.random(n) < rate


def pick(rng: Rng, values: Sequence[str], n: int) -> pl.Series:
    """`n` values, drawn evenly."""
    return pl.Series(list(values), dtype=pl.String).gather(rng.integers(0, len(values), n))


def weighted(rng: Rng, weights: npt.NDArray[np.float64], n: int) -> Ints:
    """`n` positions, drawn in proportion to `weights`."""
    edges = np.cumsum(weights)
    found = np.searchsorted(edges, rng.random(n) * edges[-1], side="right")
    positions: Ints = np.minimum(found, len(weights) - 1).astype(np.int64)
    return positions


def where(mask: Mask, then: pl.Series, otherwise: pl.Series) -> pl.Series:
    """`then` in the rows of `mask`, `otherwise` elsewhere; all of one length."""
    return then.zip_with(pl.Series(mask, dtype=pl.Boolean), otherwise)


def blank(mask: Mask, values: pl.Series) -> pl.Series:
    """`values` with nulls in the rows of `mask`."""
    return where(mask, pl.Series([None], dtype=values.dtype).new_from_index(0, len(values)), values)


def put(values: pl.Series, positions: Ints, changed: pl.Series) -> pl.Series:
    """A copy of `values` with `changed` at `positions`."""
    return values.clone().scatter(positions, changed) if len(positions) else values


@dataclass(frozen=True)
class Pools:
    """Several pools of values in one series, addressed by the number of their group."""

    values: pl.Series
    start: Ints
    size: Ints

    @classmethod
    def of(cls, groups: Sequence[Sequence[str]]) -> Pools:
        """Pools from one list of values per group."""
        size = np.array([len(g) for g in groups], dtype=np.int64)
        return cls(pl.Series([v for g in groups for v in g], dtype=pl.String), np.cumsum(size) - size, size)

    def positions(self, rng: Rng, group: Ints, skew: float = 1.0) -> Ints:
        """Positions in `values`, one per row of `group`; `skew` above 1 favours the first of a pool."""
        at = (rng.random(len(group)) ** skew * self.size[group]).astype(np.int64)
        return self.start[group] + np.minimum(at, self.size[group] - 1)

    def pick(self, rng: Rng, group: Ints, skew: float = 1.0) -> pl.Series:
        """Values, one per row of `group`."""
        return self.values.gather(self.positions(rng, group, skew))


def text_of(matrix: Bytes, lengths: Ints | None = None) -> pl.Series:
    """One text per row of an ASCII matrix, cut to `lengths` where given."""
    rows, width = matrix.shape
    if lengths is None:
        flat, ends = np.ascontiguousarray(matrix).reshape(-1), np.arange(rows + 1, dtype=np.int64) * width
    else:
        flat = matrix[np.arange(width) < lengths[:, None]]
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(flat)]
    return pl.Series(values=pl.from_arrow(pa.Array.from_buffers(pa.large_string(), rows, buffers)))


def fill(rng: Rng, templates: Sequence[str], which: Ints) -> pl.Series:
    """Fill ASCII templates: # any digit, % a digit 1-9, ~ a digit 2-9, @ a letter; the rest stays.

    Parameters
    ----------
    templates
        the distinct templates
    which
        position of the template of each row
    """
    width = max((len(t) for t in templates), default=0)
    table = np.frombuffer("".join(t.ljust(width) for t in templates).encode("ascii"), dtype=np.uint8)
    table = table.reshape(len(templates), width)
    lengths = np.array([len(t) for t in templates], dtype=np.int64)[which]
    marks = table[which]
    filled = marks.copy()
    draws = rng.random(marks.shape, dtype=np.float32)
    for mark, low in _LOW.items():
        at = marks == ord(mark)
        filled[at] = (48 + low + (draws[at] * (10 - low)).astype(np.uint8)).astype(np.uint8)
    at = marks == ord("@")
    filled[at] = _LETTERS[(draws[at] * len(_LETTERS)).astype(np.int64)]
    return text_of(filled, lengths)

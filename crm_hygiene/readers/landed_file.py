"""What reading a file gives: its identity, its rows in batches, and the rows that could not be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

# A line or record beyond this is damage (an unclosed quote, a binary blob), not a customer.
MAX_RECORD_BYTES = 10 * 1024 * 1024
BATCH_ROWS = 100_000
# Enough of a refused row to recognise it by; the file itself is kept by whoever delivered it.
MAX_ROW_TEXT = 2_000


@dataclass(frozen=True)
class RefusedRow:
    """One row that left the flow: its ordinal in the file, why, and the beginning of its text."""

    row_number: int
    reasons: tuple[str, ...]
    row_text: str

    @classmethod
    def of(cls, row_number: int, reason: str, text: str) -> RefusedRow:
        """A refused row with its text cut to a readable length and free of NUL characters."""
        shown = text[:MAX_ROW_TEXT].rstrip("\r\n").replace("\0", "\u2400")
        return cls(row_number, (reason,), shown + ("…" if len(text) > MAX_ROW_TEXT else ""))


@dataclass
class LandedFile:
    """A file being read.

    `chunks` yields frames of up to `BATCH_ROWS` rows: one String column per vendor column of the
    mapping (null where the file lacks it), `row_number` Int64 and `extra` String, a JSON object of
    the other filled cells. `refused`, `warnings` and, for JSON, `header` grow while chunks are
    consumed, and are complete when `chunks` is exhausted. Consuming may raise FileRefused: then
    nothing of the file may be kept.
    """

    file_hash: str
    byte_count: int
    encoding: str
    header: list[str]
    warnings: list[str]
    chunks: Iterator[pl.DataFrame] = field(repr=False)
    refused: list[RefusedRow] = field(default_factory=list)

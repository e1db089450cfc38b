"""CSV in blocks: the fast path, for text whose quoting is proven clean.

Arrow's parser is fast and lenient: it reads damaged quoting as something. So it only gets text in which
every quote stands where RFC 4180 wants it, which a pass over the bytes proves, and it stops at the
first record with a wrong number of fields, from where the patient path goes on.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import IO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from crm_hygiene.readers.encodings import Text
from crm_hygiene.readers.landed_file import BATCH_ROWS, MAX_RECORD_BYTES

_BLOCK = 4 * 1024 * 1024
# Must hold a record of the allowed size; Arrow allows a record to cross one block boundary.
_ARROW_BLOCK = MAX_RECORD_BYTES + 4 * 1024 * 1024
_QUOTE, _CR, _LF = 34, 13, 10


def is_cleanly_quoted(stream: IO[bytes], delimiter: str) -> bool:
    r"""Whether all quotes open at the start and close at the end of fields, and all `\r` precede `\n`.

    Counting from the first, odd quotes open and even quotes close (a doubled quote within a field
    closes and opens again). An opening one must follow the delimiter, a line end or a closing one; a
    closing one must precede the delimiter, a line end or an opening one. A line or a quoted field that
    fills a whole block is not taken for clean either.
    """
    allowed = np.zeros(256, dtype=bool)
    allowed[[ord(delimiter), _LF, _QUOTE]] = True
    after_close = allowed.copy()
    after_close[_CR] = True
    previous, quotes, closes_at_end, cr_at_end = _LF, 0, False, False
    while block := stream.read(_BLOCK):
        data = np.frombuffer(block, dtype=np.uint8)
        if (closes_at_end and not after_close[data[0]]) or (cr_at_end and data[0] != _LF):
            return False
        returns = np.flatnonzero(data == _CR) if _CR in block else np.empty(0, dtype=np.int64)
        cr_at_end = bool(returns.size) and int(returns[-1]) == data.size - 1
        inner = returns[:-1] if cr_at_end else returns
        if inner.size and not (data[inner + 1] == _LF).all():
            return False
        places = np.flatnonzero(data == _QUOTE)
        if data.size == _BLOCK and (b"\n" not in block or (quotes % 2 and not places.size)):
            return False  # may become a record over the limit, which the patient path tells exactly
        first_opens = quotes % 2
        opens, closes = places[first_opens::2], places[1 - first_opens :: 2]
        quotes += places.size
        before = np.where(opens > 0, data[opens - 1], previous)
        if not allowed[before].all():
            return False
        closes_at_end = bool(closes.size) and int(closes[-1]) == data.size - 1
        inner = closes[:-1] if closes_at_end else closes
        if inner.size and not after_close[data[inner + 1]].all():
            return False
        previous = int(data[-1])
    return quotes % 2 == 0 and not cr_at_end


def csv_blocks(
    text: Text, start: int, delimiter: str, names: list[str]
) -> Generator[pl.DataFrame, None, bool]:
    """Frames of the records after byte `start` of the text's file, all String, under `names`.

    Ends without an error at the first block Arrow cannot read: the caller compares counts with the
    patient path. Returns through StopIteration.value whether the whole text was read.
    """
    with text.path.open("rb") as stream:
        stream.seek(start)
        try:
            reader = pa_csv.open_csv(
                pa.PythonFile(stream, mode="r"),
                # One thread: the order of rows and of errors is the file's.
                read_options=pa_csv.ReadOptions(
                    use_threads=False, block_size=_ARROW_BLOCK, column_names=names
                ),
                parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
            for batch in reader:
                frame = pl.from_arrow(batch)
                assert isinstance(frame, pl.DataFrame)
                yield from frame.iter_slices(BATCH_ROWS)
        except pa.ArrowInvalid:
            return False
    return True

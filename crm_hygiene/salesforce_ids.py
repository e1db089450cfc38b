"""Salesforce record ids: 15 case-sensitive characters, or 18 with a checksum that makes them safe.

Source: Salesforce help, "Record IDs": for each block of five characters, a bit per character that
is an upper-case letter (first character lowest) gives an index into A-Z0-5.
"""

from __future__ import annotations

import polars as pl

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def expand_ids(ids: pl.Expr) -> pl.Expr:
    """18-character form of ids that are 15 alphanumeric characters; everything else as it is.

    A suffix after a colon (`<id>:email`, as derived records carry it) is kept.
    """
    core = ids.str.extract(r"^([0-9A-Za-z]{15})(?::.*)?$", 1)
    suffix = ids.str.slice(15)
    checks = []
    for block in range(3):
        index = pl.lit(0, dtype=pl.Int64)
        for offset in range(5):
            character = core.str.slice(block * 5 + offset, 1)
            index = index + character.str.contains(r"[A-Z]").cast(pl.Int64) * (1 << offset)
        checks.append(pl.lit(_ALPHABET).str.slice(index, 1))
    expanded = pl.concat_str([core, *checks, suffix])
    return pl.when(core.is_not_null()).then(expanded).otherwise(ids)

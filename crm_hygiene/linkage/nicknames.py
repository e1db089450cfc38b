"""Nicknames: which given names may stand for the same name.

The table is `nicknames.csv`, derived from carltonnorthern/nicknames (Apache-2.0): one row per formal
name and nickname, both folded.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import polars as pl

NICKNAMES_FILE = Path(__file__).parent / "nicknames.csv"


@cache
def nickname_roots() -> pl.DataFrame:
    """Roots of each known name.

    Returns
    -------
    polars.DataFrame
        `given` (text) and `given_roots` (sorted list of text): the formal names a name may stand
        for, itself among them. `bob` and `rob` share `robert`.
    """
    table = pl.read_csv(NICKNAMES_FILE, comment_prefix="#")
    own = pl.concat([table.select("formal"), table.select(formal="nickname")]).unique()
    rows = pl.concat(
        [
            table.select(given="nickname", root="formal"),
            own.select(given="formal", root="formal"),
        ]
    ).unique()
    return rows.group_by("given").agg(pl.col("root").sort().alias("given_roots")).sort("given")

"""Nicknames: which given names may stand for the same name.

Two tables of a formal name and a nickname a row: `nicknames.csv`, English ones, derived from
carltonnorthern/nicknames (Apache-2.0), and `nicknames_of_europe.csv`, our own, of other languages.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import polars as pl

from crm_hygiene.standardise.text import latinised, umlauts_alike

NICKNAMES_FILE = Path(__file__).parent / "nicknames.csv"
EUROPE_FILE = Path(__file__).parent / "nicknames_of_europe.csv"


@cache
def nickname_roots() -> pl.DataFrame:
    """Roots of each known name.

    Returns
    -------
    polars.DataFrame
        `given` (folded as `comparable.fold` does) and `given_roots` (sorted list of text): the formal names
        a name may stand for, itself among them. `bob` and `rob` share `robert`.
    """
    columns = ["formal", "nickname"]
    table = pl.concat(
        [pl.read_csv(file, comment_prefix="#").select(columns) for file in (NICKNAMES_FILE, EUROPE_FILE)]
    ).select(umlauts_alike(latinised(c)).str.replace_all("[^a-z]", "").alias(c) for c in columns)
    own = pl.concat([table.select("formal"), table.select(formal="nickname")]).unique()
    rows = pl.concat(
        [
            table.select(given="nickname", root="formal"),
            own.select(given="formal", root="formal"),
        ]
    ).unique()
    return rows.group_by("given").agg(pl.col("root").sort().alias("given_roots")).sort("given")

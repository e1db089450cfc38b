"""The landed rows behind the records of a source, found once for all their fields."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

#: Where a record was read: columns of the conformed tables, and of the landed ones.
PLACE = {"file": "_file", "row_number": "_row_number", "landed_at": "_landed_at"}


@dataclass(frozen=True)
class LandedRows:
    """Rows of a landed table that the records of a conformed one were read from.

    Landing keeps every night's file: where a record stands in it is asked once, and of a field only the texts
    of these rows are kept.

    Attributes
    ----------
    landed
        the landed rows, in an order of their own that stays the same.
    is_behind
        per landed row, whether a record was read from it.
    place
        per record, UInt32: the number of its row among those; null where it is not there.
    """

    landed: pl.LazyFrame
    is_behind: pl.Series
    place: pl.Series

    @classmethod
    def of(cls, landed: pl.LazyFrame, records: pl.DataFrame, source: str) -> LandedRows:
        """The rows behind the records of `source`; `records` are of a conformed table, with their places."""
        mine = records.lazy().with_row_index("r").filter(pl.col("source") == source)
        at = landed.select(PLACE.values()).with_row_index("at")
        found = (
            at.join(mine.select("r", *PLACE), left_on=list(PLACE.values()), right_on=list(PLACE), how="inner")
            .select("r", "at")
            .unique("r", keep="any")
            .collect()
        )
        count = landed.select(pl.len()).collect().item()
        is_behind = pl.repeat(False, count, dtype=pl.Boolean, eager=True).scatter(found["at"], True)
        rank = is_behind.cum_sum().cast(pl.UInt32) - 1
        nowhere = pl.repeat(None, records.height, dtype=pl.UInt32, eager=True)
        return cls(landed, is_behind, nowhere.scatter(found["r"], rank.gather(found["at"])))

    def texts(self, column: str) -> pl.Series:
        """A vendor's column of the rows behind the records, as `place` counts them."""
        return self.landed.select(column).filter(pl.lit(self.is_behind)).collect()[column]

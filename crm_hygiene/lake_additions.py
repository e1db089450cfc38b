"""What was added to an append-only table since one of its versions, read from its new files alone.

What does not belong here: tables that are overwritten, and what the rows mean.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.contract import Contract
from crm_hygiene.errors import LakeError
from crm_hygiene.lake import Lake


def rows_added_since(lake: Lake, contract: Contract, version: int | None) -> pl.LazyFrame | None:
    """Rows of the files that joined the table after `version`, as a lazy frame of the contract's schema.

    None where that cannot be told: the version is no longer in the log, or files of it were replaced (rows
    were erased, files were compacted). Without a version every row was added.
    """
    if version is None:
        return lake.scan(contract)
    try:
        before = set(lake.file_uris(contract.table, version))
    except LakeError:
        return None
    now = lake.file_uris(contract.table)
    if not before.issubset(now):
        return None
    files = [pl.scan_parquet(f, storage_options=lake.storage_options or None) for f in now if f not in before]
    if not files:
        return contract.empty().lazy()
    frame = pl.concat(files, how="diagonal")
    have = set(frame.collect_schema().names())
    return frame.select(
        pl.col(c.name).cast(c.polars_type)
        if c.name in have
        else pl.lit(None, dtype=c.polars_type).alias(c.name)
        for c in contract.columns
    )

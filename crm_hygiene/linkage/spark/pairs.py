"""Pairs on Spark: counted by block, and proposed once each under the first rule that finds them.

The rules and budgets are those of `crm_hygiene.linkage.blocking`; this is how their counting and joining
is spread over workers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from crm_hygiene.linkage.blocking import Blocking, block_key


def _by_rule(columns: dict[str, int]) -> str:
    """`stack` of the key columns: one row per record and rule."""
    listed = ", ".join(f"{number}, `{column}`" for column, number in columns.items())
    return f"stack({len(columns)}, {listed}) AS (rule, key)"


def count_blocks(
    spark: Any, frame: pl.DataFrame, rules: tuple[tuple[str, ...], ...], folder: Path
) -> pl.DataFrame:
    """Sizes of the blocks of more than one record.

    Parameters
    ----------
    frame
        comparable columns with block columns.
    rules
        columns that agree within a block, by number of the rule.
    folder
        seen by this machine and the workers.

    Returns
    -------
    polars.DataFrame
        `rule` (its number), `key` (UInt64), `size`.
    """
    columns = {f"block_{number}": number for number in range(len(rules))}
    keys = pl.DataFrame(
        [block_key(frame, rules[number]).reinterpret(signed=True).alias(c) for c, number in columns.items()]
    )
    keys.write_parquet(folder / "keys.parquet", row_group_size=250_000)
    del keys
    (
        spark.read.parquet((folder / "keys.parquet").as_uri())
        .selectExpr(_by_rule(columns))
        .where("key IS NOT NULL")
        .groupBy("rule", "key")
        .count()
        .where("count > 1")
        .write.parquet((folder / "sizes").as_uri())
    )
    return pl.read_parquet(folder / "sizes" / "*.parquet").select(
        "rule", pl.col("key").reinterpret(signed=False), size="count"
    )


def propose(spark: Any, blocks: Blocking, records: pl.DataFrame, folder: Path) -> int:
    """Write each wanted pair once, under the first rule that proposes it, to `folder`/candidates.

    Parameters
    ----------
    records
        of `blocking.reached`: `row_number`, `touched` and the keys of records that share a block with a
        touched one.

    Returns
    -------
    int
        number of pairs. They have `match_key` (the rule's number as text) and `join_key_l` <
        `join_key_r` (row numbers), as Splink calls them.
    """
    keys = [pl.col(c).reinterpret(signed=True) for c in blocks.numbers]
    records.with_columns(keys).write_parquet(folder / "blocks.parquet", row_group_size=50_000)
    (
        spark.read.parquet((folder / "blocks.parquet").as_uri())
        .selectExpr("row_number", "touched", _by_rule(blocks.numbers))
        .where("key IS NOT NULL")
        .selectExpr("rule", "key", "row_number", "touched & shiftleft(1L, rule) <> 0 AS is_wanted")
        .createOrReplaceTempView("placed")
    )
    spark.sql("""
        SELECT CAST(min(a.rule) AS STRING) AS match_key,
               least(a.row_number, b.row_number) AS join_key_l,
               greatest(a.row_number, b.row_number) AS join_key_r
        FROM placed a JOIN placed b ON a.rule = b.rule AND a.key = b.key
        WHERE a.is_wanted
        AND (a.row_number < b.row_number OR (NOT b.is_wanted AND a.row_number > b.row_number))
        GROUP BY 2, 3
    """).write.parquet((folder / "candidates").as_uri())
    spark.catalog.dropTempView("placed")
    return int(
        pl.scan_parquet(folder / "candidates" / "*.parquet")
        .select(pl.len())
        .collect(engine="streaming")
        .item()
    )

"""Pruning on Spark: the bound of `crm_hygiene.linkage.pruning` over the proposed pairs.

What a record works out alone is computed here, by DuckDB, as on the other engine: numbers, hashes and marks.
The workers join it to the pairs, without a text, and sum the bounds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from crm_hygiene.linkage.connection import connection
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.pruning import HASH, least_total, pair_bound, register_records
from crm_hygiene.linkage.scoring import numbers_of, prediction_threshold
from crm_hygiene.linkage.settings import Comparison, LinkageSettings
from crm_hygiene.linkage.spark.conditions import spark_bound

_FIRST_OF_SIGNED = 2**63


def _write_own_columns(con: duckdb.DuckDBPyConnection, listed: str, path: Path) -> None:
    """What the records work out alone as Parquet, with `unique_id`.

    Spark would read unsigned numbers as decimals: they are moved down. A hash of nothing becomes null.
    """
    columns = []
    for name, dtype, *_ in con.execute(f"DESCRIBE SELECT unique_id, {listed} FROM _records").fetchall():
        filled = f'nullif("{name}", 0)' if name.startswith(HASH) else f'"{name}"'
        moved = f"({filled}::HUGEINT - {_FIRST_OF_SIGNED})::BIGINT"
        columns.append(f'{moved if dtype == "UBIGINT" else filled} AS "{name}"')
    target = str(path).replace("'", "''")
    rows = f"(SELECT unique_id, {listed} FROM _records)"
    con.execute(f"COPY (SELECT {', '.join(columns)} FROM {rows}) TO '{target}' (FORMAT parquet)")


def prune_on_spark(
    spark: Any,
    frame: pl.DataFrame,
    comparisons: list[Comparison],
    model: FrozenModel,
    settings: LinkageSettings,
    folder: Path,
) -> str:
    """Keep the pairs of `folder`/candidates that may reach `review_low`.

    Parameters
    ----------
    frame
        the columns that the comparisons read, and `unique_id`, of at least the records in the pairs.
    folder
        seen by this machine and the workers.

    Returns
    -------
    str
        name within `folder` of the pairs kept, in the shape of the candidates.
    """
    bound = pair_bound(comparisons, numbers_of(model, comparisons))
    with connection(settings) as con:
        listed = register_records(con, "_records", frame, comparisons, model.content, bound)
        _write_own_columns(con, listed, folder / "own_columns.parquet")
    sides = ", ".join(f"{side}.{name} AS {name}_{side}" for name in bound.own.values() for side in "lr")
    least = least_total(model.content, prediction_threshold(settings))
    for name, path in (("candidates", "candidates"), ("own_columns", "own_columns.parquet")):
        spark.read.parquet((folder / path).as_uri()).createOrReplaceTempView(name)
    spark.sql(f"""
        SELECT match_key, join_key_l, join_key_r FROM (
            SELECT match_key, join_key_l, join_key_r, {sides}
            FROM candidates c
            JOIN own_columns l ON l.unique_id = c.join_key_l
            JOIN own_columns r ON r.unique_id = c.join_key_r
        ) WHERE {spark_bound(bound.total)} >= {least!r}D
    """).write.parquet((folder / "hopeful").as_uri())
    for name in ("candidates", "own_columns"):
        spark.catalog.dropTempView(name)
    return "hopeful"

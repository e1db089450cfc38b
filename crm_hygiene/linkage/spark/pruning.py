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
from crm_hygiene.linkage.pruning import least_total, load_own_columns, pair_bound
from crm_hygiene.linkage.scoring import numbers_of, prediction_threshold
from crm_hygiene.linkage.settings import Comparison, LinkageSettings
from crm_hygiene.linkage.spark.conditions import spark_bound

_FIRST_OF_SIGNED = 2**63


def _write_own_columns(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Table `own_columns` as Parquet. Spark would read unsigned hashes as decimals: they are moved down."""
    columns = []
    for name, dtype, *_ in con.execute("DESCRIBE own_columns").fetchall():
        moved = f'("{name}"::HUGEINT - {_FIRST_OF_SIGNED})::BIGINT AS "{name}"'
        columns.append(moved if dtype == "UBIGINT" else f'"{name}"')
    target = str(path).replace("'", "''")
    con.execute(f"COPY (SELECT {', '.join(columns)} FROM own_columns) TO '{target}' (FORMAT parquet)")


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
        load_own_columns(con, frame, comparisons, model.content, bound)
        _write_own_columns(con, folder / "own_columns.parquet")
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

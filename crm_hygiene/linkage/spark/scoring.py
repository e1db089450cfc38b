"""Scoring on Spark: Splink's Spark backend over the recipe with the frozen numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from crm_hygiene.linkage import scoring
from crm_hygiene.linkage.connection import quiet_splink
from crm_hygiene.linkage.model import FrozenModel, shares_of
from crm_hygiene.linkage.recipe import frequency_columns, splink_settings
from crm_hygiene.linkage.scoring import as_scores, compared_columns, numbers_of, prediction_threshold
from crm_hygiene.linkage.settings import Comparison, LinkageSettings
from crm_hygiene.linkage.spark.conditions import spark_comparisons


def _frequencies(frame: pl.DataFrame, column: str, frozen: dict[str, Any]) -> pl.DataFrame:
    """Frozen frequencies of the values in `frame`, the floor for those unknown: `column`, `tf_<column>`."""
    values: dict[str, float] = frozen["values"]
    known = pl.DataFrame(
        {column: list(values), f"tf_{column}": list(values.values())},
        schema={column: pl.String, f"tf_{column}": pl.Float64},
    )
    return (
        frame.select(pl.col(column).drop_nulls().unique())
        .join(known, on=column, how="left")
        .with_columns(pl.col(f"tf_{column}").fill_null(float(frozen["floor"])))
    )


def score_on_spark(
    spark: Any,
    frame: pl.DataFrame,
    comparisons: list[Comparison],
    rules: dict[int, str],
    model: FrozenModel,
    settings: LinkageSettings,
    folder: Path,
    count: int,
) -> pl.DataFrame:
    """Score the pairs of `folder`/candidates, those pruned first that cannot reach `review_low`.

    Parameters
    ----------
    frame
        comparable columns of at least the records in the pairs, generic values removed.
    comparisons
        of `known_comparisons`.
    rules
        readable name of each blocking rule by its number, the candidates' `match_key`.
    folder
        seen by this machine and the workers.
    count
        number of the pairs.

    Returns
    -------
    polars.DataFrame
        as of `scoring.score`.
    """
    from splink import Linker
    from splink.backends import spark as backend

    compared = frame.select("unique_id", *compared_columns(frame, comparisons))
    pairs = "candidates"
    if count >= scoring.LEAST_CANDIDATES:
        # brings sqlglot's parser, which a night without changes is spared
        from crm_hygiene.linkage.spark.pruning import prune_on_spark

        pairs = prune_on_spark(spark, compared, comparisons, model, settings, folder)
    compared.write_parquet(folder / "records.parquet", row_group_size=50_000)
    tables = {"records": "records.parquet", "candidates": pairs}
    content = model.content
    for column in frequency_columns(comparisons):
        tables[f"tf_{column}"] = f"tf_{column}.parquet"
        _frequencies(frame, column, shares_of(content, column)).write_parquet(folder / tables[f"tf_{column}"])
    numbers, prior = numbers_of(model, comparisons), content["prior"]
    with quiet_splink():
        connected: Any = backend.SparkAPI
        api = connected(
            spark_session=spark, break_lineage_method="persist", register_udfs_automatically=False
        )
        registered = {
            name: api.register(spark.read.parquet((folder / path).as_uri())) for name, path in tables.items()
        }
        creator = splink_settings(spark_comparisons(comparisons), numbers, prior, with_parts=False)
        linker = Linker(registered["records"], creator, log_level=None, validate_settings=False)
        for column in frequency_columns(comparisons):
            linker.table_management.register_term_frequency_lookup(registered[f"tf_{column}"], column)
        linker.table_management.register_blocked_pairs_for_predict(registered["candidates"])
        predicted = linker.inference.predict(threshold_match_weight=prediction_threshold(settings))
    gammas = [f"gamma_{c.name}" for c in comparisons]
    kept = ["unique_id_l", "unique_id_r", "match_key", "match_weight", "match_probability", *gammas]
    table = predicted.as_spark_dataframe()
    table.select(*kept).write.parquet((folder / "scores").as_uri())
    spark.catalog.clearCache()
    scored = pl.read_parquet(folder / "scores" / "*.parquet")
    return as_scores(scored, comparisons, rules, settings)

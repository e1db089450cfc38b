"""Scoring: candidate pairs with their weight under a frozen model.

Weights and probabilities are rounded to 6 places before anything is compared with a threshold.
"""

from __future__ import annotations

import math

import duckdb
import polars as pl

from crm_hygiene.linkage.blocking import Blocking
from crm_hygiene.linkage.connection import fetch, load, quiet_splink
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.recipe import Numbers, frequency_columns, splink_settings
from crm_hygiene.linkage.settings import Comparison, LinkageSettings
from crm_hygiene.linkage.training import tf_lookup

SCORES_SCHEMA = {
    "l": pl.Int64,
    "r": pl.Int64,
    "match_key": pl.String,
    "match_weight": pl.Float64,
    "match_probability": pl.Float64,
    "levels": pl.String,
}


def match_weight_of(probability: float) -> float:
    """Match weight of a probability: log2(p / (1 - p))."""
    return math.log2(probability / (1 - probability))


def known_comparisons(
    model: FrozenModel, settings: LinkageSettings, frame: pl.DataFrame
) -> tuple[list[Comparison], list[str]]:
    """Comparisons of the rules for which the model has every number and the records have a value."""
    learned = model.content["comparisons"]
    used: list[Comparison] = []
    notes: list[str] = []
    for comparison in settings.rules_of(model.entity_kind).comparisons:
        if comparison.name not in learned:
            continue
        if set(learned[comparison.name]) != {level.name for level in comparison.scored}:
            notes.append(
                f"comparison '{comparison.name}' has other levels than model {model.model_version} was "
                "trained with and is left out; train a new model"
            )
            continue
        if all(frame[c].null_count() == frame.height for c in comparison.columns):
            notes.append(f"comparison '{comparison.name}' falls away: its columns are empty")
            continue
        used.append(comparison)
    return used, notes


def _levels_json(comparisons: list[Comparison]) -> pl.Expr:
    """Comparison levels as compact JSON by comparison; missing ones are left out."""
    parts = []
    for comparison in comparisons:
        scored = comparison.scored
        names = [level.name for level in reversed(scored)]
        texts = [f'"{comparison.name}":"{name}"' for name in names]
        text = pl.lit(None, dtype=pl.String)
        for value, entry in enumerate(texts):
            text = pl.when(pl.col(f"gamma_{comparison.name}") == value).then(pl.lit(entry)).otherwise(text)
        parts.append(text)
    return pl.concat_str([pl.lit("{"), pl.concat_str(parts, separator=",", ignore_nulls=True), pl.lit("}")])


def score(
    con: duckdb.DuckDBPyConnection,
    frame: pl.DataFrame,
    blocks: Blocking,
    model: FrozenModel,
    settings: LinkageSettings,
) -> tuple[pl.DataFrame, list[str]]:
    """Score the candidate pairs of `blocks`.

    Parameters
    ----------
    frame
        comparable columns with block columns and the model's words, generic values removed, sorted by
        `unique_id`.

    Returns
    -------
    tuple
        pairs at or above `review_low` (`l` < `r`, `match_key`, `match_weight`, `match_probability`,
        `levels`), sorted; and notes.
    """
    comparisons, notes = known_comparisons(model, settings, frame)
    if not comparisons or not blocks.rules:
        return pl.DataFrame(schema=SCORES_SCHEMA), notes
    from splink import DuckDBAPI, Linker

    content = model.content
    numbers: Numbers = {
        c.name: {level.name: tuple(content["comparisons"][c.name][level.name]) for level in c.scored}
        for c in comparisons
    }
    conditions = " ".join(level.when for c in comparisons for level in c.levels)
    needed = [
        c
        for c in frame.columns
        if c == "unique_id"
        or f"{c}_l" in conditions
        or f"{c}_r" in conditions
        or c in frequency_columns(comparisons)
    ]
    load(con, "records", pl.concat([frame.select(needed), blocks.columns], how="horizontal"))
    with quiet_splink():
        api = DuckDBAPI(con)
        linker = Linker(
            api.register("records"),
            splink_settings(comparisons, numbers, content["prior"], list(blocks.rules)),
            log_level=None,
        )
        for column in frequency_columns(comparisons):
            load(con, f"tf_{column}", tf_lookup(con, column, content["frequencies"][column]))
            linker.table_management.register_term_frequency_lookup(api.register(f"tf_{column}"), column)
        # A little below, so that rounding to 6 places decides at the edge and not the last bit.
        predicted = linker.inference.predict(
            threshold_match_weight=match_weight_of(settings.review_low) - 0.01
        )
        gammas = ", ".join(f'"gamma_{c.name}"' for c in comparisons)
        scored = fetch(
            con,
            f"SELECT unique_id_l, unique_id_r, match_key, match_weight, match_probability, {gammas} "
            f"FROM {predicted.physical_name}",
        )
    con.execute("DROP TABLE records")
    names = list(blocks.rules.values())
    return (
        scored.select(
            l=pl.min_horizontal("unique_id_l", "unique_id_r").cast(pl.Int64),
            r=pl.max_horizontal("unique_id_l", "unique_id_r").cast(pl.Int64),
            match_key=pl.col("match_key")
            .cast(pl.Int64)
            .replace_strict(list(range(len(names))), names, return_dtype=pl.String),
            match_weight=pl.col("match_weight").round(6),
            match_probability=pl.col("match_probability").round(6),
            levels=_levels_json(comparisons),
        )
        .filter(pl.col("match_probability") >= settings.review_low)
        .sort("l", "r")
    ), notes

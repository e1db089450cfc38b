"""Scoring: candidate pairs with their weight under a frozen model.

Weights and probabilities are rounded to 6 places before anything is compared with a threshold.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import duckdb
import polars as pl

from crm_hygiene.linkage.candidates import Candidates
from crm_hygiene.linkage.connection import fetch, load, quiet_splink
from crm_hygiene.linkage.model import FrozenModel, shares_of
from crm_hygiene.linkage.recipe import (
    Numbers,
    frequency_columns,
    namesake_columns,
    splink_settings,
)
from crm_hygiene.linkage.settings import Comparison, LinkageSettings
from crm_hygiene.linkage.training import tf_lookup

# Fewer candidates are scored in less time than it takes to prepare their pruning.
LEAST_CANDIDATES = 250_000

SCORES_SCHEMA = pl.Schema(
    {
        "l": pl.Int64(),
        "r": pl.Int64(),
        "blocking_rule": pl.String(),
        "match_weight": pl.Float64(),
        "match_probability": pl.Float64(),
        "levels": pl.String(),
    }
)


def match_weight_of(probability: float) -> float:
    """Match weight of a probability: log2(p / (1 - p))."""
    return math.log2(probability / (1 - probability))


def learned_comparisons(model: FrozenModel, settings: LinkageSettings) -> tuple[list[Comparison], list[str]]:
    """Comparisons of the rules for which the model has every number, and notes on the others."""
    learned, frequencies = model.content["comparisons"], model.content["frequencies"]
    comparisons = settings.rules_of(model.entity_kind).comparisons
    used: list[Comparison] = []
    notes: list[str] = []
    for comparison in comparisons:
        if comparison.name not in learned:
            continue
        if set(learned[comparison.name]) != {level.name for level in comparison.scored}:
            notes.append(
                f"comparison '{comparison.name}' has other levels than model {model.model_version} was "
                "trained with and is left out; train a new model"
            )
            continue
        unknown = set(frequency_columns([comparison])) - frequencies.keys()
        shared = unknown & namesake_columns([comparison]).keys()
        notes += [
            f"comparison '{comparison.name}': model {model.model_version} knows no namesakes by {column}; "
            "train a new model"
            for column in sorted(shared)
        ]
        if unknown - shared:
            notes.append(
                f"comparison '{comparison.name}' asks for term frequencies that model {model.model_version} "
                "has not learned and is left out; train a new model"
            )
            continue
        used.append(comparison)
    notes += [
        f"comparison '{name}' of model {model.model_version} falls away: the linkage rules have it no more"
        for name in sorted(set(learned) - {comparison.name for comparison in comparisons})
    ]
    return used, notes


def known_comparisons(
    model: FrozenModel, settings: LinkageSettings, frame: pl.DataFrame
) -> tuple[list[Comparison], list[str]]:
    """`learned_comparisons` of which the records have a value, and notes on the others."""
    learned, notes = learned_comparisons(model, settings)
    empty = [c for c in learned if all(frame[column].null_count() == frame.height for column in c.columns)]
    notes += [f"comparison '{c.name}' falls away: its columns are empty" for c in empty]
    return [c for c in learned if c not in empty], notes


def compared_columns(frame: pl.DataFrame, comparisons: list[Comparison]) -> list[str]:
    """Columns of `frame` that the conditions and term frequencies of `comparisons` read, in its order."""
    conditions = " ".join(level.when for c in comparisons for level in c.levels)
    frequencies = frequency_columns(comparisons)
    return [c for c in frame.columns if f"{c}_l" in conditions or f"{c}_r" in conditions or c in frequencies]


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


def numbers_of(model: FrozenModel, comparisons: Sequence[Comparison]) -> Numbers:
    """The model's m and u of the comparisons' levels."""
    learned = model.content["comparisons"]
    return {
        c.name: {
            level.name: (learned[c.name][level.name][0], learned[c.name][level.name][1]) for level in c.scored
        }
        for c in comparisons
    }


def frozen_linker(
    con: duckdb.DuckDBPyConnection,
    comparisons: list[Comparison],
    model: FrozenModel,
    pairs: str,
    with_parts: bool = False,
) -> Any:
    """Splink's linker over table `records` with the frozen numbers, ready to predict table `pairs`.

    Parameters
    ----------
    pairs
        table with `match_key` (text), `join_key_l`, `join_key_r` (unique_id): exactly these pairs are scored.
    with_parts
        keep the weight of each comparison in the prediction, as Splink's charts need.
    """
    from splink import DuckDBAPI, Linker

    content = model.content
    creator = splink_settings(comparisons, numbers_of(model, comparisons), content["prior"], with_parts)
    api = DuckDBAPI(con)
    # The recipe's columns are there by construction; Splink's own check of them takes a fifth of the setup.
    linker = Linker(api.register("records"), creator, log_level=None, validate_settings=False)
    for column in frequency_columns(comparisons):
        load(con, f"tf_{column}", tf_lookup(con, column, shares_of(content, column)))
        linker.table_management.register_term_frequency_lookup(api.register(f"tf_{column}"), column)
    linker.table_management.register_blocked_pairs_for_predict(api.register(pairs))
    return linker


def score(
    con: duckdb.DuckDBPyConnection,
    frame: pl.DataFrame,
    candidates: Candidates,
    comparisons: list[Comparison],
    rules: dict[int, str],
    model: FrozenModel,
    settings: LinkageSettings,
) -> pl.DataFrame:
    """Score candidate pairs.

    Parameters
    ----------
    frame
        comparable columns, generic values removed, sorted by `unique_id` (0..n-1).
    candidates
        pairs of rows of `frame`.
    comparisons
        of `known_comparisons`.
    rules
        readable name of each blocking rule by its number, the candidates' `match_key`.

    Returns
    -------
    polars.DataFrame
        pairs at or above `review_low` (`l` < `r`, `blocking_rule`, `match_weight`, `match_probability`,
        `levels`), sorted.
    """
    least_weight = prediction_threshold(settings)
    if not comparisons or not len(candidates):
        return pl.DataFrame(schema=SCORES_SCHEMA)
    compared = frame.select("unique_id", *compared_columns(frame, comparisons))
    if len(candidates) >= LEAST_CANDIDATES:
        from crm_hygiene.linkage.pruning import (
            prune,  # brings sqlglot, which a night without changes is spared
        )

        numbers = numbers_of(model, comparisons)
        content, threads = model.content, settings.threads or os.cpu_count() or 1
        candidates = prune(con, compared, candidates, comparisons, numbers, content, least_weight, threads)
    load(con, "candidates", candidates.table())
    load(con, "records", compared.filter(candidates.records(frame.height)))
    with quiet_splink():
        linker = frozen_linker(con, comparisons, model, "candidates")
        predicted = linker.inference.predict(threshold_match_weight=least_weight)
        gammas = ", ".join(f'"gamma_{c.name}"' for c in comparisons)
        scored = fetch(
            con,
            f"SELECT unique_id_l, unique_id_r, match_key, match_weight, match_probability, {gammas} "
            f"FROM {predicted.physical_name}",
        )
        predicted.drop_table_from_database_and_remove_from_cache()
    con.execute("DROP TABLE records")
    con.execute("DROP TABLE candidates")
    return as_scores(scored, comparisons, rules, settings)


def prediction_threshold(settings: LinkageSettings) -> float:
    """Weight from which Splink gives a pair: a little low, so that rounding to 6 places decides."""
    return match_weight_of(settings.review_low) - 0.01


def as_scores(
    scored: pl.DataFrame, comparisons: list[Comparison], rules: dict[int, str], settings: LinkageSettings
) -> pl.DataFrame:
    """Splink's prediction, whichever engine made it, in the shape that `score` gives."""
    return (
        scored.select(
            l=pl.min_horizontal("unique_id_l", "unique_id_r").cast(pl.Int64),
            r=pl.max_horizontal("unique_id_l", "unique_id_r").cast(pl.Int64),
            blocking_rule=pl.col("match_key").cast(pl.Int64).replace_strict(rules, return_dtype=pl.String),
            match_weight=pl.col("match_weight").round(6),
            match_probability=pl.col("match_probability").round(6),
            levels=_levels_json(comparisons),
        )
        .filter(pl.col("match_probability") >= settings.review_low)
        .sort("l", "r")
    )

"""Weights of chosen pairs, part by part, whether or not blocking would have found them.

Each pair gets two rows of its own and a blocking key that nobody else has; so Splink scores exactly
these pairs, by the settings and frozen numbers of the night.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from crm_hygiene.linkage.connection import fetch, load, quiet_splink
from crm_hygiene.linkage.model import FrozenModel
from crm_hygiene.linkage.organisation_words import with_model_words
from crm_hygiene.linkage.recipe import Numbers, frequency_columns, splink_settings
from crm_hygiene.linkage.scoring import compared_columns
from crm_hygiene.linkage.settings import Comparison, LinkageSettings
from crm_hygiene.linkage.training import tf_lookup


@dataclass(frozen=True)
class PairWeights:
    """What Splink made of the pairs.

    `table` has one row per pair, in their order, with Splink's columns: per comparison `gamma_`, `mw_`
    and, where frequencies count, `mw_tf_adj_` (bits); `match_weight`, `match_probability`; its ids end
    in `source:record_id`. `linker` and `predicted` are Splink's own, for its charts, and live as long as
    the connection.
    """

    comparisons: list[Comparison]
    table: pl.DataFrame
    linker: Any
    predicted: Any
    prior_weight: float


def comparisons_of(model: FrozenModel, settings: LinkageSettings) -> list[Comparison]:
    """Comparisons of the rules for which the model has every number."""
    learned = model.content["comparisons"]
    return [
        c
        for c in settings.rules_of(model.entity_kind).comparisons
        if set(learned.get(c.name, ())) == {level.name for level in c.scored}
    ]


def numbers_of(model: FrozenModel, comparisons: Sequence[Comparison]) -> Numbers:
    """The model's m and u of the comparisons' levels."""
    learned = model.content["comparisons"]
    return {
        c.name: {
            level.name: (learned[c.name][level.name][0], learned[c.name][level.name][1]) for level in c.scored
        }
        for c in comparisons
    }


def weigh(
    con: duckdb.DuckDBPyConnection,
    frame: pl.DataFrame,
    pairs: Sequence[tuple[int, int]],
    model: FrozenModel,
    settings: LinkageSettings,
) -> PairWeights:
    """Score `pairs` (of `unique_id`) of `frame`.

    Parameters
    ----------
    frame
        comparable columns with block columns, generic values removed.
    """
    from splink import DuckDBAPI, Linker

    comparisons = comparisons_of(model, settings)
    prior = float(model.content["prior"])
    prior_weight = math.log2(prior / (1 - prior))
    if not comparisons or not pairs:
        return PairWeights(comparisons, pl.DataFrame(), None, None, prior_weight)
    frame = with_model_words(model.entity_kind, frame, model.content)
    needed = compared_columns(frame, comparisons)
    sides = pl.DataFrame(
        [(f"{k:09}{'lr'[side]} ", k, pair[side]) for k, pair in enumerate(pairs) for side in (0, 1)],
        schema={"row": pl.String, "pair": pl.Int64, "unique_id": pl.Int64},
        orient="row",
    )
    rows = sides.join(
        frame.select("unique_id", "source", "record_id", *needed),
        on="unique_id",
        how="left",
        maintain_order="left",
    ).select(
        "pair",
        *needed,
        unique_id=pl.concat_str("row", "source", pl.lit(":"), "record_id"),
    )
    load(con, "records", rows)
    with quiet_splink():
        api = DuckDBAPI(con)
        linker = Linker(
            api.register("records"),
            splink_settings(comparisons, numbers_of(model, comparisons), prior, ["pair"]),
            log_level=None,
        )
        for column in frequency_columns(comparisons):
            load(con, f"tf_{column}", tf_lookup(con, column, model.content["frequencies"][column]))
            linker.table_management.register_term_frequency_lookup(api.register(f"tf_{column}"), column)
        predicted = linker.inference.predict()
        table = fetch(con, f"SELECT * FROM {predicted.physical_name} ORDER BY unique_id_l")
    return PairWeights(comparisons, table, linker, predicted, prior_weight)

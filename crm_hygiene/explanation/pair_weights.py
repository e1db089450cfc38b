"""Weights of chosen pairs, part by part, whether or not blocking would have found them.

Each pair gets two rows of its own, and Splink is given the list of pairs; so it scores exactly these, by
the settings and frozen numbers of the night.
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
from crm_hygiene.linkage.scoring import compared_columns, frozen_linker, learned_comparisons
from crm_hygiene.linkage.settings import Comparison, LinkageSettings


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
    comparisons, _ = learned_comparisons(model, settings)
    prior = float(model.content["prior"])
    prior_weight = math.log2(prior / (1 - prior))
    if not comparisons or not pairs:
        return PairWeights(comparisons, pl.DataFrame(), None, None, prior_weight)
    frame = with_model_words(model.entity_kind, frame, model.content)
    needed = compared_columns(frame, comparisons)
    sides = pl.DataFrame(
        [(f"{k:09}{'lr'[side]} ", pair[side]) for k, pair in enumerate(pairs) for side in (0, 1)],
        schema={"row": pl.String, "unique_id": pl.Int64},
        orient="row",
    )
    rows = sides.join(
        frame.select("unique_id", "source", "record_id", *needed),
        on="unique_id",
        how="left",
        maintain_order="left",
    ).select(*needed, unique_id=pl.concat_str("row", "source", pl.lit(":"), "record_id"))
    load(con, "records", rows)
    left, right = rows["unique_id"].gather_every(2), rows["unique_id"].gather_every(2, 1)
    load(
        con,
        "chosen",
        pl.DataFrame({"join_key_l": left, "join_key_r": right}).with_columns(match_key=pl.lit("0")),
    )
    with quiet_splink():
        linker = frozen_linker(con, comparisons, model, "chosen", with_parts=True)
        predicted = linker.inference.predict()
        table = fetch(con, f"SELECT * FROM {predicted.physical_name} ORDER BY unique_id_l")
    return PairWeights(comparisons, table, linker, predicted, prior_weight)

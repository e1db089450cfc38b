"""Plain Splink on the same records: train, predict, cluster, measure."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl
from splink import DuckDBAPI, Linker, SettingsCreator

from bench.linkage.best_threshold import AtThreshold, best, sweep
from bench.linkage.datasets import DataSet, text_rows
from bench.linkage.plain_models import PLAIN_MODELS, PlainModel
from crm_hygiene.evaluation.accuracy import Accuracy, pairwise
from crm_hygiene.linkage.connection import quiet_splink

THRESHOLD = 0.95
_SEED = 1
_WORTH_FETCHING = 0.001  # no best threshold lies below


@dataclass(frozen=True)
class PlainResult:
    """Figures of one plain model: its clusters at 0.95, and at the threshold that labels would choose."""

    documented: str
    accuracy: Accuracy
    best: AtThreshold
    pairs_scored: int
    seconds: float


def records_of(dataset: DataSet, data: Path, model: PlainModel) -> list[pl.DataFrame]:
    """The raw records of each source with `unique_id` (0.. over all) and `label` (the true cluster)."""
    truth = dataset.truth(data)
    labels = truth.select("RECORD_ID", "DATA_SOURCE", label=pl.col("CLUSTER_ID").rank("dense").cast(pl.Int64))
    found: list[pl.DataFrame] = []
    offset = 0
    for original, source in zip(dataset.files, dataset.sources, strict=True):
        rows = model.clean(text_rows(data / original)).rename({model.record: "RECORD_ID"})
        mine = labels.filter(pl.col("DATA_SOURCE") == source).drop("DATA_SOURCE")
        joined = rows.join(mine, on="RECORD_ID", how="inner", maintain_order="left")
        found.append(joined.with_row_index("unique_id", offset).cast({"unique_id": pl.Int64}))
        offset += joined.height
    return found


def _rows(con: duckdb.DuckDBPyConnection, sql: str) -> pl.DataFrame:
    frame = pl.from_arrow(con.sql(sql).to_arrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def run_plain(dataset: DataSet, data: Path, model: PlainModel, threads: int = 2) -> PlainResult:
    """Train the model without labels, as documented, and measure its clusters."""
    frames = records_of(dataset, data, model)
    everyone = pl.concat([f.select("unique_id", "label") for f in frames])
    started = time.perf_counter()
    con = duckdb.connect()
    con.execute(f"SET threads={threads}")
    con.execute("SET lambda_syntax='ENABLE_SINGLE_ARROW'")
    with quiet_splink():
        api = DuckDBAPI(con)
        settings = SettingsCreator(
            link_type=model.link_type,
            unique_id_column_name="unique_id",
            comparisons=list(model.comparisons),
            blocking_rules_to_generate_predictions=list(model.blocking),
        )
        tables = [api.register(f.drop("label", "RECORD_ID").to_arrow()) for f in frames]
        linker = Linker(tables if len(tables) > 1 else tables[0], settings, log_level=None)
        training = linker.training
        training.estimate_probability_two_random_records_match(list(model.prior_rules), recall=model.recall)
        training.estimate_u_using_random_sampling(max_pairs=model.random_pairs, seed=_SEED)
        for rule in model.training:
            training.estimate_parameters_using_expectation_maximisation(
                rule, estimate_without_term_frequencies=model.is_fixing_frequencies
            )
        predicted = linker.inference.predict()
        clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
            predicted, threshold_match_probability=THRESHOLD
        )
        seconds = time.perf_counter() - started
        scored = int(_rows(con, f"SELECT count(*) AS n FROM {predicted.physical_name}").item())
        pairs = _rows(
            con,
            "SELECT unique_id_l AS l, unique_id_r AS r, match_probability AS probability "
            f"FROM {predicted.physical_name} WHERE match_probability >= {_WORTH_FETCHING}",
        )
        members = _rows(con, f"SELECT unique_id, cluster_id FROM {clusters.physical_name}")
    con.close()
    accuracy = pairwise(
        members.select(
            source=pl.lit(""),
            record_id=pl.col("unique_id").cast(pl.String),
            entity_id=pl.col("cluster_id").cast(pl.String),
        ),
        everyone.select(
            DATA_SOURCE=pl.lit(""), RECORD_ID=pl.col("unique_id").cast(pl.String), CLUSTER_ID="label"
        ),
    )
    steps = sweep(pairs, everyone["label"].to_list(), accuracy.true_pairs)
    return PlainResult(model.documented, accuracy, best(steps), scored, seconds)


def opponent(dataset: DataSet, data: Path) -> PlainResult | None:
    """The best documented model at the documented threshold, or None where there is no plain model."""
    results = [run_plain(dataset, data, model) for model in PLAIN_MODELS.get(dataset.name, ())]
    return max(results, key=lambda r: r.accuracy.f1, default=None)

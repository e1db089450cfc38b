"""The workers drop the pairs that DuckDB drops, and the outcome stays that of scoring every pair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crm_hygiene.config import Config, SparkConfig
from crm_hygiene.linkage import LinkageSettings, scoring
from crm_hygiene.linkage.connection import connection, fetch, load
from crm_hygiene.linkage.organisation_words import with_model_words
from crm_hygiene.linkage.preparation import prepare
from crm_hygiene.linkage.pruning import prune
from crm_hygiene.linkage.scoring import compared_columns, known_comparisons, numbers_of, prediction_threshold
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.linkage.spark import SparkEngine, spark_engine
from crm_hygiene.linkage.spark import pruning as spark_pruning
from crm_hygiene.linkage.spark.conditions import spark_bound

from .conftest import SMALL
from .odd_values import odd_pairs
from .records import differing, linked, records_of

KINDS: tuple[EntityKind, ...] = ("person", "organisation")


@pytest.fixture(scope="module")
def engine(spark_is_there: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkEngine]:
    folder = tmp_path_factory.mktemp("pruning")
    config = SparkConfig(master="local[2]", memory="1g", work_folder=folder, settings=SMALL)
    with spark_engine(Config(engine="spark", spark=config)) as engine:
        yield engine


def odd_records(frame: pl.DataFrame, columns: list[str], count: int) -> pl.DataFrame:
    """Twice `count` records with odd values; record i and record i + count are alike."""
    pairs = odd_pairs({c: frame.schema[c] for c in columns}, count, seed=9)
    sides = [pairs.select(pl.col(f"{c}_{side}").alias(c) for c in columns) for side in "lr"]
    # What linkage compares is never an empty text.
    return (
        pl.concat(sides)
        .with_columns(pl.col(pl.String).replace({"": None}))
        .with_row_index("unique_id")
        .with_columns(pl.col("unique_id").cast(pl.Int64))
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("review_low", [0.3, 1e-9])
def test_the_same_pairs_are_kept(
    engine: SparkEngine, kind: EntityKind, review_low: float, tmp_path: Path
) -> None:
    settings = LinkageSettings(review_low=review_low)
    model = linked(kind, records_of(kind), None, None).model
    prepared = prepare(kind, records_of(kind), settings).frame
    frame = with_model_words(kind, prepared, model.content)
    comparisons, _ = known_comparisons(model, settings, frame)
    records = odd_records(frame, compared_columns(frame, comparisons), 1500)
    left = pl.int_range(1500, eager=True).alias("join_key_l")
    candidates = pl.DataFrame({"match_key": ["0"] * 1500, "join_key_l": left, "join_key_r": left + 1500})
    with connection(settings) as con:
        load(con, "candidates", candidates)
        least = prediction_threshold(settings)
        prune(con, records, comparisons, numbers_of(model, comparisons), model.content, least)
        on_duckdb = fetch(con, "SELECT * FROM candidates ORDER BY join_key_l")
    candidates.write_parquet(tmp_path / "candidates")
    name = spark_pruning.prune_on_spark(engine.session, records, comparisons, model, settings, tmp_path)
    on_spark = pl.read_parquet(tmp_path / name / "*.parquet").sort("join_key_l")
    assert 50 < on_duckdb.height < 1450
    assert on_spark.equals(on_duckdb)


@pytest.fixture
def pruned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Prune however few candidates there are; pairs before and after each pruning."""
    found: list[tuple[int, int]] = []
    prune_on_spark = spark_pruning.prune_on_spark

    def counting(*given: Any) -> str:
        name = prune_on_spark(*given)
        folder = given[-1]
        before, after = (
            pl.scan_parquet(folder / n / "*.parquet").select(pl.len()).collect().item()
            for n in ("candidates", name)
        )
        found.append((before, after))
        return name

    monkeypatch.setattr(scoring, "LEAST_CANDIDATES", 0)
    monkeypatch.setattr(spark_pruning, "prune_on_spark", counting)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_tables_stay_equal(engine: SparkEngine, kind: EntityKind, pruned: list[tuple[int, int]]) -> None:
    records = records_of(kind)
    on_duckdb = linked(kind, records, None, None)
    on_spark = linked(kind, records, on_duckdb.model, engine)
    assert differing(on_duckdb, on_spark) == []
    [(before, after)] = pruned
    assert on_spark.scored_pairs == on_duckdb.scored_pairs == before
    assert 0 < after < before / 2


def test_a_bound_is_summed_in_doubles() -> None:
    assert spark_bound('("own_0_l" & 3 <> 0) OR 1e-06 < 0.5') == "(`own_0_l` & 3 <> 0) OR 1e-06D < 0.5D"


def test_a_bound_on_an_empty_text_holds_of_nothing(engine: SparkEngine) -> None:
    bound = spark_bound("jaro_winkler_bound(0, 0, 3, 7, 1 = 1) >= 0.8")
    assert engine.session.sql(f"SELECT {bound} AS may_hold").collect()[0].may_hold is None

"""Spark on this machine gives what DuckDB gives: every function, every level, every table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from crm_hygiene.config import Config, SparkConfig
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.linkage import LinkageSettings
from crm_hygiene.linkage.connection import connection, fetch
from crm_hygiene.linkage.night_before import NightBefore
from crm_hygiene.linkage.organisation_words import with_model_words
from crm_hygiene.linkage.preparation import prepare
from crm_hygiene.linkage.scoring import compared_columns
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.linkage.spark import SparkEngine, spark_engine
from crm_hygiene.linkage.spark.conditions import spark_condition

from .conftest import SMALL
from .odd_values import odd_pairs
from .records import differing, linked, people, records_of

KINDS: tuple[EntityKind, ...] = ("person", "organisation")
TEXTS = {"a": pl.String(), "b": pl.String()}
EXPRESSIONS = (
    "jaro_winkler_similarity(a_l, a_r)",
    "levenshtein(a_l, a_r)",
    "damerau_levenshtein(a_l, a_r)",
    "length(a_l)",
    "left(a_l, 1)",
    "left(a_l, length(a_l) - 3)",
    "left(a_l, 3 - length(a_r))",
    "substr(a_l, 5, 2)",
    "split_part(a_l, '@', 1)",
    "split_part(a_l, '@', 2)",
    "contains(a_l, a_r)",
    "contains(a_l, b_r)",
    "starts_with(a_l, a_r)",
    "starts_with(a_l, a_r || ' ')",
    "least(a_l, b_l, a_r)",
    "greatest(a_l, b_l, a_r)",
    "a_l < a_r",
    "a_l = a_r",
    "a_l IS DISTINCT FROM a_r",
    "is_respelled(a_l, a_r)",
    "a_l = 'it''s a \\ and a \"'",
)
LISTS = {"a": pl.List(pl.String()), "w": pl.List(pl.Struct({"word": pl.String(), "bits": pl.Float64()}))}
LIST_EXPRESSIONS = (
    "list_has_any(a_l, a_r)",
    "list_has_all(a_l, a_r)",
    "list_contains(a_l, 'north')",
    "array_to_string(a_l, '')",
    "shared_bits(w_l, a_r)",
    "own_words(a_l, a_r)",
    "list_sum(list_transform(w_l, lambda w: w.bits))",
)


@pytest.fixture(scope="module")
def engine(spark_is_there: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkEngine]:
    config = SparkConfig(memory="1g", work_folder=tmp_path_factory.mktemp("handover"), settings=SMALL)
    with spark_engine(Config(engine="spark", spark=config)) as engine:
        yield engine


def _on_both(engine: SparkEngine, pairs: pl.DataFrame, conditions: list[str]) -> list[pl.DataFrame]:
    """`i` and a column per condition, from DuckDB and from Spark as Splink passes conditions on to it."""
    import sqlglot
    from splink.backends.spark import SparkAPI  # noqa: F401 - its import makes the dialect known

    table = pairs.to_arrow(compat_level=pl.CompatLevel.oldest())
    with connection(LinkageSettings()) as con:
        con.register("pairs", table)
        listed = ", ".join(f"({condition}) AS c{n}" for n, condition in enumerate(conditions))
        duck = fetch(con, f"SELECT i, {listed} FROM pairs ORDER BY i")
    listed = ", ".join(f"({spark_condition(condition)}) AS c{n}" for n, condition in enumerate(conditions))
    sql = sqlglot.transpile(f"SELECT i, {listed} FROM odd_pairs", read="spark", write="customspark")[0]
    engine.session.createDataFrame(table).createOrReplaceTempView("odd_pairs")
    spark = pl.from_arrow(engine.session.sql(sql).toArrow())
    assert isinstance(spark, pl.DataFrame)
    return [duck, spark.sort("i")]


def _wrong(pairs: pl.DataFrame, duck: pl.DataFrame, spark: pl.DataFrame, conditions: list[str]) -> list[str]:
    found = []
    for n, condition in enumerate(conditions):
        column = f"c{n}"
        if duck.schema[column].is_integer() or duck.schema[column] == pl.Null:
            spark = spark.with_columns(pl.col(column).cast(duck.schema[column]))
        unequal = duck[column].ne_missing(spark[column])
        if unequal.any():
            row = pairs.filter(unequal).row(0, named=True)
            found.append(
                f"{condition}: {int(unequal.sum())} of {pairs.height}, as "
                f"{duck[column].filter(unequal)[0]!r} and {spark[column].filter(unequal)[0]!r} of {row}"
            )
    return found


@pytest.mark.parametrize(("schema", "expressions"), [(TEXTS, EXPRESSIONS), (LISTS, LIST_EXPRESSIONS)])
def test_functions_are_equal_to_the_last_bit_on_odd_values(
    engine: SparkEngine, schema: dict[str, pl.DataType], expressions: tuple[str, ...]
) -> None:
    pairs = odd_pairs(schema, 8000, seed=5)
    assert _wrong(pairs, *_on_both(engine, pairs, list(expressions)), list(expressions)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_level_of_the_recipe_is_equal_on_odd_values(engine: SparkEngine, kind: EntityKind) -> None:
    settings = LinkageSettings()
    comparisons = list(settings.rules_of(kind).comparisons)
    prepared = prepare(kind, records_of(kind), settings).frame
    frame = with_model_words(kind, prepared, {"words": None})
    columns = compared_columns(frame, comparisons)
    pairs = odd_pairs({c: frame.schema[c] for c in columns}, 1500, seed=3)
    conditions = [level.when for c in comparisons for level in c.levels if level.when != "ELSE"]
    duck, spark = _on_both(engine, pairs, conditions)
    assert _wrong(pairs, duck, spark, conditions) == []


@pytest.mark.parametrize("kind", KINDS)
def test_tables_are_equal_with_one_frozen_model(engine: SparkEngine, kind: EntityKind) -> None:
    records = records_of(kind)
    on_duckdb = linked(kind, records, None, None)
    on_spark = linked(kind, records.sample(fraction=1, shuffle=True, seed=1), on_duckdb.model, engine)
    assert differing(on_duckdb, on_spark) == []
    assert on_spark.scored_pairs == on_duckdb.scored_pairs > 1000
    assert on_spark.entities.height < records.height
    assert on_spark.pairs["match_weight"].is_not_null().any()
    assert on_spark.notes == [n for n in on_duckdb.notes if n in on_spark.notes]


def test_a_night_on_spark_goes_on_from_one_on_duckdb(engine: SparkEngine) -> None:
    records = people()
    first = linked("person", records, None, None)
    before = NightBefore(first.pairs, first.fingerprints)
    changed = records.with_columns(
        city=pl.when(pl.col("record_id").is_in(["003", "100"])).then(pl.lit("Roma")).otherwise("city")
    )
    on_duckdb = linked("person", changed, first.model, None, before)
    on_spark = linked("person", changed, first.model, engine, before)
    assert differing(on_duckdb, on_spark) == []
    assert on_spark.changed_records == 2
    assert 0 < on_spark.scored_pairs == on_duckdb.scored_pairs < first.scored_pairs / 5


def test_nothing_changed_proposes_nothing(engine: SparkEngine) -> None:
    first = linked("person", people(), None, None)
    again = linked("person", people(), first.model, engine, NightBefore(first.pairs, first.fingerprints))
    assert again.scored_pairs == 0
    assert differing(first, again) == []


def test_an_empty_base_links_to_nothing(engine: SparkEngine) -> None:
    assert linked("person", people().clear(), None, engine).entities.is_empty()


def test_work_folder_is_left_empty(engine: SparkEngine, tmp_path: Path) -> None:
    folder = engine._work_folder
    assert folder is not None
    assert list(folder.iterdir()) == []


def test_spark_reads_a_snapshot_of_the_lake_by_its_files(engine: SparkEngine, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    contract = contract_of("linked.person_members")
    members = linked("person", people(), None, None).members
    lake.publish(contract, members, {"run_id": "r1", "inputs": "i1"})
    snapshot: Any = engine.session.read.parquet(*lake.file_uris(contract.table))
    read = pl.from_arrow(snapshot.select(*members.columns).toArrow())
    assert isinstance(read, pl.DataFrame)
    assert (
        read.select("record_id", "entity_id")
        .sort("record_id")
        .equals(members.select("record_id", "entity_id").sort("record_id"))
    )


def test_duckdb_is_as_the_functions_expect() -> None:
    """DuckDB's own build decides whether a product and a sum are rounded once; both are provided for."""
    found = duckdb.sql("SELECT jaro_winkler_similarity('aaaab', 'abab')").fetchall()[0][0]
    assert found in (0.805, 0.7833333333333333 + 0.1 * (1 - 0.7833333333333333))

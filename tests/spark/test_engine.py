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
from crm_hygiene.linkage import LinkageSettings, scoring
from crm_hygiene.linkage.candidates import Candidates, _packed
from crm_hygiene.linkage.connection import connection, fetch
from crm_hygiene.linkage.night_before import NightBefore
from crm_hygiene.linkage.organisation_words import with_model_words
from crm_hygiene.linkage.preparation import prepare
from crm_hygiene.linkage.pruning import prune
from crm_hygiene.linkage.scoring import compared_columns, known_comparisons, numbers_of, prediction_threshold
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.linkage.spark import SparkEngine, spark_engine
from crm_hygiene.linkage.spark import pruning as spark_pruning
from crm_hygiene.linkage.spark.conditions import spark_bound, spark_condition

from .conftest import SMALL
from .odd_values import odd_pairs
from .records import differing, linked, people, records_of

pytestmark = pytest.mark.long

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
def test_the_same_pairs_are_kept(engine: SparkEngine, kind: EntityKind, tmp_path: Path) -> None:
    settings = LinkageSettings()
    model = linked(kind, records_of(kind), None, None).model
    prepared = prepare(kind, records_of(kind), settings).frame
    frame = with_model_words(kind, prepared, model.content)
    comparisons, _ = known_comparisons(model, settings, frame)
    records = odd_records(frame, compared_columns(frame, comparisons), 1500)
    left = pl.int_range(1500, eager=True)
    # Every other pair is of records that are not alike.
    right = 1500 + (left + 7 * (left % 2)) % 1500
    width = records.height.bit_length()
    candidates = Candidates(_packed(left.to_numpy(), right.to_numpy(), 0, width), width)
    numbers, least = numbers_of(model, comparisons), prediction_threshold(settings)
    with connection(settings) as con:
        kept = prune(con, records, candidates, comparisons, numbers, model.content, least, 1)
    on_duckdb = kept.table()
    candidates.table().write_parquet(tmp_path / "candidates")
    name = spark_pruning.prune_on_spark(engine.session, records, comparisons, model, settings, tmp_path)
    on_spark = pl.read_parquet(tmp_path / name / "*.parquet").sort("join_key_l")
    assert 500 < on_duckdb.height < 1400
    assert on_spark.equals(on_duckdb)


def test_a_bound_on_an_empty_text_holds_of_nothing(engine: SparkEngine) -> None:
    bound = spark_bound("jaro_winkler_bound(0, 0, 3, 7, 1 = 1) >= 0.8")
    assert engine.session.sql(f"SELECT {bound} AS may_hold").collect()[0].may_hold is None


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
def test_tables_are_equal_with_one_frozen_model(
    engine: SparkEngine, kind: EntityKind, pruned: list[tuple[int, int]]
) -> None:
    records = records_of(kind)
    on_duckdb = linked(kind, records, None, None)
    on_spark = linked(kind, records.sample(fraction=1, shuffle=True, seed=1), on_duckdb.model, engine)
    assert differing(on_duckdb, on_spark) == []
    [(before, after)] = pruned
    assert on_spark.scored_pairs == on_duckdb.scored_pairs == before > 1000
    assert 0 < after < before
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

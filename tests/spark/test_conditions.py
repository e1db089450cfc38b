from __future__ import annotations

from pathlib import Path

import pytest

from crm_hygiene.config import Config, load_config
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage import LinkageSettings
from crm_hygiene.linkage.engine import engine_of
from crm_hygiene.linkage.settings import Comparison, EntityKind, Level
from crm_hygiene.linkage.spark.conditions import spark_bound, spark_comparisons, spark_condition
from crm_hygiene.linkage.spark.session import session_settings


@pytest.mark.parametrize("kind", ["person", "organisation"])
def test_the_whole_recipe_is_known(kind: EntityKind) -> None:
    comparisons = LinkageSettings().rules_of(kind).comparisons
    translated = spark_comparisons(comparisons)
    assert [c.name for c in translated] == [c.name for c in comparisons]
    assert all(len(t.levels) == len(c.levels) for t, c in zip(translated, comparisons, strict=True))
    assert "jaro_winkler_similarity(" not in " ".join(
        level.when.replace("duckdb_jaro_winkler_similarity(", "") for c in translated for level in c.levels
    )


@pytest.mark.parametrize(
    ("condition", "named"),
    [
        ("regexp_matches(a_l, 'x')", "function regexp_matches"),
        ("length(a_l) / 2 > 1", "/"),
        ('"a b_l" = 1', '"'),
        ("substr(a_l, 0, 2) = 'a'", "a whole number from 1 up"),
        ("split_part(a_l, b_l, 1) = 'a'", "split_part"),
        ("length(a_l, b_l, 3", "brackets"),
        ("a_l = b_r)", ")"),
        ("left(a_l) = 'a'", "left with 1 arguments"),
    ],
)
def test_what_has_no_known_equal_is_refused(condition: str, named: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        spark_condition(condition)
    assert named in str(raised.value)


def test_a_bound_is_summed_in_doubles() -> None:
    bound = '("own_0_l" & 3 <> 0) OR 1e-06 < 0.5'
    assert spark_bound(bound) == "(`own_0_l` & 3 <> 0) OR 1e-06D < 0.5D"


def test_a_refusal_names_comparison_and_level() -> None:
    levels = (
        Level(name="missing", when="a_l IS NULL", is_null=True),
        Level(name="sounds", when="soundex(a_l) = soundex(a_r)"),
        Level(name="other", when="ELSE"),
    )
    with pytest.raises(ConfigurationError, match=r"comparison 'a', level 'sounds'.*soundex"):
        spark_comparisons([Comparison(name="a", columns=("a",), levels=levels)])


def test_duckdb_starts_nothing() -> None:
    with engine_of(Config()) as engine:
        assert engine is None


def test_settings_of_spark_are_spelled_out(tmp_path: Path) -> None:
    path = tmp_path / "hygiene.yaml"
    path.write_text(
        "engine: spark\n"
        "spark:\n"
        "  master: spark://host:7077\n"
        "  memory: 8g\n"
        "  work_folder: shared\n"
        "  settings: {spark.executor.cores: '4', spark.executor.memory: 6g}\n"
    )
    config = load_config(path)
    settings = session_settings(config.spark)
    assert settings["spark.master"] == "spark://host:7077"
    assert settings["spark.driver.memory"] == "8g"
    assert settings["spark.executor.memory"] == "6g"
    assert settings["spark.executor.cores"] == "4"
    assert settings["spark.sql.autoBroadcastJoinThreshold"] == "128m"


@pytest.mark.parametrize(
    "wrong", ["master: mesos://x", "memory: 2", "settings: {executor.cores: '4'}", "core: 2"]
)
def test_wrong_settings_of_spark_are_told(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "hygiene.yaml"
    path.write_text(f"engine: spark\nspark:\n  {wrong}\n")
    with pytest.raises(ConfigurationError, match="spark"):
        load_config(path)

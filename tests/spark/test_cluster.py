"""Linkage on a real standalone cluster: a master and two workers on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from crm_hygiene.config import Config, SparkConfig
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.spark import spark_engine

from .cluster import standalone_cluster
from .conftest import SMALL
from .records import differing, linked, people

LOOPBACK = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


@pytest.fixture
def handover(tmp_path: Path) -> Path:
    return tmp_path / "handover"


def test_a_cluster_links_as_duckdb_does(spark_is_there: None, tmp_path: Path, handover: Path) -> None:
    records = people(200)
    on_duckdb = linked("person", records, None, None)
    with standalone_cluster(tmp_path) as (address, log):
        config = SparkConfig(
            master=address, memory="512m", work_folder=handover, settings={**SMALL, **LOOPBACK}
        )
        with spark_engine(Config(engine="spark", spark=config)) as engine:
            on_spark = linked("person", records, on_duckdb.model, engine)
            assert engine.session.sparkContext.master == address
        assert log.read_text().count("Launching executor") >= 2
        ran = [
            worker for worker in ("worker_1", "worker_2") if list((tmp_path / worker).glob("app-*/*/stderr"))
        ]
    assert ran == ["worker_1", "worker_2"]
    assert differing(on_duckdb, on_spark) == []
    assert on_spark.scored_pairs == on_duckdb.scored_pairs > 0
    assert list(handover.iterdir()) == []


def test_a_cluster_needs_a_folder_that_all_see() -> None:
    config = Config(engine="spark", spark=SparkConfig(master="spark://127.0.0.1:7077"))
    with pytest.raises(ConfigurationError, match=r"spark\.work_folder"), spark_engine(config):
        pass

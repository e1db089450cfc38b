"""Linkage on a real standalone cluster: a master and two workers on loopback."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.config import Config, SparkConfig
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage import scoring
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.linkage.spark import spark_engine

from .cluster import standalone_cluster
from .conftest import SMALL
from .records import differing, linked, organisations, people

LOOPBACK = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


@pytest.fixture
def handover(tmp_path: Path) -> Path:
    return tmp_path / "handover"


@pytest.mark.long
def test_a_cluster_links_as_duckdb_does(
    spark_is_there: None, tmp_path: Path, handover: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "LEAST_CANDIDATES", 0)
    records: dict[EntityKind, pl.DataFrame] = {"person": people(200), "organisation": organisations(150)}
    on_duckdb = {kind: linked(kind, of_kind, None, None) for kind, of_kind in records.items()}
    with standalone_cluster(tmp_path) as (address, log):
        config = SparkConfig(
            master=address, memory="512m", work_folder=handover, settings={**SMALL, **LOOPBACK}
        )
        with spark_engine(Config(engine="spark", spark=config)) as engine:
            on_spark = {k: linked(k, records[k], on_duckdb[k].model, engine) for k in records}
            assert engine.session.sparkContext.master == address
        assert log.read_text().count("Launching executor") >= 2
        ran = [
            worker for worker in ("worker_1", "worker_2") if list((tmp_path / worker).glob("app-*/*/stderr"))
        ]
    assert ran == ["worker_1", "worker_2"]
    for kind in records:
        assert differing(on_duckdb[kind], on_spark[kind]) == []
        assert on_spark[kind].scored_pairs == on_duckdb[kind].scored_pairs > 0
    assert list(handover.iterdir()) == []


def test_a_cluster_needs_a_folder_that_all_see() -> None:
    config = Config(engine="spark", spark=SparkConfig(master="spark://127.0.0.1:7077"))
    with pytest.raises(ConfigurationError, match=r"spark\.work_folder"), spark_engine(config):
        pass

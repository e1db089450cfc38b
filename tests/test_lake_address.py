"""Where a lake can be: what Delta cannot keep is refused by name, as is what would mix tables and exports."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.config import Config, LakeConfig, LandingConfig
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lake import Lake
from crm_hygiene.lake_options import lake_of

RUNS = contract_of("audit.runs")


def _keeps_tables(folder: Path) -> bool:
    lake = Lake(str(folder))
    rows = RUNS.shape(pl.DataFrame({"run_id": ["a"], "status": ["succeeded"]}))
    try:
        lake.publish(RUNS, rows, {"run_id": "a", "rules": "r", "inputs": "i"})
        is_told = lake.metadata(RUNS.table)["inputs"] == "i"
        return is_told and lake.read(RUNS).height == 1 and (folder / "audit").is_dir()
    except BaseException:  # a panic is no Exception
        return False


@pytest.mark.parametrize("name", ["a#b", "a?b", "a[b", "a]b", "a^b", "a|b", "a\\b", "a%20b"])
def test_folders_in_which_delta_keeps_no_table_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(str(tmp_path / name))):
        lake_of(Config(base=tmp_path / name))
    assert not _keeps_tables(tmp_path / name)  # once it does, nothing need be refused


@pytest.mark.parametrize("letter", " !\"$%&'()*+,-.:;<=>@_`{}~äß日é")
def test_other_letters_are_letters(tmp_path: Path, letter: str) -> None:
    assert lake_of(Config(base=tmp_path / f"a{letter}b")).uri == str(tmp_path / f"a{letter}b" / "lake")
    assert _keeps_tables(tmp_path / f"a{letter}b")


def test_a_link_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "a#b").mkdir()
    (tmp_path / "plain").symlink_to(tmp_path / "a#b")
    with pytest.raises(ConfigurationError, match="a#b"):
        lake_of(Config(base=tmp_path / "plain"))


@pytest.mark.parametrize(
    ("lake", "landing", "message"),
    [
        ("s3:/bucket/lake", "landing", "s3://"),
        ("gs:bucket/lake", "landing", "gs://"),
        ("hygiene.yaml", "landing", "is a file"),
        ("landing", "landing", "within each other"),
        ("landing/lake", "landing", "within each other"),
        (".", "landing", "within each other"),
        ("lake/../landing", "landing", "within each other"),
    ],
)
def test_no_lake_is_there(tmp_path: Path, lake: str, landing: str, message: str) -> None:
    (tmp_path / "hygiene.yaml").touch()
    config = Config(base=tmp_path, lake=LakeConfig(uri=lake), landing=LandingConfig(folder=Path(landing)))
    with pytest.raises(ConfigurationError, match=f"lake.uri: .*{message}"):
        lake_of(config)
    assert [path.name for path in tmp_path.iterdir()] == ["hygiene.yaml"]


@pytest.mark.parametrize("uri", ["lake", "../lake", "landing-lake", "s3://bucket/a#b", "az://container/lake"])
def test_a_lake_can_be_there(tmp_path: Path, uri: str) -> None:
    assert lake_of(Config(base=tmp_path / "project", lake=LakeConfig(uri=uri))).uri.endswith(uri.strip("."))

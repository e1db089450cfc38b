"""hygiene.yaml: defaults that work, and mistakes that are told with the nearest right key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.config import Config, load_config
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.night import Night


def _written(folder: Path, text: str) -> Path:
    path = folder / "hygiene.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config()
    assert config.landing_folder == tmp_path / "landing"
    assert config.catalog_path == tmp_path / "lake/catalog.duckdb"


def test_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_config(_written(tmp_path, "")).lake_uri == str(tmp_path / "lake")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = load_config(_written(tmp_path, "landing: {folder: in}\nlake: {uri: out}\n"))
    assert config.landing_folder == tmp_path / "in"
    assert config.lake_uri == str(tmp_path / "out")


def test_object_store_address_stays_as_it_is(tmp_path: Path) -> None:
    config = load_config(_written(tmp_path, "lake: {uri: 's3://bucket/lake'}\n"))
    assert config.lake_uri == "s3://bucket/lake"
    assert config.catalog_path == tmp_path / "catalog.duckdb"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lakes: {}\n", ["unknown key 'lakes'", "'lake'"]),
        ("landing: {foldr: x}\n", ["unknown key 'landing.foldr'", "'folder'"]),
        ("limits: {threads: 0}\n", ["limits.threads"]),
        ("limits: {memory: lots}\n", ["limits.memory"]),
        ("schedule: {timezone: Europe/Zurig}\n", ["schedule.timezone", "Europe/Zurich"]),
        ("engine: spork\n", [":1: engine:"]),
        ("engine: duckdb\nengine: spark\n", [":2: 'engine' is written twice, first on line 1"]),
        ("base: /\n", ["unknown key 'base'"]),
        ("1: 2\n", ["1"]),
        ("- a\n", ["expected a mapping of keys to values"]),
        ("a: [\n", ["not readable as YAML"]),
    ],
)
def test_mistakes_name_file_and_key(tmp_path: Path, text: str, words: list[str]) -> None:
    path = _written(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    for word in ["hygiene.yaml", *words]:
        assert word in str(caught.value)


def test_missing_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        load_config(tmp_path / "other.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not readable"):
        load_config(tmp_path / "binary.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "rules: {cash: gone.yaml}\n",
        "rules: {survivorship: gone.yaml}\n",
        "sources: {folders: [gone]}\n",
        "sources: {disabled: [salesforce_lead]}\n",
    ],
)
def test_what_the_file_names_must_be_there(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError):
        Night.open(load_config(_written(tmp_path, text)))


@given(
    st.sampled_from(sorted(Config.model_fields)),
    st.integers(0, 30),
    st.characters(codec="ascii", categories=["Ll"]),
)
def test_a_slip_in_a_key_is_never_taken(key: str, place: int, letter: str) -> None:
    slip = key[: place % len(key)] + letter + key[place % len(key) :]
    if slip in Config.model_fields:
        return
    with pytest.raises(ValueError, match="Extra inputs"):
        Config.model_validate({slip: {}})

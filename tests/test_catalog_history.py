"""Past nights in the catalog: as_of gives every night back as it was, however the catalog was built."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from examples import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from crm_hygiene import catalog
from crm_hygiene.catalog import build_catalog
from crm_hygiene.catalog_query import query
from crm_hygiene.contract import Contract, load_glossary
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lake import Lake

Rows = dict[str, tuple[str | None, int]]


def contract(*columns: str, key: tuple[str, ...] = ("entity_id",)) -> Contract:
    glossary = load_glossary()
    return Contract(
        table="golden.things",
        meaning="Things.",
        grain="one row per thing",
        owner="tests",
        key=key,
        columns=tuple(glossary[c] for c in columns),
    )


THINGS = contract("entity_id", "city", "domains", "quality_score")


def frame(rows: Rows) -> pl.DataFrame:
    return THINGS.shape(
        pl.DataFrame(
            [
                {"entity_id": key, "city": city, "domains": [key, "x"], "quality_score": score / 10}
                for key, (city, score) in rows.items()
            ],
            schema=THINGS.schema,
        )
    ).sort("entity_id")


def publish(lake: Lake, rows: Rows, night: int) -> datetime:
    lake.publish(THINGS, frame(rows), {"inputs": str(night)})
    return lake.versions(THINGS.table)[-1].published_at


def as_of(path: Path, moment: datetime | str) -> pl.DataFrame:
    text = moment if isinstance(moment, str) else moment.isoformat()
    return query(path, f"FROM as_of('golden.things', '{text}') ORDER BY entity_id")


def same(found: pl.DataFrame, expected: pl.DataFrame, *, is_past: bool) -> None:
    if is_past:
        expected = expected.with_columns(quality_score=pl.lit(None, dtype=pl.Float64))
    assert_frame_equal(found, expected)


nights = st.lists(
    st.dictionaries(
        st.sampled_from(["a", "b", "c", "d"]),
        st.tuples(st.sampled_from(["Bern", "Oslo", None]), st.integers(0, 1)),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=examples(8))
@given(nights, st.sets(st.integers(0, 4)))
@example([{}, {"a": ("Bern", 0)}, {}], {0})
def test_every_night_comes_back(
    tmp_path_factory: pytest.TempPathFactory, nights: list[Rows], built_after: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("nights")
    lake, path = Lake(str(folder / "lake")), folder / "catalog.duckdb"
    moments = []
    for night, rows in enumerate(nights):
        moments.append(publish(lake, rows, night))
        if night in built_after:
            build_catalog(lake, [THINGS], path)
    build_catalog(lake, [THINGS], path)
    anew = folder / "anew.duckdb"
    build_catalog(lake, [THINGS], anew)
    for one in (path, anew):
        for moment, rows in zip(moments, nights, strict=True):
            content = lake.versions(THINGS.table)
            found = as_of(one, moment)
            last = max(
                v.published_at for i, v in enumerate(content) if not i or v.state != content[i - 1].state
            )
            same(found, frame(rows), is_past=moment < last)
        with pytest.raises(ConfigurationError, match=r"golden\.things is remembered from"):
            as_of(one, moments[0] - timedelta(seconds=1))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.duckdb"


FIRST: Rows = {"a": ("Bern", 1), "b": ("Oslo", 1)}
SECOND: Rows = {"a": ("Rome", 2), "c": ("Oslo", 1)}


def test_a_vacuum_takes_nothing_from_what_is_remembered(lake: Lake, path: Path) -> None:
    first = publish(lake, FIRST, 1)
    build_catalog(lake, [THINGS], path)
    old = lake.file_uris(THINGS.table)
    publish(lake, SECOND, 2)
    build_catalog(lake, [THINGS], path)
    for uri in old:
        Path(uri).unlink()
    same(as_of(path, first), frame(FIRST), is_past=True)
    path.unlink()
    build_catalog(lake, [THINGS], path)  # nothing but the live version can be read any more
    same(as_of(path, "infinity"), frame(SECOND), is_past=False)
    with pytest.raises(ConfigurationError, match="nothing earlier is known"):
        as_of(path, first)


def test_a_night_that_cannot_be_read_any_more_ends_the_memory(lake: Lake, path: Path) -> None:
    first = publish(lake, FIRST, 1)
    build_catalog(lake, [THINGS], path)
    publish(lake, SECOND, 2)
    missed = lake.file_uris(THINGS.table)
    third = publish(lake, {"d": (None, 1)}, 3)
    for uri in missed:
        Path(uri).unlink()
    build_catalog(lake, [THINGS], path)
    same(as_of(path, third), frame({"d": (None, 1)}), is_past=False)
    with pytest.raises(ConfigurationError, match="nothing earlier is known"):
        as_of(path, first)


def test_the_budget_bounds_how_far_a_new_catalog_goes_back(
    lake: Lake, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = [publish(lake, {"a": (city, 1), "b": (city, 1)}, n) for n, city in enumerate("xyz")]
    monkeypatch.setattr(catalog, "_REPLAYED_ROWS", 2)
    build_catalog(lake, [THINGS], path)
    assert as_of(path, moments[1])["city"].to_list() == ["y", "y"]
    with pytest.raises(ConfigurationError, match="nothing earlier is known"):
        as_of(path, moments[0])


def test_only_so_many_days_are_kept(lake: Lake, path: Path) -> None:
    first = publish(lake, FIRST, 1)
    build_catalog(lake, [THINGS], path, history_days=0)
    publish(lake, SECOND, 2)
    build_catalog(lake, [THINGS], path, history_days=0)
    assert query(path, "FROM history.golden_things").is_empty()
    with pytest.raises(ConfigurationError, match="nothing earlier is known"):
        as_of(path, first)


def test_a_date_means_the_end_of_that_day(lake: Lake, path: Path) -> None:
    publish(lake, FIRST, 1)
    build_catalog(lake, [THINGS], path)
    publish(lake, SECOND, 2)
    build_catalog(lake, [THINGS], path)
    same(as_of(path, "2999-12-31"), frame(SECOND), is_past=False)
    assert query(path, "FROM golden.things_as_of(DATE '2999-12-31')").height == 2
    assert query(path, "FROM golden.things_as_of((SELECT max(published_at) FROM history.tables))").height == 2


def test_a_night_that_aged_everything_and_changed_nothing_costs_nothing(lake: Lake, path: Path) -> None:
    publish(lake, {"a": ("Bern", 1)}, 1)
    build_catalog(lake, [THINGS], path)
    second = publish(lake, {"a": ("Bern", 2)}, 2)
    build_catalog(lake, [THINGS], path)
    assert query(path, "FROM history.golden_things").is_empty()
    assert as_of(path, second)["quality_score"].to_list() == [0.2]


def _grown(**more: Any) -> Contract:
    return contract("entity_id", "city", "domains", "quality_score", "region").model_copy(update=more)


def test_a_new_column_is_null_in_the_past(lake: Lake, path: Path) -> None:
    first = publish(lake, FIRST, 1)
    build_catalog(lake, [THINGS], path)
    grown = _grown()
    lake.publish(grown, grown.shape(frame(FIRST).with_columns(region=pl.lit("north"))), {"inputs": "2"})
    build_catalog(lake, [grown], path)
    assert as_of(path, first)["region"].to_list() == [None, None]
    assert query(path, "SELECT region FROM golden.things")["region"].to_list() == ["north", "north"]


def test_another_key_begins_the_past_anew(lake: Lake, path: Path) -> None:
    first = publish(lake, FIRST, 1)
    build_catalog(lake, [THINGS], path)
    other = contract("entity_id", "city", "domains", "quality_score", key=("entity_id", "city"))
    lake.publish(other, frame(SECOND), {"inputs": "2"})
    build_catalog(lake, [other], path)
    assert as_of(path, "infinity").height == 2
    assert as_of(path, first).height == 2  # replayed from the lake under the new key


def test_an_open_reader_asks_of_the_past_while_nights_run(lake: Lake, path: Path) -> None:
    first = publish(lake, FIRST, 1)
    build_catalog(lake, [THINGS], path)
    ask = f"SELECT count(*) FROM golden.things_as_of(TIMESTAMPTZ '{first.isoformat()}')"
    with duckdb.connect(str(path), read_only=True) as reader:
        for night in range(2, 6):
            publish(lake, {str(n): ("Bern", 1) for n in range(night)}, night)
            build_catalog(lake, [THINGS], path)
            assert reader.execute(ask).fetchall() == [(2,)]
            assert reader.execute("SELECT count(*) FROM golden.things").fetchall() == [(2,)]
    assert query(path, "FROM golden.things").height == 5
    assert query(path, ask).item() == 2


def test_a_table_that_is_gone_takes_its_past_along(lake: Lake, path: Path) -> None:
    publish(lake, FIRST, 1)
    build_catalog(lake, [THINGS], path)
    build_catalog(lake, [], path)
    assert query(path, "FROM history.tables").is_empty()
    with pytest.raises(ConfigurationError, match="things_as_of"):
        as_of(path, "infinity")

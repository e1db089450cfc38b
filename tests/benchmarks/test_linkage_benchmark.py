"""The benchmark's own arithmetic and mappings; the data sets themselves are not needed."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.__main__ import main
from bench.linkage.best_threshold import at, best, sweep
from bench.linkage.datasets import DATA_SETS, SOURCES, DataSet, text_rows
from bench.linkage.measure import prepare, verdict
from bench.linkage.plain_models import PLAIN_MODELS
from crm_hygiene.mapping_file import load_mappings

COUNT = 8
scored = st.lists(
    st.tuples(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1), st.sampled_from([0.1, 0.5, 0.9, 0.99])),
    max_size=12,
)


def components(links: list[tuple[int, int]]) -> list[int]:
    of = list(range(COUNT))
    for _ in range(COUNT):
        for a, b in links:
            of[a] = of[b] = min(of[a], of[b])
    return of


@settings(max_examples=examples(100), deadline=None)
@given(scored, st.lists(st.integers(0, 3), min_size=COUNT, max_size=COUNT))
def test_a_sweep_agrees_with_counting_every_pair(
    pairs: list[tuple[int, int, float]], labels: list[int]
) -> None:
    true = sum(a == b for a, b in combinations(labels, 2))
    frame = pl.DataFrame(
        pairs, schema={"l": pl.Int64, "r": pl.Int64, "probability": pl.Float64}, orient="row"
    )
    steps = sweep(frame, labels, true)
    seen = []
    for threshold in (0.1, 0.5, 0.9, 0.99):
        of = components([(a, b) for a, b, p in pairs if p >= threshold])
        linked = [(i, j) for i, j in combinations(range(COUNT), 2) if of[i] == of[j]]
        right = sum(labels[i] == labels[j] for i, j in linked)
        f1 = 2 * right / (len(linked) + true) if linked or true else 1.0
        if any(p >= threshold for _, _, p in pairs):
            assert at(steps, threshold).f1 == pytest.approx(f1)
            seen.append(f1)
    if seen:
        assert best(steps).f1 == pytest.approx(max(seen))


def test_mappings_are_right_and_none_reads_the_truth() -> None:
    mappings = load_mappings([SOURCES])
    assert {name for dataset in DATA_SETS for name in dataset.sources} == set(mappings)
    for mapping in mappings.values():
        used = {column.casefold() for column in mapping.vendor_columns}
        assert not used & {"cluster", "group", "true id", "label_true", "gold"}


def test_every_bar_has_an_opponent() -> None:
    assert (
        {d.name for d in DATA_SETS if d.bar is not None} <= set(PLAIN_MODELS) <= {d.name for d in DATA_SETS}
    )


def test_without_data_it_says_so_and_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    main(["linkage", "--data", str(tmp_path / "nowhere"), *work])
    assert "nothing measured" in capsys.readouterr().out
    main(["linkage", "--data", str(tmp_path), "--only", "febrl3", "fake_link", *work])
    printed = capsys.readouterr().out
    assert "febrl3: left out" in printed
    assert "fake_link: left out" in printed
    assert not (tmp_path / "out").exists()


def test_a_data_set_is_landed_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    text = "unique_id,first_name,surname,dob,city,email,cluster\n1, Ann ,Lee,,,,0\n"
    (tmp_path / "in" / "a.csv").write_text(text)
    pl.DataFrame({"unique_id": [1], "first_name": ["Ann"]}).write_parquet(tmp_path / "in" / "b.parquet")
    dataset = DataSet(
        "small",
        "person",
        {"in/a.csv": "fake_1000.csv", "in/b.parquet": "b.csv"},
        ("fake_people",),
        lambda _: pl.DataFrame(),
    )
    folder = prepare(dataset, tmp_path, tmp_path / "work")
    assert (folder / "landing" / "fake_1000.csv").read_text() == text
    assert (folder / "landing" / "b.csv").read_text() == "unique_id,first_name\n1,Ann\n"
    assert [p.name for p in (folder / "sources").iterdir()] == ["fake_people.yaml"]
    assert text_rows(tmp_path / "in" / "a.csv").row(0, named=True)["first_name"] == "Ann"


@pytest.mark.parametrize(
    ("f1", "bar", "plain", "said"),
    [
        (0.9, 0.85, 0.9, "pass"),
        (0.8, 0.85, 0.7, "below the bar"),
        (0.9, None, 0.95, "behind plain Splink"),
        (0.8, 0.85, 0.9, "below the bar and behind plain Splink"),
        (0.8, None, None, ""),
    ],
)
def test_verdicts(f1: float, bar: float | None, plain: float | None, said: str) -> None:
    found: dict[str, Any] = {"bar": bar, "accuracy": {"f1": f1}}
    if plain is not None:
        found["plain"] = {"accuracy": {"f1": plain}}
    assert verdict(found) == said

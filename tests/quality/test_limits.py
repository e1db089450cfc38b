"""Limits: how they are read, and what becomes of figures held against them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.quality import Limit, Limits, evaluate_limits, load_limits
from crm_hygiene.quality.metric import FIGURES

Row = tuple[str, str, str, str, float]


def figures(*rows: Row) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=FIGURES, orient="row")


def night(run: str, *rows: Row) -> pl.DataFrame:
    return figures(*rows).with_columns(run_id=pl.lit(run))


NOTHING = night("none")


def people(source: str, rows: float) -> Row:
    return ("conformed.people", source, "", "row_count", rows)


def filled(source: str, share: float, column: str = "email") -> Row:
    return ("conformed.people", source, column, "fill_share", share)


def outcome(limit: Limit, tonight: pl.DataFrame, before: pl.DataFrame = NOTHING) -> dict[str, object]:
    return evaluate_limits(Limits(limits=(limit,)), tonight, before).row(0, named=True)


def own(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_built_in_limits_are_valid() -> None:
    assert any(limit.then == "stop" for limit in load_limits().limits)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("metric: fil_share", r":3: metric: no metric 'fil_share'; did you mean 'fill_share'"),
        ("metric: fill_share\n    tabel: conformed.people", r":4: unknown key 'tabel'; did you mean 'table'"),
        (
            "metric: fill_share\n    table: conformed.peple",
            r"no table 'conformed.peple'; did you mean 'conformed.people'",
        ),
        (
            "metric: fill_share\n    table: conformed.people\n    field: emial",
            r":2: no field 'emial' in conformed.people; did you mean 'email'",
        ),
        (
            "metric: fill_share\n    source: salesforce_lead",
            r"no source 'salesforce_lead'; did you mean 'salesforce_leads'",
        ),
        ("metric: fill_share\n    then: halt", r":4: then"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_refused_with_line_and_nearest(tmp_path: Path, line: str, said: str) -> None:
    path = own(tmp_path, f"limits:\n  - name: mine\n    {line}\n    at_least: 0.5\n")
    with pytest.raises(ConfigurationError, match=f"mine.yaml.*{said}"):
        load_limits(path, ["salesforce_leads"])


@pytest.mark.parametrize(
    "text",
    [
        "limits: 3",
        "- 1",
        "limit: []",
        "limits: [{name: a, metric: row_count}]",
        "limits: [1]",
        "a: [",
        "limits:\n",
    ],
)
def test_what_is_no_list_of_limits_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mine\.yaml"):
        load_limits(own(tmp_path, text))


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_limits(own(tmp_path, "")) == load_limits()


def test_the_users_limit_replaces_the_built_in_one_of_its_name(tmp_path: Path) -> None:
    name = load_limits().limits[0].name
    path = own(tmp_path, f"limits:\n  - {{name: {name}, metric: row_count, then: ignore}}\n")
    assert name not in {limit.name for limit in load_limits(path).limits}
    assert len(load_limits(path).limits) == len(load_limits().limits) - 1


def test_two_limits_of_one_name_are_refused(tmp_path: Path) -> None:
    line = "  - {name: a, metric: row_count, at_least: 1}\n"
    with pytest.raises(ConfigurationError, match=r"mine.yaml:3: two limits named 'a'"):
        load_limits(own(tmp_path, f"limits:\n{line}{line}"))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"limits.quality.*no such file"):
        load_limits(tmp_path / "none.yaml")


def test_bounds_on_the_figure_itself() -> None:
    limit = Limit(name="a", metric="fill_share", field="*", at_least=0.5)
    found = outcome(limit, figures(filled("s", 0.4), filled("t", 0.5), filled("u", 0.1, "phone")))
    assert (found["is_passed"], found["row_count"], found["failed_count"]) == (False, 3, 2)
    assert found["failing"] == [
        "phone of u: 10.0 %, at least 50.0 %",
        "email of s: 40.0 %, at least 50.0 %",
    ]
    assert found["severity"] == "warning"


def test_bounds_against_the_nights_before() -> None:
    limit = Limit(name="a", metric="row_count", max_fall=0.5, max_rise=1, then="stop")
    before = pl.concat([night("1", people("s", 100)), night("2", people("s", 300))])
    assert outcome(limit, figures(people("s", 100)), before)["is_passed"]
    assert outcome(limit, figures(people("s", 400)), before)["is_passed"]
    for rows in (99, 401):
        found = outcome(limit, figures(people("s", rows)), before)
        assert (found["is_passed"], found["severity"]) == (False, "critical")


def test_a_first_night_cannot_have_fallen() -> None:
    limit = Limit(name="a", metric="row_count", max_fall=0, then="stop")
    assert outcome(limit, figures(people("s", 1)))["is_passed"]


def test_a_source_that_is_gone_has_fallen_to_none() -> None:
    limit = Limit(name="a", metric="row_count", max_fall=0.5)
    found = outcome(limit, figures(people("s", 9)), night("1", people("s", 9), people("t", 500)))
    assert found["failing"] == ["t: 0, at least 250 (500 before)"]


def test_small_sources_are_not_judged() -> None:
    limit = Limit(name="a", metric="fill_share", field="email", at_least=1, at_least_rows=10)
    rows = [people("s", 9), filled("s", 0), people("t", 10), filled("t", 1)]
    assert outcome(limit, figures(*rows))["row_count"] == 1


def test_a_limit_without_figures_says_nothing() -> None:
    limit = Limit(name="a", metric="fill_share", field="email", at_least=1)
    assert evaluate_limits(Limits(limits=(limit,)), figures(people("s", 9)), NOTHING).is_empty()
    assert evaluate_limits(Limits(), figures(people("s", 9)), NOTHING).is_empty()


def test_whole_tables_and_fields_are_told_apart() -> None:
    tonight = figures(
        ("conformed.people", "s", "", "problem_share", 0.9),
        ("conformed.people", "s", "email", "problem_share", 0.9),
    )
    assert outcome(Limit(name="a", metric="problem_share", at_most=0.5), tonight)["row_count"] == 1
    assert outcome(Limit(name="a", metric="problem_share", field="*", at_most=0.5), tonight)["row_count"] == 1


def test_neither_order_of_rows_nor_of_nights_matters() -> None:
    limit = Limit(name="a", metric="row_count", max_fall=0.1)
    tonight = figures(*(people(f"s{i}", i) for i in range(20)))
    before = pl.concat([night(str(n), *(people(f"s{i}", i + n) for i in range(20))) for n in range(5)])
    limits = Limits(limits=(limit,))
    expected = evaluate_limits(limits, tonight, before)
    for seed in range(3):
        shuffled = [f.sample(fraction=1, shuffle=True, seed=seed) for f in (tonight, before)]
        assert evaluate_limits(limits, *shuffled).equals(expected)

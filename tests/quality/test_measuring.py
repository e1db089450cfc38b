"""Measuring a lake: what is measured, when it is measured anew, and what is compared with what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.config import Config, LimitsConfig
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.night import Night
from crm_hygiene.quality import ENTITIES, SOURCES, measure_stage, measuring
from crm_hygiene.quality.distributions import distributions, measuring_rules
from crm_hygiene.quality.entities import golden_figures
from crm_hygiene.quality.layouts import landing_figures
from crm_hygiene.quality.measuring import Outcome
from crm_hygiene.quality.records import ages, fill_shares, problem_shares
from crm_hygiene.quality.trends import key_figures

PEOPLE = contract_of("conformed.people")
START = datetime(2026, 1, 1, 2, tzinfo=UTC)


def people(rows: list[dict[str, Any]]) -> pl.DataFrame:
    base = {
        "person_kind": "contact",
        "is_deleted": False,
        "file": "f.csv",
        "observed_at": START,
        "landed_at": START,
        "problems": [],
    }
    full = [
        {
            **dict.fromkeys(PEOPLE.column_names),
            **base,
            "source": "s",
            "record_id": f"{i}",
            "row_number": i,
            **r,
        }
        for i, r in enumerate(rows)
    ]
    return pl.DataFrame(full, schema=PEOPLE.schema)


class Measured:
    """A lake whose people are exchanged night by night."""

    def __init__(self, folder: Path, limits: str = "") -> None:
        self.own = folder / "limits.yaml"
        self.limit(limits)
        self.config = Config(base=folder, limits=LimitsConfig(quality=self.own))
        self.lake = Lake(self.config.lake_uri)
        self.day = 0

    def limit(self, text: str) -> None:
        self.own.write_text(text, encoding="utf-8")

    def night(self, rows: list[dict[str, Any]]) -> Outcome:
        self.day += 1
        self.lake.publish(PEOPLE, people(rows), {"run_id": f"run{self.day}", "inputs": f"{self.day}"})
        return self.again()

    def again(self) -> Outcome:
        night = Night.open(self.config, f"run{self.day}")
        night.started_at = START + timedelta(days=self.day)
        return measure_stage(night, SOURCES)

    def read(self, table: str) -> pl.DataFrame:
        return self.lake.read(contract_of(table))


def value(outcome: Outcome, metric: str, column: str = "", source: str = "s") -> float | None:
    found = outcome.figures.filter(
        (pl.col("metric") == metric) & (pl.col("column_name") == column) & (pl.col("source") == source)
    )
    return float(found["metric_value"][0]) if found.height else None


def mails(filled: int, total: int = 200) -> list[dict[str, Any]]:
    return [{"email": f"a{i}@b.example" if i < filled else None} for i in range(total)]


def test_an_unchanged_night_adds_nothing(tmp_path: Path) -> None:
    lake = Measured(tmp_path)
    assert lake.night(mails(100)).is_measured
    tables = ("quality.metrics", "quality.distributions", "quality.limit_results")
    versions = [lake.lake.version(t) for t in tables]
    lake.day += 1
    again = lake.again()
    assert not again.is_measured
    assert value(again, "fill_share", "email") == 0.5
    assert [lake.lake.version(t) for t in tables] == versions


def test_metrics_only_grow_and_each_night_has_its_own(tmp_path: Path) -> None:
    lake = Measured(tmp_path)
    lake.night(mails(100))
    first = lake.read("quality.metrics")
    lake.night(mails(150))
    both = lake.read("quality.metrics")
    assert both.filter(pl.col("run_id") == "run1").equals(first)
    assert both["run_id"].unique().sort().to_list() == ["run1", "run2"]
    key = list(contract_of("quality.metrics").key)
    assert not both.select(key).is_duplicated().any()
    assert {f.name: f.values for f in key_figures(lake.lake)}["source records"] == (200, 200)


def test_a_kill_between_tables_adds_nothing_twice(tmp_path: Path) -> None:
    lake = Measured(tmp_path)
    lake.night(mails(100))
    rows = lake.read("quality.metrics")
    # A run that is carried on after its tables changed under it keeps what it measured first.
    lake.lake.publish(PEOPLE, people(mails(20)), {"run_id": "run1", "inputs": "x"})
    lake.again()
    assert lake.read("quality.metrics").equals(rows)


def test_each_stage_knows_its_own_inputs(tmp_path: Path) -> None:
    lake = Measured(tmp_path)
    lake.night(mails(100))
    night = Night.open(lake.config, "run1")
    night.started_at = START + timedelta(days=1)
    assert measure_stage(night, ENTITIES).is_measured
    assert not measure_stage(night, SOURCES).is_measured
    assert not measure_stage(night, ENTITIES).is_measured


def test_drift_shows_against_the_nights_before(tmp_path: Path) -> None:
    lake = Measured(tmp_path)
    rows: list[dict[str, Any]] = [{"country_code": "DE" if i % 2 else "FR"} for i in range(200)]
    assert value(lake.night(rows), "stability_index", "country_code") is None
    assert value(lake.night([*rows, *rows]), "stability_index", "country_code") == 0
    moved = lake.night([{"country_code": "DE"} for _ in range(200)])
    assert (value(moved, "stability_index", "country_code") or 0) > 0.25
    assert any("distributed otherwise" in line and "country_code of s" in line for line in moved.warnings())


STOP = "limits:\n  - {name: mails, metric: fill_share, field: email, max_fall: 0.5, then: stop}\n"


def test_a_limit_that_stops_stops_until_data_or_limit_change(tmp_path: Path) -> None:
    lake = Measured(tmp_path, STOP)
    assert not lake.night(mails(200)).stopping()
    assert lake.night(mails(10)).stopping()
    assert lake.again().stopping()
    lake.limit(STOP.replace("stop", "warn"))
    relaxed = lake.again()
    assert not relaxed.stopping()
    assert any("mails" in line for line in relaxed.warnings())


def test_a_stopped_night_is_nothing_to_compare_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = measuring_rules().model_copy(update={"baseline_nights": 2})
    monkeypatch.setattr(measuring, "measuring_rules", lambda: rules)
    lake = Measured(tmp_path, STOP)
    lake.night(mails(200))
    for _ in range(3):
        assert lake.night(mails(10, 200 + lake.day)).stopping()
    assert not lake.night(mails(200)).stopping()


def test_results_of_limits_are_kept_when_they_change(tmp_path: Path) -> None:
    lake = Measured(tmp_path, STOP)
    lake.night(mails(200))
    lake.night(mails(10))
    results = lake.read("quality.limit_results").filter(pl.col("check_name") == "mails")
    assert results["is_passed"].to_list() == [True, False]
    assert results["failing"][1].to_list() == ["email of s: 5.0 %, at least 50.0 % (100.0 % before)"]


values = st.fixed_dictionaries(
    {
        "source": st.sampled_from(["s", "t"]),
        "email": st.sampled_from([None, "a@b.example"]),
        "country_code": st.sampled_from([None, "DE", "FR", "GB"]),
        "full_name": st.text(max_size=20),
        "problems": st.lists(st.sampled_from(["email: no address", "phone: too short", "odd"]), max_size=3),
        "observed_at": st.integers(0, 500).map(lambda days: START - timedelta(days=days)),
    }
)


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(values, min_size=1, max_size=12), st.integers(0, 99))
def test_figures_do_not_depend_on_the_order_of_rows(rows: list[dict[str, Any]], seed: int) -> None:
    rules = measuring_rules().model_copy(update={"least_rows": 1})
    frame = people(rows)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
    taken = []
    for given_rows in (frame.lazy(), shuffled.lazy()):
        found = [
            *fill_shares(PEOPLE, given_rows),
            *problem_shares(PEOPLE, given_rows),
            *ages(PEOPLE, given_rows, START),
        ]
        taken.append((pl.concat(found), distributions(PEOPLE, given_rows, rules)))
    assert taken[0][0].equals(taken[1][0])
    assert taken[0][1].equals(taken[1][1])
    whole = taken[0][1].group_by("source", "column_name").agg(pl.col("share").sum())
    assert whole["share"].to_list() == pytest.approx([1.0] * whole.height, abs=1e-4)


def test_buckets_keep_no_personal_data() -> None:
    rules = measuring_rules().model_copy(update={"least_rows": 1})
    rows = [{"full_name": "Ann Lee", "email": "ann@lee.example", "country_code": "DE", "city": "Bonn"}]
    found = distributions(PEOPLE, people(rows).lazy(), rules)
    buckets = dict(found.select("column_name", "bucket").iter_rows())
    assert buckets["full_name"] == "length 4 to 7"
    assert buckets["country_code"] == "DE"
    assert buckets["given_name"] == "(empty)"
    assert not {"Ann Lee", "ann@lee.example"} & set(found["bucket"])


def test_numbers_fall_by_sign_and_digits() -> None:
    contract = contract_of("conformed.payments")
    amounts = ["0", "0.5", "-0.5", "1", "99.99", "-1000", None]
    rows = pl.DataFrame(
        {"source": "s", "amount": pl.Series(amounts, dtype=pl.String)},
    )
    rules = measuring_rules().model_copy(update={"least_rows": 1})
    found = distributions(contract, contract.shape(rows).lazy(), rules)
    mine = found.filter(pl.col("column_name") == "amount")["bucket"].to_list()
    told = ["(empty)", "-4 digits", "-below 1", "0", "1 digits", "2 digits", "below 1"]
    assert sorted(mine) == sorted(told)


def test_problems_are_told_by_field() -> None:
    rows: list[dict[str, Any]] = [{"problems": ["email: no address", "email: again"]}, {}, {}, {}]
    found = pl.concat(problem_shares(PEOPLE, people(rows).lazy()))
    told = {row["column_name"]: row["metric_value"] for row in found.iter_rows(named=True)}
    assert told == {"": 0.25, "email": 0.25}


def files(*rows: tuple[str, int, list[str]]) -> pl.DataFrame:
    listed = [
        {"source": s, "status": "landed", "landed_at": START + timedelta(days=day), "header": header}
        for s, day, header in rows
    ]
    schema = {n: contract_of("landing.files").schema[n] for n in ("source", "status", "landed_at", "header")}
    return pl.DataFrame(listed, schema=schema)


def test_layouts_are_compared_with_the_files_before() -> None:
    landed = files(("s", 0, ["a", "b"]), ("s", 1, ["b", "c ", ""]), ("t", 0, ["x"]))
    found = pl.concat(landing_figures(landed, START))
    told = {tuple(r[:4]): r[4] for r in found.iter_rows()}
    assert told["landing.s", "s", "c", "column_appeared"] == 1
    assert told["landing.s", "s", "a", "column_vanished"] == 1
    assert told["landing.s", "s", "", "columns_vanished"] == 1
    assert told["landing.t", "t", "", "columns_vanished"] == 0
    assert told["landing.t", "t", "", "days_since_landing"] == 1


def test_a_first_night_has_no_layout_to_compare_with() -> None:
    found = pl.concat(landing_figures(files(("s", 0, ["a"])), None))
    assert found["metric"].to_list() == ["days_since_landing"]
    assert landing_figures(files(), None) == []


def test_golden_scores_are_summed_up() -> None:
    contract = contract_of("golden.contacts")
    scores = [
        {"entity_id": f"e{i}", "quality_score": q, "uniqueness_score": 1.0} for i, q in enumerate([0.3, 0.7])
    ]
    rows = contract.shape(pl.DataFrame(scores)).lazy()
    found = pl.concat(golden_figures(contract, rows))
    told = {(r["metric"], r["column_name"]): r["metric_value"] for r in found.iter_rows(named=True)}
    assert told["mean_score", "quality_score"] == 0.5
    assert told["low_score_share", ""] == 0.5
    assert ("mean_score", "validity_score") not in told

"""Uniqueness: the chance that a golden row has no unmerged duplicate."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.golden.quality_score import PARTS, add_scores, uniqueness
from crm_hygiene.survivorship import load_rules

from . import records as r

Asked = list[tuple[str, str, float | None]]

entities = st.sampled_from(["A", "B", "C", "D"])
asked = st.lists(st.tuples(entities, entities, st.none() | st.floats(0, 1)), max_size=12)


def questions(rows: Asked) -> pl.DataFrame:
    schema = {"entity_id_l": pl.String, "entity_id_r": pl.String, "match_probability": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def scores(rows: Asked) -> dict[str, float]:
    return dict(uniqueness(questions(rows)).iter_rows())


def test_each_doubtful_neighbour_lowers_it() -> None:
    assert scores([("A", "B", 0.5), ("C", "A", 0.2)]) == {"A": 0.4, "B": 0.5, "C": 0.8}


def test_two_questions_about_the_same_two_count_once() -> None:
    assert scores([("A", "B", 0.5), ("B", "A", 0.3)]) == {"A": 0.5, "B": 0.5}


def test_held_back_clusters_and_questions_within_an_entity_do_not_count() -> None:
    assert scores([("A", "A", 0.9), ("A", "B", None)]) == {}


@given(asked, st.randoms(use_true_random=False))
def test_it_is_a_chance_and_no_order_changes_it(rows: Asked, random: object) -> None:
    found = scores(rows)
    assert all(0 <= score <= 1 for score in found.values())
    assert scores([(b, a, p) for a, b, p in reversed(rows)]) == found


@given(asked, entities, entities, st.floats(0, 1))
def test_another_question_never_raises_it(rows: Asked, a: str, b: str, p: float) -> None:
    before, after = scores(rows), scores([*rows, (a, b, p)])
    assert all(after[e] <= before[e] + 1e-9 for e in before)


def test_the_quality_score_is_the_mean_of_five_parts() -> None:
    rules = load_rules().contacts
    columns = {name: ["x"] for name in rules.important}
    frame = pl.DataFrame(
        {
            **columns,
            "entity_id": ["A"],
            "validity_score": [1.0],
            "consistency_score": [0.5],
            "last_seen_at": [r.AS_OF],
        }
    )
    row = add_scores(frame, rules, r.AS_OF, uniqueness(questions([("A", "B", 0.6)]))).row(0, named=True)
    assert row["uniqueness_score"] == 0.4
    assert row["quality_score"] == pytest.approx(sum(row[part] for part in PARTS) / 5, abs=1e-4)
    assert add_scores(frame, rules, r.AS_OF)["uniqueness_score"].to_list() == [1.0]

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.signals import load_signal_rules, measure_strength, score_leads

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


def frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    contract = contract_of(table)
    filled = [{name: row.get(name) for name in contract.column_names} for row in rows]
    return pl.DataFrame(filled, schema=contract.schema, orient="row")


def contacts(*rows: dict[str, Any]) -> pl.DataFrame:
    return frame("golden.contacts", list(rows))


def leads(*rows: dict[str, Any]) -> pl.DataFrame:
    made = [{"source": "s", "record_id": str(n), "person_kind": "lead", **r} for n, r in enumerate(rows)]
    return frame("golden.leads", made)


def activities(*rows: tuple[str, str, float]) -> pl.LazyFrame:
    made = [
        {
            "source": "s",
            "record_id": str(n),
            "person_entity_id": entity,
            "interaction_kind": kind,
            "occurred_at": AS_OF - timedelta(days=age),
        }
        for n, (entity, kind, age) in enumerate(rows)
    ]
    return frame("golden.activities", made).lazy()


def test_a_score_is_the_sum_of_parts_that_anyone_can_check() -> None:
    people = contacts(
        {"entity_id": "P1", "email": "a@b.co", "job_title": "Sales Director", "account_entity_id": "O1"}
    )
    asked = leads(
        {"person_entity_id": "P1", "created_at": AS_OF - timedelta(days=400)},
        {"person_entity_id": "P1", "person_kind": "inquiry", "created_at": AS_OF - timedelta(days=30)},
    )
    done = activities(("P1", "form_submit", 0), ("P1", "click", 30), ("P2", "meeting", 0))
    row = score_leads(people, asked, done, AS_OF).row(0, named=True)
    assert json.loads(row["score_parts"]) == {
        "email": 5,
        "phone": 0,
        "job_title": 5,
        "account": 10,
        "seniority": 10,
        "kind": 15,
        "newness": 8,  # 15 points halved once
        "engagement": 12,  # 10 + 3 / 2, rounded
    }
    assert row["lead_score"] == 65


def test_engagement_stays_between_nothing_and_its_maximum() -> None:
    people, asked = contacts({"entity_id": "P1"}), leads({"person_entity_id": "P1"})
    hot = score_leads(people, asked, activities(*[("P1", "meeting", 0)] * 9), AS_OF)
    cold = score_leads(people, asked, activities(("P1", "unsubscribe", 0)), AS_OF)
    assert json.loads(hot["score_parts"][0])["engagement"] == 30
    assert json.loads(cold["score_parts"][0])["engagement"] == 0


def test_a_word_of_seniority_is_a_whole_word() -> None:
    people = contacts(
        {"entity_id": "P1", "job_title": "Spaceovpilot"}, {"entity_id": "P2", "job_title": "VP, Sales"}
    )
    asked = leads({"person_entity_id": "P1"}, {"person_entity_id": "P2"})
    parts = [
        json.loads(p)["seniority"] for p in score_leads(people, asked, activities(), AS_OF)["score_parts"]
    ]
    assert parts == [0, 12]


def test_strength_is_one_minus_exp_of_the_decayed_sum() -> None:
    people = contacts({"entity_id": "P1", "account_entity_id": "O1"}, {"entity_id": "P2"})
    done = activities(("P1", "meeting", 60), ("P1", "call", 0), ("P1", "knock", 0), ("P3", "call", 0))
    found = measure_strength(people, done, AS_OF).rows(named=True)
    assert found == [
        {
            "entity_id": "P1",
            "account_entity_id": "O1",
            "strength": round(1 - math.exp(-(1.0 / 2 + 0.6)), 6),
            "interaction_count": 3,
            "last_interaction_at": AS_OF,
        }
    ]


_events = st.lists(
    st.tuples(
        st.sampled_from(["P1", "P2"]),
        st.sampled_from(["meeting", "call", "click", "open", "sent", "unsubscribe"]),
        st.floats(-5, 2000),
    ),
    max_size=30,
)


@given(_events, st.integers(0, 99))
@settings(max_examples=examples(30), deadline=None)
def test_signals_are_bounded_and_do_not_depend_on_the_order_of_rows(
    events: list[tuple[str, str, float]], seed: int
) -> None:
    people = contacts({"entity_id": "P1", "phone": "+491"}, {"entity_id": "P2", "job_title": "CEO"})
    asked = leads({"person_entity_id": "P1", "created_at": AS_OF}, {"person_entity_id": "P2"})
    done = activities(*events)
    shuffled = done.collect().sample(fraction=1, shuffle=True, seed=seed).lazy()
    scores, strengths = score_leads(people, asked, done, AS_OF), measure_strength(people, done, AS_OF)
    assert_frame_equal(scores, score_leads(people, asked.reverse(), shuffled, AS_OF))
    assert_frame_equal(strengths, measure_strength(people.reverse(), shuffled, AS_OF), check_exact=True)
    for score, parts in scores.select("lead_score", "score_parts").iter_rows():
        assert score == sum(json.loads(parts).values())
        assert 0 <= score <= 100
    assert strengths["strength"].is_between(0, 1).all()
    assert scores.schema == contract_of("signals.lead_scores").schema
    assert strengths.schema == contract_of("signals.relationship_strength").schema


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lead_scor: {}", ":1: unknown key 'lead_scor'; did you mean 'lead_score'"),
        (
            "lead_score: {kind: {inquirey: 3}}",
            "unknown key 'lead_score.kind.inquirey'; did you mean 'inquiry'",
        ),
        ("lead_score: {kind: {inquiry: 90}}", "can reach 175 points"),
        ("relationship_strength: {half_life_days: 0}", "greater than 0"),
        ("lead_score: 3", "expected a mapping"),
        ("lead_score: {", "not readable as YAML"),
    ],
)
def test_wrong_rules_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "signals.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"signals\.yaml") as caught:
        load_signal_rules(path)
    assert message in str(caught.value)


def test_rules_are_overridden_key_by_key(tmp_path: Path) -> None:
    path = tmp_path / "signals.yaml"
    path.write_text("lead_score: {kind: {inquiry: 1}}", encoding="utf-8")
    default, own = load_signal_rules(), load_signal_rules(path)
    assert (own.lead_score.kind.inquiry, own.lead_score.kind.lead) == (1, 8)
    assert own.relationship_strength == default.relationship_strength
    assert own.fingerprint != default.fingerprint

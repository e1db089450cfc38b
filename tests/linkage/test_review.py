from __future__ import annotations

from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.linkage.review import QUESTIONS_SCHEMA, questions, review_queue
from crm_hygiene.linkage.stakes import count_references, stakes

PAIR = pl.Schema(
    {
        "source_l": pl.String(),
        "record_id_l": pl.String(),
        "source_r": pl.String(),
        "record_id_r": pl.String(),
        "match_weight": pl.Float64(),
        "match_probability": pl.Float64(),
        "judgement": pl.String(),
        "cluster_l": pl.Int64(),
        "cluster_r": pl.Int64(),
    }
)


def pairs(*rows: tuple[int, int, float | None, str | None]) -> pl.DataFrame:
    """Pairs of records named by their cluster and a letter of no meaning."""
    return pl.DataFrame(
        [("s", f"r{a}", "s", f"r{b}", 1.0, p, judgement, a, b) for a, b, p, judgement in rows],
        schema=PAIR,
        orient="row",
    )


def answered(*rows: tuple[int, int, str]) -> pl.DataFrame:
    both = [row for a, b, judgement in rows for row in ((a, b, judgement), (b, a, judgement))]
    schema = {"cluster_l": pl.Int64(), "cluster_r": pl.Int64(), "judgement": pl.String()}
    return pl.DataFrame(both, schema=schema, orient="row")


def members(count: int = 6) -> pl.DataFrame:
    return pl.DataFrame([{"source": "s", "record_id": f"r{i}", "entity_id": f"P-{i}"} for i in range(count)])


def ask(**given: Any) -> pl.DataFrame:
    nobody = pl.DataFrame(schema={"source_l": pl.String(), "record_id_l": pl.String()})
    defaults = {"doubtful": pairs(), "refused": pairs(), "cut": pairs(), "suspects": nobody}
    return questions("person", **{**defaults, "answered": answered(), "members": members(), **given})


def test_two_clusters_are_asked_about_once_with_the_best_pair() -> None:
    asked = ask(doubtful=pairs((0, 1, 0.6, None), (1, 0, 0.9, None), (2, 3, 0.7, None)))
    assert sorted(asked["match_probability"]) == [0.7, 0.9]
    assert asked.schema == QUESTIONS_SCHEMA == contract_of("linked.questions").schema


def test_what_a_binding_judgement_answered_does_not_come_again() -> None:
    doubtful = pairs((0, 1, 0.6, None), (2, 3, 0.7, None), (4, 5, 0.8, None))
    asked = ask(doubtful=doubtful, answered=answered((1, 0, "unsure"), (2, 3, "different")))
    assert asked["record_id_l"].to_list() == ["r4"]
    assert ask(doubtful=doubtful).height == 3


def test_a_refused_same_is_asked_about_until_it_is_revoked() -> None:
    refused = pairs((0, 1, 0.99, None), (0, 1, None, "same"))
    asked = ask(refused=refused, answered=answered((0, 1, "same"), (0, 1, "different")))
    assert asked["question_kind"].to_list() == ["conflict"]
    assert asked["question"].str.contains("another judgement").all()
    assert ask(refused=pairs((0, 1, 0.99, None)), answered=answered((0, 1, "unsure"))).is_empty()


def test_bridges_and_suspects_have_their_own_words() -> None:
    suspects = pl.DataFrame({"source_l": ["s"], "record_id_l": ["r5"]})
    asked = ask(cut=pairs((0, 1, 0.99, None)), suspects=suspects)
    assert sorted(asked["question_kind"]) == ["conflict", "suspect"]
    assert asked["uncertainty"].to_list() == [1.0, 1.0]


def test_the_queue_is_ranked_by_uncertainty_times_what_hangs_on_it() -> None:
    asked = ask(doubtful=pairs((0, 1, 0.5, None), (2, 3, 0.9, None)))
    interactions = pl.LazyFrame({"source": ["s"] * 9 + ["other"], "person_record_id": ["r3"] * 9 + ["r0"]})
    counted = count_references(interactions, "person_record_id")
    worth = stakes(members(), {("conformed.interactions", "person_record_id"): counted}, {"s": "s"})
    queue, notes = review_queue(asked, {"person": worth}, 10)
    assert queue.select("record_id_l", "stake").rows() == [("r2", 11.0), ("r0", 2.0)]
    assert queue["priority"].to_list() == [2.2, 2.0]
    assert not notes
    assert set(queue.columns) == set(contract_of("stewardship.review_queue").column_names)
    short, notes = review_queue(asked, {"person": worth}, 1)
    assert short.height == 1
    assert "2 questions, the 1 most valuable" in notes[0]


def test_deleted_opportunities_weigh_nothing() -> None:
    rows = pl.LazyFrame({"source": ["s", "s"], "is_deleted": [True, False], "person_record_id": ["a", "a"]})
    assert count_references(rows, "person_record_id")["n"].to_list() == [1]

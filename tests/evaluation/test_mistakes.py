"""The costliest mistakes: complete, in order, each explained by a pair that is really there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
from linkage.explained_lake import ExplainedLake

from crm_hygiene.evaluation.accuracy import pairwise
from crm_hygiene.evaluation.mistakes import Mistake, costliest_mistakes


def crowd_truth(members: pl.DataFrame) -> pl.DataFrame:
    """c012 and w012 are one person; the thirty colleagues are thirty."""
    number = pl.col("record_id").str.extract(r"(\d+)")
    is_colleague = pl.col("record_id").str.starts_with("s")
    return members.select(
        CLUSTER_ID=pl.when(is_colleague).then("record_id").otherwise(number),
        RECORD_ID="record_id",
        DATA_SOURCE="source",
    )


def mistakes_of(lake: ExplainedLake, truth: pl.DataFrame, limit: int = 1000) -> list[Mistake]:
    return costliest_mistakes(lake.night(), "person", lake.read("linked.person_members"), truth, limit)


def relabelled(truth: pl.DataFrame, labels: dict[str, str]) -> pl.DataFrame:
    return truth.with_columns(
        CLUSTER_ID=pl.col("RECORD_ID").replace_strict(labels, default=pl.col("CLUSTER_ID"))
    )


def test_all_mistakes_together_are_all_wrong_pairs(explained: ExplainedLake) -> None:
    members = explained.read("linked.person_members")
    truth = crowd_truth(members)
    truth = relabelled(truth, {"c100": "101", "c090": "95", "c091": "95", "c092": "95"})
    found = mistakes_of(explained, truth)
    accuracy = pairwise(members, truth)
    assert (
        sum(m.wrong_pairs for m in found if m.what == "merged")
        == accuracy.predicted_pairs - accuracy.correct_pairs
    )
    assert (
        sum(m.wrong_pairs for m in found if m.what == "torn") == accuracy.true_pairs - accuracy.correct_pairs
    )
    assert [m.wrong_pairs for m in found] == sorted((m.wrong_pairs for m in found), reverse=True)
    assert mistakes_of(explained, truth, 2) == found[:2]
    shuffled = truth.sample(fraction=1, shuffle=True, seed=3)
    assert mistakes_of(explained, shuffled, 3) == found[:3]


def test_a_false_merge_is_explained_by_a_link_across(explained: ExplainedLake) -> None:
    members = explained.read("linked.person_members")
    pair = (
        explained.read("linked.person_pairs")
        .filter("is_link", pl.col("method") == "model", pl.col("record_id_l").str.starts_with("c"))
        .row(0, named=True)
    )
    truth = relabelled(crowd_truth(members), {pair["record_id_r"]: "somebody else"})
    (found,) = [m for m in mistakes_of(explained, truth) if "somebody else" in m.cluster_ids]
    assert (found.what, found.part_sizes, found.wrong_pairs) == ("merged", (1, 1), 1)
    assert found.explanation is not None
    assert found.explanation.is_link
    assert {found.explanation.record_l[1], found.explanation.record_r[1]} == {
        pair["record_id_l"],
        pair["record_id_r"],
    }
    assert found.reason.startswith("The link that joined them")
    assert "2 true clusters (1 + 1 records, 1 false pair)" in found.headline()


def test_a_decision_that_joins_two_people_is_named(explained: ExplainedLake) -> None:
    found = [
        m
        for m in mistakes_of(explained, crowd_truth(explained.read("linked.person_members")))
        if m.what == "merged"
    ]
    judged = [m for m in found if "a steward decided" in m.reason]
    assert len(judged) == 1
    assert judged[0].explanation is not None
    assert judged[0].explanation.judgement == "same"


def test_a_pair_that_blocking_does_not_propose_is_said_to_be_never_compared(explained: ExplainedLake) -> None:
    members = explained.read("linked.person_members")
    lone = [
        r for r in members.filter(pl.len().over("entity_id") == 1)["record_id"].sort() if r.startswith("s")
    ][2:4]
    truth = relabelled(crowd_truth(members), {lone[0]: "one", lone[1]: "one"})
    (found,) = [m for m in mistakes_of(explained, truth) if m.cluster_ids == ("one",)]
    assert (found.what, len(found.entity_ids), found.wrong_pairs) == ("torn", 2, 1)
    assert found.explanation is not None
    if not found.explanation.blocking_rules:
        assert "never compared" in found.reason
    assert not found.explanation.is_one_entity


def test_records_without_an_entity_are_pieces_that_cannot_be_compared(explained: ExplainedLake) -> None:
    members = explained.read("linked.person_members")
    gone = pl.DataFrame(
        {"CLUSTER_ID": ["x", "x"], "RECORD_ID": ["no", "none"], "DATA_SOURCE": ["web", "web"]}
    )
    found = mistakes_of(explained, pl.concat([crowd_truth(members), gone]))
    (alone,) = [m for m in found if m.cluster_ids == ("x",)]
    assert (alone.entity_ids, alone.part_sizes, alone.explanation) == ((), (1, 1), None)
    assert "refused, deleted or never landed" in alone.reason
    assert "2 records without one" in alone.headline()


def test_the_command_prints_figures_and_mistakes(
    explained: ExplainedLake,
    tmp_path: Path,
    front_door: Callable[..., tuple[int, str, str]],
) -> None:
    path = tmp_path / "truth.csv"
    truth = crowd_truth(explained.read("linked.person_members"))
    gone = pl.DataFrame({"CLUSTER_ID": ["x[red]"], "RECORD_ID": ["none"], "DATA_SOURCE": ["web"]})
    pl.concat([truth, gone]).write_csv(path)
    asked = ["--truth", str(path), "--config", str(explained.folder / "hygiene.yaml"), "--mistakes", "1"]
    code, out, _ = front_door("evaluate", *asked)
    assert code == 0
    assert "web:none (cluster x[red])" in out
    assert "1. " in out
    assert "2. " not in out
    code, out, _ = front_door("evaluate", *asked, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["kind"] == "person"
    assert document["missing_records"] == 1 == len(document["missing"])
    assert len(document["mistakes"]) == 1
    code, _, err = front_door("evaluate", *asked, "--kind", "organisation")
    assert code == 2
    assert "try --kind person" in err


def test_the_command_refuses_an_unknown_file(
    explained: ExplainedLake, front_door: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, err = front_door(
        "evaluate", "--truth", "gone.csv", "--config", str(explained.folder / "hygiene.yaml")
    )
    assert code == 2
    assert "gone.csv: no such file" in err

"""Deciding and taking back: what is written, what binds, what is refused without a trace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.records import written
from crm_hygiene.night import Night
from crm_hygiene.stewardship.act import Act, Judgement, decide, judged
from crm_hygiene.stewardship.log import DecisionLog
from crm_hygiene.stewardship.questions import kept_apart_by, open_questions, read_questions
from crm_hygiene.stewardship.revocation import revoke
from crm_hygiene.stewardship.suggestions import UnknownTarget
from crm_hygiene.stewardship.targets import question_row, resolve_targets

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)


def say(night: Night, judgement: Judgement, *words: str, by: str = "ann", is_cluster: bool = False) -> Act:
    targets = resolve_targets(night, words, is_cluster=is_cluster)
    return decide(night, judged(targets, judgement, "because"), by, NOW)


def stands(night: Night) -> dict[tuple[str, str], str]:
    return {
        (written(left), written(right)): row["judgement"]
        for (_, left, right), row in DecisionLog.read(night.lake).standing().items()
    }


def test_a_question_is_decided_with_who_when_and_why(night: Night) -> None:
    act = say(night, "same", "aaaa")
    row = DecisionLog.read(night.lake).frame.row(0, named=True)
    assert (row["decided_by"], row["decided_at"], row["reason"]) == ("ann", NOW, "because")
    assert row["decision_group"] == act.group
    assert stands(night) == {("crm:1", "crm:3"): "same"}
    assert act.consequences == ("P-ann and P-bob become one person",)
    queue = open_questions(night.lake)
    assert [q.review_id[:4] for q in queue.questions] == ["cccc", "aaab"]
    assert queue.settled == 1


def test_a_record_id_may_hold_a_colon(night: Night) -> None:
    say(night, "same", "web:a:1", "crm:1")
    assert stands(night) == {("crm:1", "web:a:1"): "same"}


def test_deciding_twice_adds_one_row(night: Night) -> None:
    say(night, "same", "crm:1", "web:d")
    act = say(night, "same", "web:d", "crm:1", by="bob")
    assert act.rows.is_empty()
    assert [row["decided_by"] for row in act.repeated] == ["ann"]
    assert DecisionLog.read(night.lake).frame.height == 1


def test_the_newest_binds_even_where_the_clock_went_back(night: Night) -> None:
    first = say(night, "same", "crm:1", "web:d")
    targets = resolve_targets(night, ["crm:1", "web:d"])
    second = decide(night, judged(targets, "different", None), "bob", NOW - timedelta(days=1))
    assert [row["decision_id"] for row in second.overridden] == first.rows["decision_id"].to_list()
    assert stands(night) == {("crm:1", "web:d"): "different"}
    assert DecisionLog.read(night.lake).frame.height == 2


def test_whole_entities_stay_together_when_any_one_record_goes(night: Night) -> None:
    say(night, "same", "P-ann", "P-bob")
    pairs = set(stands(night))
    assert pairs == {
        ("crm:1", "crm:3"), ("crm:2", "crm:3"), ("crm:3", "web:a:1"), ("crm:1", "web:b"),
    }  # fmt: skip
    for gone in {record for pair in pairs for record in pair}:
        rest = [pair for pair in pairs if gone not in pair]
        assert any({left, right} & {"crm:3", "web:b"} for left, right in rest)


def test_several_records_hold_without_any_one_of_them(night: Night) -> None:
    words = ["crm:1", "crm:3", "crm:007", "web:d"]
    targets = resolve_targets(night, words, "person")
    decide(night, judged(targets, "same", None), "ann", NOW)
    pairs = list(stands(night))
    for gone in words:
        reached = {next(w for w in words if w != gone)}
        for _ in words:
            reached |= {r for pair in pairs if gone not in pair and reached & set(pair) for r in pair}
        assert reached == set(words) - {gone}


def test_entities_called_different_keep_every_record_apart(night: Night) -> None:
    say(night, "different", "P-ann", "P-bob")
    assert len(stands(night)) == 6


def test_a_record_is_taken_out_of_its_entity(night: Night) -> None:
    act = say(night, "different", "P-ann", "web:a:1")
    assert stands(night) == {("crm:1", "web:a:1"): "different", ("crm:2", "web:a:1"): "different"}
    assert act.consequences == ("P-ann comes apart: 3 of its records are kept apart",)


def test_an_alias_stands_for_the_entity_it_became(night: Night) -> None:
    targets = resolve_targets(night, ["P-old", "P-bob"])
    assert [group.label for group in targets.subjects[0].groups] == ["P-ann", "P-bob"]
    assert "merged into P-ann" in targets.notes[0]
    with pytest.raises(ConfigurationError, match="are one person now"):
        resolve_targets(night, ["P-old", "P-ann"])


def test_any_judgement_between_two_entities_answers_the_question_about_them(night: Night) -> None:
    say(night, "unsure", "crm:2", "web:b")
    assert "aaaa000000000001" not in [q.review_id for q in open_questions(night.lake).questions]


def test_a_conflict_names_what_keeps_the_records_apart(night: Night) -> None:
    act = say(night, "different", "crm:2", "web:b")
    log = DecisionLog.read(night.lake)
    (question,) = read_questions(night.lake, [question_row(night.lake, "aaaa")], log)
    (row,) = kept_apart_by(night.lake, log, question)
    assert row["decision_id"] == act.rows["decision_id"][0]


def test_a_suspect_cluster_is_confirmed_as_one(night: Night) -> None:
    with pytest.raises(ConfigurationError, match="--cluster cccc"):
        say(night, "same", "cccc")
    say(night, "same", "cccc", is_cluster=True)
    assert stands(night) == {("crm:007", "web:d"): "same"}


def test_a_contradiction_through_a_third_record_is_taken_and_told(night: Night) -> None:
    say(night, "same", "crm:1", "web:b")
    say(night, "same", "web:b", "web:d")
    act = say(night, "different", "crm:1", "web:d")
    (conflict,) = act.contradictions
    assert [written(record) for record in conflict.chain] == ["crm:1", "web:b", "web:d"]
    assert "Kept apart wins" in conflict.text()
    assert len(stands(night)) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["zzzz"], "no question 'zzzz'"),
        (["crm:11", "crm:3"], "no record crm:11; nearest: 1"),
        (["cmr:1", "crm:3"], "no source 'cmr'.*crm"),
        (["crm:gone", "web:d"], "crm:gone was deleted in its source"),
        (["P-anm", "P-bob"], "no person 'P-anm'; nearest: P-ann"),
        (["P-dead", "P-bob"], "P-dead is a tombstone"),
        (["P-ann", "O-acme"], "a person and an organisation cannot"),
        (["crm:1", "crm_accounts:o1"], "a person and an organisation cannot"),
        (["crm:3", "crm:007"], "both a person and an organisation record; say which with --kind"),
        (["crm:1"], "at least two"),
        (["crm:1", "crm:1"], "at least two"),
        ([":1", "crm:1"], "write it source:record_id"),
        (["aaaa", "crm:1"], "decide them one by one"),
        (["aaa"], "no question 'aaa'"),
    ],
)
def test_what_cannot_be_judged_is_refused_and_nothing_is_written(
    night: Night, words: list[str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        say(night, "same", *words)
    assert not night.lake.exists("stewardship.decisions")


def test_two_large_entities_are_not_kept_apart_pair_by_pair(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_hygiene.stewardship.pairing.MOST_PAIRS", 5)
    with pytest.raises(ConfigurationError, match=r"takes 6 judgements, more than 5"):
        say(night, "different", "P-ann", "P-bob")


def test_revoking_lets_the_older_decision_bind_again(night: Night) -> None:
    say(night, "same", "crm:1", "web:d")
    act = say(night, "different", "crm:1", "web:d")
    done = revoke(night, act.group or "", "a slip", "bob", NOW)
    assert [row["judgement"] for row in done.standing_again] == ["same"]
    assert stands(night) == {("crm:1", "web:d"): "same"}
    assert DecisionLog.read(night.lake).frame.height == 3


def test_a_whole_act_is_taken_back_and_only_once(night: Night) -> None:
    act = say(night, "different", "P-ann", "P-bob")
    one = act.rows["decision_id"][0]
    assert len(revoke(night, one, None, "bob", NOW).revoked) == 1
    rest = revoke(night, act.group or "", None, "bob", NOW)
    assert (len(rest.revoked), len(rest.already)) == (5, 1)
    again = revoke(night, act.group or "", None, "bob", NOW)
    assert again.rows.is_empty()
    assert len(again.already) == 6
    assert stands(night) == {}
    with pytest.raises(ConfigurationError, match="is a revocation"):
        revoke(night, rest.rows["decision_id"][0], None, "bob", NOW)
    with pytest.raises(UnknownTarget, match="no decision"):
        revoke(night, "D-nothing", None, "bob", NOW)


def test_the_log_keeps_to_its_contract(night: Night) -> None:
    say(night, "unsure", "aaaa", "aaab")
    frame = DecisionLog.read(night.lake).frame
    contract = contract_of("stewardship.decisions")
    assert frame.schema == contract.schema
    assert frame["decision_group"].n_unique() == 1
    assert all(frame[name].null_count() == 0 for name in (*contract.key, *contract.required))

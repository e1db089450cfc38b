"""Creates in a real Tryton: found again by their code, made once, taken back only as they were made."""

from __future__ import annotations

from typing import Any

import pytest

from crm_hygiene.writeback.operations import Operation, Outcome
from crm_hygiene.writeback.target import AnswerLost
from crm_hygiene.writeback.targets.tryton import TrytonTarget
from crm_hygiene.writeback.targets.tryton_rpc import TrytonSession

PARTY = "party.party"


def create(code: str, **after: str | None) -> Operation:
    return Operation(f"c{code}", "create", PARTY, None, {}, after, external_id=("code", code))


def test_a_create_is_found_by_its_code_and_never_made_twice(target: TrytonTarget) -> None:
    operation = create("E-1", name="Berger KG", email="kontor@berger.example", city="Münster", country="DE")
    (first,) = target.send([operation])
    (again,) = target.send([operation])
    assert (first.outcome, again.outcome, again.code) == (Outcome.DONE, Outcome.DONE, "found")
    assert first.record_id == again.record_id
    assert target.find(PARTY, "code", ["E-1", "E-9"]) == {"E-1": first.record_id}
    held = target.read(PARTY, [first.record_id or ""], ["name", "email", "city", "country"])
    assert held[first.record_id or ""].values == operation.after


def test_half_a_batch_refused_leaves_the_other_half_made(target: TrytonTarget) -> None:
    operations = [
        create(f"E-2{n}", name=f"N{n}", phone="+493012345678" if n % 2 else "000") for n in range(6)
    ]
    answers = target.send(operations)
    assert [a.outcome for a in answers] == [Outcome.REFUSED, Outcome.DONE] * 3
    assert set(target.find(PARTY, "code", [f"E-2{n}" for n in range(6)])) == {"E-21", "E-23", "E-25"}
    assert not any("000" in a.message for a in answers)


def test_a_create_is_taken_back_unless_somebody_changed_it(
    target: TrytonTarget, admin: TrytonSession
) -> None:
    kept, gone = target.send([create("E-31", name="Kept"), create("E-32", name="Gone")])
    admin.call("model.party.party.write", [int(kept.record_id or 0)], {"name": "Theirs"}, changes=True)

    def delete(record_id: str | None, name: str) -> Operation:
        return Operation(f"d{record_id}", "delete", PARTY, record_id, before={"name": name})

    answers = target.send([delete(kept.record_id, "Kept"), delete(gone.record_id, "Gone")])
    assert [a.outcome for a in answers] == [Outcome.CONFLICT, Outcome.DONE]
    assert set(target.find(PARTY, "code", ["E-31", "E-32"])) == {"E-31"}
    (again,) = target.send([delete(gone.record_id, "Gone")])
    assert (again.outcome, again.code) == (Outcome.DONE, "gone")


def test_what_others_refer_to_is_not_deleted(target: TrytonTarget, admin: TrytonSession) -> None:
    (made,) = target.send([create("E-41", name="Referred")])
    opportunity = {"party": int(made.record_id or 0), "description": "keeps it"}
    admin.call("model.sale.opportunity.create", [opportunity], changes=True)
    (answer,) = target.send([Operation("d", "delete", PARTY, made.record_id, before={"name": "Referred"})])
    assert (answer.outcome, answer.code) == (Outcome.REFUSED, "referenced")
    assert answer.message == "a record of sale.opportunity refers to it"
    assert set(target.find(PARTY, "code", ["E-41"])) == {"E-41"}


def test_a_create_without_a_key_is_refused(target: TrytonTarget) -> None:
    (answer,) = target.send([Operation("c", "create", PARTY, None, {}, {"name": "N"})])
    assert (answer.outcome, answer.code) == (Outcome.REFUSED, "unfit")


def test_an_answer_lost_after_tryton_committed_is_found_and_not_made_again(
    target: TrytonTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = create("E-51", name="Committed")
    call = target.session.call

    def cut(method: str, *params: Any, **named: Any) -> Any:
        result = call(method, *params, **named)
        if named.get("changes"):
            raise AnswerLost("cut")
        return result

    monkeypatch.setattr(target.session, "call", cut)
    with pytest.raises(AnswerLost):
        target.send([operation])
    monkeypatch.undo()
    found = target.find(PARTY, "code", ["E-51"])
    (again,) = target.send([operation])
    assert (again.code, again.record_id) == ("found", found["E-51"])
    rows = target.session.call(
        "model.party.party.search_read", [["name", "=", "Committed"]], 0, None, None, ["id"]
    )
    assert len(rows) == 1


def test_when_the_way_breaks_amid_a_batch_what_was_answered_is_kept_and_the_rest_is_uncertain(
    target: TrytonTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations = [create(f"E-6{n}", name=f"N{n}", phone="000" if n == 3 else None) for n in range(4)]
    call = target.session.call
    made: list[str] = []

    def cut_after_the_first(method: str, *params: Any, **named: Any) -> Any:
        if named.get("changes") and made:
            raise AnswerLost("cut")
        result = call(method, *params, **named)
        if named.get("changes"):
            made.append(method)
        return result

    monkeypatch.setattr(target.session, "call", cut_after_the_first)
    answers = target.send(operations)
    assert [a.outcome for a in answers] == [Outcome.DONE, Outcome.DONE, Outcome.UNCERTAIN, Outcome.UNCERTAIN]

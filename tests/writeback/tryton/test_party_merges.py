"""Merges in a real Tryton: children follow, losers are retired, and all of it can be taken back."""

from __future__ import annotations

from dataclasses import replace

from crm_hygiene.writeback.operations import Child, Operation, Outcome
from crm_hygiene.writeback.targets.tryton import TrytonTarget
from crm_hygiene.writeback.targets.tryton_rpc import TrytonSession

from .conftest import Make

PARTY, OPPORTUNITY = "party.party", "sale.opportunity"


def opportunity(session: TrytonSession, party: str, **also: object) -> str:
    values = {"party": int(party), "description": "Heat pumps", **also}
    return str(session.call(f"model.{OPPORTUNITY}.create", [values], changes=True)[0])


def parent(target: TrytonTarget, record_id: str) -> str | None:
    return target.read(OPPORTUNITY, [record_id], ["party"])[record_id].values["party"]


def merge(survivor: str, loser: str, *opportunities: str) -> Operation:
    children = tuple(Child(OPPORTUNITY, o, "party") for o in opportunities)
    return Operation(f"m{loser}", "merge", PARTY, survivor, losers=(loser,), children=children)


def test_merge_and_unmerge(target: TrytonTarget, make: Make, admin: TrytonSession) -> None:
    survivor, loser = make("Berger KG"), make("berger kg", ways={"email": "kontor@berger.example"})
    child, own = opportunity(admin, loser), opportunity(admin, survivor)
    operation = merge(survivor, loser, child)
    (done,) = target.send([operation])
    assert (done.outcome, done.message) == (Outcome.DONE, "")
    assert parent(target, child) == survivor
    held = target.read(PARTY, [survivor, loser], ["replaced_by", "email"])
    assert (held[survivor].is_deleted, held[loser].is_deleted) == (False, True)
    assert held[loser].values == {"replaced_by": survivor, "email": "kontor@berger.example"}
    assert target.send([operation])[0].outcome is Outcome.DONE

    (back,) = target.send([replace(operation, kind="unmerge")])
    assert (back.outcome, back.message) == (Outcome.DONE, "")
    assert (parent(target, child), parent(target, own)) == (loser, survivor)
    held = target.read(PARTY, [loser], ["replaced_by"])
    assert (held[loser].is_deleted, held[loser].values) == (False, {"replaced_by": None})


def test_a_child_moved_elsewhere_is_a_conflict_and_nothing_is_merged(
    target: TrytonTarget, make: Make, admin: TrytonSession
) -> None:
    survivor, loser, other = make("A"), make("B"), make("C")
    stays, moved = opportunity(admin, loser), opportunity(admin, other)
    (answer,) = target.send([merge(survivor, loser, stays, moved)])
    assert answer.outcome is Outcome.CONFLICT
    assert (parent(target, stays), parent(target, moved)) == (loser, other)
    assert not target.read(PARTY, [loser], [])[loser].is_deleted


def test_unmerge_leaves_what_somebody_moved_on_and_says_so(
    target: TrytonTarget, make: Make, admin: TrytonSession
) -> None:
    survivor, loser, other = make("A"), make("B"), make("C")
    first, second = opportunity(admin, loser), opportunity(admin, loser)
    operation = merge(survivor, loser, first, second)
    assert target.send([operation])[0].outcome is Outcome.DONE
    admin.call(f"model.{OPPORTUNITY}.write", [int(second)], {"party": int(other)}, changes=True)
    (back,) = target.send([replace(operation, kind="unmerge")])
    assert back.outcome is Outcome.DONE
    assert back.message == f"left as they are, changed since: {OPPORTUNITY} {second}"
    assert (parent(target, first), parent(target, second)) == (loser, other)


def test_a_loser_that_somebody_else_retired_is_left_alone(target: TrytonTarget, make: Make) -> None:
    survivor, loser = make("A"), make("B", active=False)
    assert target.send([merge(survivor, loser)])[0].outcome is Outcome.CONFLICT
    assert target.send([replace(merge(survivor, loser), kind="unmerge")])[0].outcome is Outcome.CONFLICT
    assert target.send([merge(loser, survivor)])[0].outcome is Outcome.CONFLICT


def test_a_child_that_tryton_will_not_move_stops_its_merge_whole(
    target: TrytonTarget, make: Make, admin: TrytonSession
) -> None:
    survivor = make("Alpenblick")
    loser = make("Alpenblick AG", addresses=[["create", [{"city": "Bonn"}]]])
    (row,) = admin.call(
        "model.party.party.search_read", [["id", "=", int(loser)]], 0, None, None, ["addresses"]
    )
    free = opportunity(admin, loser)
    # Tryton lets an opportunity name only an address of its own party.
    bound = opportunity(admin, loser, address=row["addresses"][0])
    (answer,) = target.send([merge(survivor, loser, free, bound)])
    assert (answer.outcome, answer.code) == (Outcome.REFUSED, "user_error")
    assert (parent(target, free), parent(target, bound)) == (loser, loser)
    assert not target.read(PARTY, [loser], [])[loser].is_deleted


def test_several_losers_with_children_are_refused_since_nobody_could_part_them_again(
    target: TrytonTarget, make: Make, admin: TrytonSession
) -> None:
    survivor, one, two = make("A"), make("B"), make("C")
    operation = replace(merge(survivor, one, opportunity(admin, one)), losers=(one, two))
    assert target.send([operation])[0].code == "several_losers"
    assert target.send([replace(operation, children=())])[0].outcome is Outcome.DONE

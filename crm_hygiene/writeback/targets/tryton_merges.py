"""Merges: the losers of a party's duplicates are retired and what pointed at them points at the survivor.

Tryton's own wizard (`party.replace`) also moves contact mechanisms, addresses and posted documents, with SQL
below its own checks; Tryton then refuses every way back. What is done here can be taken back: losers are made
inactive with `replaced_by`, and only references that Tryton lets anyone write are moved. What does not belong
here: which parties are duplicates, and which records point at them (`crm_hygiene.writeback.planning`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from crm_hygiene.writeback.operations import Answer, Child, Operation, Outcome
from crm_hygiene.writeback.targets.tryton_parties import OBJECT
from crm_hygiene.writeback.targets.tryton_rpc import CallRefused, TrytonSession

#: Model, ids and fields to rows by id.
Read = Callable[[str, Sequence[int], Sequence[str]], dict[int, dict[str, Any]]]


@dataclass(frozen=True)
class _Move:
    """One reference that is to change: `old` and `new` are party ids."""

    child: Child
    old: int
    new: int


class Merging:
    """Merges and their undoing, one operation at a time. Each step may be repeated after a crash."""

    def __init__(self, session: TrytonSession, read: Read, masked: Callable[[Operation, str], str]) -> None:
        self._session = session
        self._read = read
        self._masked = masked

    def merge(self, operation: Operation) -> Answer:
        """Move the children, then retire the losers; on a refusal what was moved is moved back."""
        survivor, losers = _parties(operation)
        if len(losers) != 1 and operation.children:
            return _refused(
                operation, "several_losers", "one loser at a time, or undoing could not tell whose"
            )
        parties = self._read(OBJECT, [survivor, *losers], ("active", "replaced_by", "_timestamp"))
        if survivor not in parties or not parties[survivor]["active"]:
            return _conflict(operation, "the survivor is gone or inactive")
        for loser in losers:
            if loser not in parties:
                return _conflict(operation, "a loser is gone")
            if not parties[loser]["active"] and parties[loser]["replaced_by"] != survivor:
                return _conflict(operation, "a loser was made inactive by somebody else")
        moves = [_Move(child, losers[0], survivor) for child in operation.children]
        left = [p for p in losers if parties[p]["active"]]
        stamps = {f"{OBJECT},{p}": parties[p]["_timestamp"] for p in [survivor, *left]}
        return self._carry_out(operation, moves, left, {"active": False, "replaced_by": survivor}, stamps)

    def unmerge(self, operation: Operation) -> Answer:
        """Make the losers active again, and give them back the children that nobody has moved since."""
        survivor, losers = _parties(operation)
        if len(losers) != 1 and operation.children:
            return _refused(operation, "several_losers", "whose the children were is not known")
        parties = self._read(OBJECT, losers, ("active", "replaced_by", "_timestamp"))
        for loser in losers:
            row = parties.get(loser)
            if row is None or (not row["active"] and row["replaced_by"] != survivor):
                return _conflict(operation, "a loser is gone or was retired by somebody else")
        left = [p for p in losers if not parties[p]["active"]]
        moves = [_Move(child, survivor, losers[0]) for child in operation.children]
        stamps = {f"{OBJECT},{p}": parties[p]["_timestamp"] for p in left}
        return self._carry_out(operation, moves, left, {"active": True, "replaced_by": None}, stamps)

    def _carry_out(
        self,
        operation: Operation,
        moves: Sequence[_Move],
        parties: Sequence[int],
        values: dict[str, Any],
        stamps: dict[str, Any],
    ) -> Answer:
        """Children first: a loser's state so says whether all was done, and a repetition does the rest."""
        due, strangers = self._due(moves)
        if strangers and operation.kind == "merge":
            return _conflict(operation, f"{len(strangers)} children point elsewhere by now")
        done: list[list[_Move]] = []
        try:
            for group in _by_field(due):
                self._write_children(group)
                done.append(group)
            if parties:
                context = {"_timestamp": stamps}
                self._session.call(
                    f"model.{OBJECT}.write", list(parties), values, changes=True, context=context
                )
        except CallRefused as refused:
            for group in done:
                self._write_children([_Move(m.child, m.new, m.old) for m in group])
            text = self._masked(operation, refused.text)
            return Answer(
                operation.operation_id, refused.outcome, text, operation.record_id, code=refused.code
            )
        message = f"left as they are, changed since: {', '.join(strangers)}" if strangers else ""
        return Answer(operation.operation_id, Outcome.DONE, message, operation.record_id)

    def _due(self, moves: Sequence[_Move]) -> tuple[list[_Move], list[str]]:
        """The moves still to be made, and the children that point at neither of the two (`object id`)."""
        due, strangers = [], []
        for group in _by_field(moves):
            child = group[0].child
            rows = self._read(child.object, [int(m.child.record_id) for m in group], (child.field,))
            for move in group:
                row = rows.get(int(move.child.record_id))
                held = None if row is None else row[child.field]
                if held == move.old:
                    due.append(move)
                elif held != move.new:
                    strangers.append(f"{child.object} {move.child.record_id}")
        return due, strangers

    def _write_children(self, moves: Sequence[_Move]) -> None:
        child = moves[0].child
        ids = [int(m.child.record_id) for m in moves]
        self._session.call(f"model.{child.object}.write", ids, {child.field: moves[0].new}, changes=True)


def _by_field(moves: Sequence[_Move]) -> list[list[_Move]]:
    groups: dict[tuple[str, str], list[_Move]] = {}
    for move in moves:
        groups.setdefault((move.child.object, move.child.field), []).append(move)
    return [groups[k] for k in sorted(groups)]


def _parties(operation: Operation) -> tuple[int, list[int]]:
    return int(operation.record_id or 0), sorted(int(p) for p in operation.losers)


def _conflict(operation: Operation, message: str) -> Answer:
    return Answer(operation.operation_id, Outcome.CONFLICT, message, operation.record_id, code="changed")


def _refused(operation: Operation, code: str, message: str) -> Answer:
    return Answer(operation.operation_id, Outcome.REFUSED, message, operation.record_id, code=code)

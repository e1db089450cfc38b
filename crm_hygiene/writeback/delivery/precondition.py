"""Preconditions: what a record holds now, against what it held when the plan was made and what it shall hold.

Decided field by field: a field that holds the value already is done; one that holds what was read is
written; any other was changed there since and is left alone, while the rest of the record goes through.
What does not belong here: reading (`inspection`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from crm_hygiene.writeback.operations import Child, Held, Operation, Values

Normalise = Callable[[str, Mapping[str, str | None]], Mapping[str, str | None]]

Decision = Literal["send", "already", "conflict"]


@dataclass(frozen=True)
class Verdict:
    """What is to be done with one operation.

    `operation` is what is left to send; `image` the values of its fields as read now; `done` the fields
    that hold their value already, `changed` those that the target changed.
    """

    decision: Decision
    operation: Operation
    image: Values
    done: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    code: str = ""
    reason: str = ""


def judge_write(operation: Operation, held: Held | None, normalise: Normalise) -> Verdict:
    """A write against the record as it is now; `held` None if the target knows no such record."""
    if held is None or held.is_deleted:
        return Verdict("conflict", operation, {}, code="gone", reason="the record is gone")
    now = _even(operation.object, {name: held.values.get(name) for name in operation.after}, normalise)
    before = _even(operation.object, operation.before, normalise)
    after = _even(operation.object, operation.after, normalise)
    done = tuple(name for name in after if now[name] == after[name])
    open_fields = [name for name in after if name not in done]
    due = [name for name in open_fields if now[name] == before.get(name)]
    changed = tuple(name for name in open_fields if name not in due)
    image = {name: held.values.get(name) for name in due}
    if due:
        left = replace(
            operation,
            before=image,
            after={name: operation.after[name] for name in due},
            version=held.version,
        )
        return Verdict("send", left, image, done, changed)
    if changed:
        reason = f"changed at the target since it was read: {', '.join(sorted(changed))}"
        return Verdict("conflict", operation, {}, done, changed, "changed", reason)
    return Verdict("already", operation, {}, done)


def judge_create(operation: Operation, found: str | None) -> Verdict:
    """A create against what is found by its external id."""
    return Verdict("send" if found is None else "already", replace(operation, record_id=found), {})


def judge_merge(
    operation: Operation,
    held: Mapping[str, Held],
    children: Mapping[Child, str | None],
    *,
    may_be_ours: bool = False,
) -> Verdict:
    """A merge against survivor and losers as they are; `children` with the value of the field that points.

    `may_be_ours`: it was sent before and no answer came; losers that are gone went by it, whatever has
    become of the survivor since.
    """
    losers = tuple(loser for loser in operation.losers if not _is_gone(held.get(loser)))
    is_survivor_gone = _is_gone(held.get(operation.record_id or ""))
    if not losers and (may_be_ours or not is_survivor_gone):
        return Verdict("already", operation, {})
    if is_survivor_gone:
        return Verdict("conflict", operation, {}, code="gone", reason="the surviving record is gone")
    # A child that a user has moved elsewhere stays there.
    kept = tuple(child for child in operation.children if children.get(child) in operation.losers)
    version = held[operation.record_id or ""].version
    return Verdict("send", replace(operation, losers=losers, children=kept, version=version), {})


def judge_delete(
    operation: Operation, held: Held | None, version: str | None, normalise: Normalise
) -> Verdict:
    """Taking back a create: only what is as we made it is deleted.

    `operation.before` are the values we wrote, `version` what the target said then.
    """
    if _is_gone(held) or held is None:
        return Verdict("already", operation, {})
    now = _even(operation.object, {name: held.values.get(name) for name in operation.before}, normalise)
    ours = _even(operation.object, operation.before, normalise)
    changed = tuple(name for name in ours if now[name] != ours[name])
    if changed or (version is not None and held.version is not None and held.version != version):
        named = f": {', '.join(sorted(changed))}" if changed else ""
        reason = f"changed at the target since we created it{named}"
        return Verdict("conflict", operation, {}, changed=changed, code="changed", reason=reason)
    return Verdict("send", replace(operation, version=held.version), dict(held.values))


def judge_unmerge(operation: Operation, held: Mapping[str, Held]) -> Verdict:
    """Taking back a merge: nothing to do where the losers live."""
    alive = [loser for loser in operation.losers if not _is_gone(held.get(loser))]
    return Verdict("already" if len(alive) == len(operation.losers) else "send", operation, {})


def _is_gone(held: Held | None) -> bool:
    return held is None or held.is_deleted


def _even(object_name: str, values: Values, normalise: Normalise) -> dict[str, str | None]:
    """Values as the target would give them back; an empty text is an empty field."""
    return {name: value or None for name, value in normalise(object_name, values).items()}

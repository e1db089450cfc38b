"""Undo: the operations that take an apply back, from the before-images of its deliveries.

They go the way of all operations: what the target has changed since is left alone, because what we wrote
is then no longer there. What does not belong here: sending them (`apply`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.delivery.delivery_log import DEAD, DeliveryLog, Standing
from crm_hygiene.writeback.delivery.outbox import UNDONE_BY, Entry, as_generation, rank_of
from crm_hygiene.writeback.operations import Operation

#: Our change is not there any more, or was taken back already.
_NOTHING_LEFT = frozenset({"undone", "reopened"})


@dataclass(frozen=True)
class Left:
    """Something that is not undone, and why."""

    object: str
    record_id: str | None
    fields: tuple[str, ...]
    reason: str


def last_apply(log: DeliveryLog) -> str:
    """The apply that sent last and has something left to undo.

    Raises
    ------
    ConfigurationError
        if there is none.
    """
    able = [
        (known.sent_at, known.apply_id)
        for key, known in log.standings.items()
        if known.sent_at and known.apply_id and _is_ours(known) and log.entries[key].undoes is None
    ]
    if not able:
        raise ConfigurationError(f"target {log.policy.target}: nothing has been applied that could be undone")
    return max(able)[1]


def _is_ours(known: Standing) -> bool:
    return (known.has_arrived or known.state == "written") and known.state not in _NOTHING_LEFT


def undo_entries(
    log: DeliveryLog, apply_id: str, still_opted_out: Callable[[Entry], bool]
) -> tuple[list[Entry], list[Left]]:
    """The operations that take an apply back, last things first, and what cannot be taken back.

    `still_opted_out` says of an opt-out whether the person is suppressed now: then it stays, as no
    computation turns an opt-out into an opt-in.
    """
    known_applies = {known.apply_id for known in log.standings.values()}
    if apply_id not in known_applies:
        raise ConfigurationError(f"target {log.policy.target}: there has been no apply '{apply_id}'")
    entries: list[Entry] = []
    left: list[Left] = []
    for key, known in log.standings.items():
        entry = log.entries[key]
        if known.apply_id != apply_id or not _is_ours(known):
            continue
        if entry.is_opt_out and still_opted_out(entry):
            fields = tuple(sorted(entry.operation.after))
            reason = "an opt-out that still holds is not taken back"
            left.append(Left(entry.operation.object, entry.operation.record_id, fields, reason))
            continue
        entries.append(as_generation(_reverse(log, entry, known), log.is_closed))
    return sorted(entries, key=lambda e: e.order), left


def _reverse(log: DeliveryLog, entry: Entry, known: Standing) -> Entry:
    done = entry.operation
    kind = UNDONE_BY.get(done.kind)
    if kind is None:
        raise ConfigurationError(
            "an undo that deleted or parted records cannot be undone; apply the plan again"
        )
    sent = known.sent_fields(entry)
    if done.kind == "write":
        image = known.image if known.image is not None else dict(done.before)
        operation = Operation("", "write", done.object, done.record_id, sent, dict(image))
    elif done.kind == "create":
        operation = Operation("", "delete", done.object, known.record_id, sent, external_id=done.external_id)
    else:
        operation = replace(done, kind=kind, operation_id="")
    return Entry(
        operation,
        entry.target,
        entry.change_kind,
        entry.source,
        entry.change_ids,
        entry.entity_id,
        undoes=entry.operation_id,
        rank=rank_of(log.policy, operation, entry.change_kind, is_undo=True),
    )


def not_undone(log: DeliveryLog, entries: Sequence[Entry]) -> list[Left]:
    """What the operations of an undo, once sent, have left as it is."""
    left = []
    for entry in entries:
        known = log.standings[entry.operation_id]
        record_id, name = entry.operation.record_id, entry.operation.object
        if known.state in DEAD:
            fields = tuple(sorted(known.left_out or entry.operation.after))
            left.append(Left(name, record_id, fields, known.answer or known.code))
        elif known.left_out:
            reason = "changed at the target since we wrote it"
            left.append(Left(name, record_id, tuple(sorted(known.left_out)), reason))
    return left

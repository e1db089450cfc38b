"""Operations: what is sent to a target, one per record, and what the target answered.

Pure data. What does not belong here: which operations there are (`delivery.outbox`), sending (`targets`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

#: What is done to a record. `delete` and `unmerge` only take back a `create` and a `merge` of ours.
OperationKind = Literal["write", "create", "merge", "delete", "unmerge"]

#: Values as the target's own text; None is an empty field.
Values = Mapping[str, str | None]


@dataclass(frozen=True)
class Child:
    """A record that points at a loser of a merge and shall point at the survivor."""

    object: str
    record_id: str
    field: str


@dataclass(frozen=True)
class Operation:
    """All that one apply does to one record.

    Attributes
    ----------
    operation_id
        the idempotency key: the same content planned again has the same key.
    object, record_id
        the target's object and id; `record_id` is None for a create.
    before, after
        values as last read and as they shall be, by vendor field; `before` is empty for a create.
    external_id
        for a create: (vendor field, value) by which it is found again after a crash, and never made twice.
    losers, children
        for a merge: `record_id` survives, `losers` go, `children` are re-parented.
    version
        what the target said of the record when it was last read (time stamp, version), or None.
    """

    operation_id: str
    kind: OperationKind
    object: str
    record_id: str | None
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)
    external_id: tuple[str, str] | None = None
    losers: tuple[str, ...] = ()
    children: tuple[Child, ...] = ()
    version: str | None = None


@dataclass(frozen=True)
class Held:
    """A record as the target holds it now: the fields asked for, its version, and whether it is gone."""

    values: Values
    version: str | None = None
    is_deleted: bool = False


class Outcome(StrEnum):
    """How one operation ended at the target."""

    DONE = "done"
    CONFLICT = "conflict"  # the target changed since it was read: never overwritten
    REFUSED = "refused"  # the target will not take it, now or later: a dead letter
    RETRY = "retry"  # not taken now (lock, limit); nothing was changed
    UNCERTAIN = "uncertain"  # no answer: it may or may not have been taken; read before sending again


@dataclass(frozen=True)
class Answer:
    """What the target said of one operation. `message` never holds a secret nor a field's value."""

    operation_id: str
    outcome: Outcome
    message: str = ""
    record_id: str | None = None
    version: str | None = None
    code: str = ""

"""The outbox: operations made of the plan's changes, each with its idempotency key, and kept in the lake.

All field changes of one record are one operation; an opt-out is one of its own, so that it is never held
up by another field. What does not belong here: how far an operation has come (`delivery_log`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.operations import Child, Operation, OperationKind
from crm_hygiene.writeback.policy import TargetPolicy

OUTBOX = "writeback.outbox"

OPT_OUT = "suppress"

# Opt-outs first; nothing is linked to an account before the account is there; merges last, as records
# that go must not be written any more. Undoing goes the other way.
_RANKS: dict[OperationKind, int] = {"create": 2, "write": 3, "merge": 4}
_OPT_OUT_RANK, _ACCOUNT_RANK, _UNDO_RANK = 0, 1, 10
UNDONE_BY: dict[OperationKind, OperationKind] = {"create": "delete", "write": "write", "merge": "unmerge"}


@dataclass(frozen=True)
class Entry:
    """One operation of the outbox with what is kept beside it.

    `change_kind` is `suppress` for an opt-out and otherwise that of its first change. `rank` is its place
    in the order of delivery. `apply_id` and `planned_at` are None until it is in the outbox.
    """

    operation: Operation
    target: str
    change_kind: str
    source: str | None = None
    change_ids: tuple[str, ...] = ()
    entity_id: str | None = None
    undoes: str | None = None
    rank: int = 0
    apply_id: str | None = None
    planned_at: datetime | None = None

    @property
    def operation_id(self) -> str:
        """The idempotency key."""
        return self.operation.operation_id

    @property
    def is_opt_out(self) -> bool:
        """Whether it carries an opt-out, which goes out for suppressed people too."""
        return self.change_kind == OPT_OUT

    @property
    def order(self) -> tuple[int, str, str, str]:
        """Sorts entries into the order of delivery."""
        place = self.operation.record_id or (self.operation.external_id or ("", ""))[1]
        return (self.rank, self.operation.object, place, self.operation_id)

    def content(self) -> str:
        """All that makes the operation this one and no other, as a text; not when nor how often."""
        op = self.operation
        return json.dumps(
            [
                self.target,
                op.object,
                op.record_id,
                op.external_id,
                op.kind,
                self.is_opt_out,
                dict(op.before),
                dict(op.after),
                op.losers,
                sorted((c.object, c.record_id, c.field) for c in op.children),
                self.undoes,
            ],
            sort_keys=True,
            ensure_ascii=False,
        )

    def of_generation(self, generation: int) -> Entry:
        """The entry with the key it has where the same was done to the end `generation` times before."""
        key = hashlib.sha256(f"{generation}\x1f{self.content()}".encode()).hexdigest()[:32]
        return replace(self, operation=replace(self.operation, operation_id=key))


def as_generation(entry: Entry, is_closed: Callable[[str], bool | None]) -> Entry:
    """The entry with the key of the first generation that is not closed.

    `is_closed` says of a key whether it was done to the end, None where it was never taken in.
    """
    generation = 0
    while True:
        found = entry.of_generation(generation)
        if not is_closed(found.operation_id):
            return found
        generation += 1


def entries_of(changes: pl.DataFrame, policy: TargetPolicy) -> list[Entry]:
    """The operations of the plan for one target, in the order of delivery, keys of the first generation.

    Parameters
    ----------
    changes
        rows of writeback.changes; those of other targets are passed over.
    policy
        of the target: external ids, and which objects are linked to others.

    Raises
    ------
    ConfigurationError
        if a create has no external id to be found again by.
    """
    mine = changes.filter(pl.col("target") == policy.target)
    rows = mine.sort("object", "record_id", "column_name", "change_id", nulls_last=True)
    made: list[Entry] = []
    by_record = groupby(rows.iter_rows(named=True), key=lambda row: (row["object"], row["record_id"]))
    merges: list[dict[str, Any]] = []
    reparents: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (name, record_id), group in by_record:
        fields: list[dict[str, Any]] = []
        opt_outs: list[dict[str, Any]] = []
        new: list[dict[str, Any]] = []
        for row in group:
            kind = row["change_kind"]
            if kind == "merge":
                merges.append(row)
            elif kind == "reparent":
                reparents.setdefault((row["before"], row["after"]), []).append(row)
            elif kind in ("create", "posting"):
                new.append(row)
            elif kind == OPT_OUT:
                opt_outs.append(row)
            else:
                fields.append(row)
        made += [
            _entry(
                policy,
                rows_of,
                Operation("", "write", name, record_id, _values(rows_of, "before"), _values(rows_of)),
            )
            for rows_of in (opt_outs, fields)
            if rows_of
        ]
        if new:
            key = (_external_field(policy, new[0]), record_id)
            made.append(
                _entry(policy, new, Operation("", "create", name, None, {}, _values(new), external_id=key))
            )
    for row in merges:
        moved = reparents.pop((row["record_id"], row["after"]), [])
        children = tuple(Child(m["object"], m["record_id"], m["column_name"]) for m in moved)
        operation = Operation(
            "", "merge", row["object"], row["after"], losers=(row["record_id"],), children=children
        )
        made.append(_entry(policy, [row, *moved], operation))
    # A child whose parents are not merged by this plan is re-parented by itself.
    for left in reparents.values():
        for row in left:
            values = {row["column_name"]: row["before"]}, {row["column_name"]: row["after"]}
            made.append(
                _entry(policy, [row], Operation("", "write", row["object"], row["record_id"], *values))
            )
    return sorted((entry.of_generation(0) for entry in made), key=lambda entry: entry.order)


def _values(rows: Sequence[dict[str, Any]], column: str = "after") -> dict[str, str | None]:
    return {row["column_name"]: row[column] for row in rows}


def _external_field(policy: TargetPolicy, row: dict[str, Any]) -> str:
    if row["change_kind"] == "posting" and policy.postings is not None:
        return policy.postings.external_id
    known = policy.objects.get(row["object"])
    if known is None or known.external_id is None:
        raise ConfigurationError(
            f"target {policy.target}: the plan creates a {row['object']}, and the policy names no "
            "external_id for it: after a crash it could not be found again"
        )
    return known.external_id


def _entry(policy: TargetPolicy, rows: Sequence[dict[str, Any]], operation: Operation) -> Entry:
    first = rows[0]
    return Entry(
        operation,
        policy.target,
        change_kind=first["change_kind"],
        source=first["source"],
        change_ids=tuple(row["change_id"] for row in rows),
        entity_id=first["entity_id"],
        rank=rank_of(policy, operation, first["change_kind"]),
    )


def rank_of(policy: TargetPolicy, operation: Operation, change_kind: str, is_undo: bool = False) -> int:
    """The place of an operation in the order of delivery."""
    if is_undo:
        done = next(kind for kind, taken_back in UNDONE_BY.items() if taken_back == operation.kind)
        return _UNDO_RANK - rank_of(policy, replace(operation, kind=done), change_kind)
    if change_kind == OPT_OUT:
        return _OPT_OUT_RANK
    known = policy.objects.get(operation.object)
    if operation.kind == "create" and change_kind != "posting" and (known is None or known.links is None):
        return _ACCOUNT_RANK
    return _RANKS[operation.kind]


def batches(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    """Entries in order of delivery, in lists of one kind and one object, at most `size` long."""
    alike = groupby(entries, key=lambda e: (e.rank, e.operation.kind, e.operation.object))
    for _, group in alike:
        same = list(group)
        for start in range(0, len(same), size):
            yield same[start : start + size]


def frame_of(entries: Iterable[Entry], apply_id: str, planned_at: datetime) -> pl.DataFrame:
    """Rows of writeback.outbox."""
    rows = [
        {
            "operation_id": entry.operation_id,
            "target": entry.target,
            "object": entry.operation.object,
            "source": entry.source,
            "record_id": entry.operation.record_id,
            "external_id": (entry.operation.external_id or (None, None))[1],
            "external_id_field": (entry.operation.external_id or (None, None))[0],
            "operation_kind": entry.operation.kind,
            "change_kind": entry.change_kind,
            "before_values": as_text(entry.operation.before),
            "after_values": as_text(entry.operation.after),
            "losers": list(entry.operation.losers),
            "children": [json.dumps([c.object, c.record_id, c.field]) for c in entry.operation.children],
            "change_ids": list(entry.change_ids),
            "entity_id": entry.entity_id,
            "apply_id": apply_id,
            "planned_at": planned_at,
            "undoes_operation_id": entry.undoes,
        }
        for entry in entries
    ]
    contract = contract_of(OUTBOX)
    return contract.shape(pl.DataFrame(rows, schema=contract.schema)) if rows else contract.empty()


def entry_of(row: dict[str, Any], policy: TargetPolicy) -> Entry:
    """The entry that a row of writeback.outbox was made of."""
    key = (row["external_id_field"], row["external_id"])
    operation = Operation(
        row["operation_id"],
        row["operation_kind"],
        row["object"],
        row["record_id"],
        json.loads(row["before_values"] or "{}"),
        json.loads(row["after_values"]),
        key if all(part is not None for part in key) else None,
        tuple(row["losers"] or ()),
        tuple(Child(*json.loads(text)) for text in row["children"] or ()),
    )
    return Entry(
        operation,
        row["target"],
        row["change_kind"],
        row["source"],
        tuple(row["change_ids"] or ()),
        row["entity_id"],
        row["undoes_operation_id"],
        rank_of(policy, operation, row["change_kind"], row["undoes_operation_id"] is not None),
        row["apply_id"],
        row["planned_at"],
    )


def as_text(values: Any) -> str:
    """Values by field as JSON, the same text for the same values."""
    return json.dumps(dict(values), ensure_ascii=False, sort_keys=True)

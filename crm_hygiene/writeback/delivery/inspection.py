"""Inspection: what a target holds now of a batch, before it is sent and after it has arrived.

What does not belong here: what follows from a record that was read (`precondition`), sending (`exchange`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crm_hygiene.writeback.delivery.delivery_log import ARRIVED, UNSURE, DeliveryLog
from crm_hygiene.writeback.delivery.outbox import Entry
from crm_hygiene.writeback.delivery.patience import Patience
from crm_hygiene.writeback.delivery.precondition import (
    Verdict,
    judge_create,
    judge_delete,
    judge_merge,
    judge_unmerge,
    judge_write,
)
from crm_hygiene.writeback.operations import Child, Held, Operation
from crm_hygiene.writeback.target import RenamesSurvivors, Target

Landed = Callable[[Entry], Held | None]
"""The record of an operation as the last landing has it."""


class Inspection:
    """Looks at one target; `landed` stands in where a target cannot be read."""

    def __init__(
        self, target: Target, log: DeliveryLog, patience: Patience, landed: Landed | None = None
    ) -> None:
        self._target = target
        self._log = log
        self._ask = patience.ask
        self._landed = landed

    def judge(self, entries: Sequence[Entry], operations: dict[str, Operation]) -> dict[str, Verdict]:
        """What is to be done with each of a batch's operations, by what the target holds now."""
        if not entries:
            return {}
        if not self._target.is_live:
            return {e.operation_id: self._judge_unseen(e, operations[e.operation_id]) for e in entries}
        kind, name = entries[0].operation.kind, entries[0].operation.object
        ops = [operations[e.operation_id] for e in entries]
        if kind == "create":
            keys = {op.external_id for op in ops if op.external_id is not None}
            found: dict[str, str] = {}
            for key_field in sorted({key[0] for key in keys}):
                wanted = sorted(key[1] for key in keys if key[0] == key_field)
                found |= self._ask(lambda f=key_field, w=wanted: self._target.find(name, f, w))  # type: ignore[misc]
            return {
                op.operation_id: judge_create(op, found.get((op.external_id or ("", ""))[1])) for op in ops
            }
        ids = sorted({i for op in ops for i in (op.record_id, *op.losers) if i is not None})
        fields = sorted({f for op in ops for f in (*op.after, *op.before)})
        if isinstance(self._target, RenamesSurvivors):
            self._target.expect(name, self._survivors(name))
        held = self._ask(lambda: self._target.read(name, ids, fields))
        if kind == "write":
            return {
                op.operation_id: judge_write(op, held.get(op.record_id or ""), self._target.normalise)
                for op in ops
            }
        if kind == "delete":
            return {
                op.operation_id: judge_delete(
                    op,
                    held.get(op.record_id or ""),
                    self._log.versions.get((name, op.record_id or "")),
                    self._target.normalise,
                )
                for op in ops
            }
        if kind == "unmerge":
            return {op.operation_id: judge_unmerge(op, held) for op in ops}
        children = self._children([child for op in ops for child in op.children])
        return {
            op.operation_id: judge_merge(
                op, held, children, may_be_ours=self._log.state(op.operation_id) in UNSURE
            )
            for op in ops
        }

    def _survivors(self, name: str) -> set[str]:
        """Records of an object that others were, or may have been, merged into by us since they landed."""
        return {
            entry.operation.record_id
            for entry in self._log.of_states(UNSURE | ARRIVED)
            if entry.operation.kind == "merge"
            and entry.operation.object == name
            and entry.operation.record_id
        }

    def _children(self, children: Sequence[Child]) -> dict[Child, str | None]:
        found: dict[Child, str | None] = {}
        for name, field in sorted({(c.object, c.field) for c in children}):
            mine = [c for c in children if (c.object, c.field) == (name, field)]
            ids = sorted({c.record_id for c in mine})
            held = self._ask(lambda n=name, i=ids, f=field: self._target.read(n, i, [f]))  # type: ignore[misc]
            found |= {c: held[c.record_id].values.get(field) for c in mine if c.record_id in held}
        return found

    def _judge_unseen(self, entry: Entry, operation: Operation) -> Verdict:
        """A target that cannot be read: what is taken back must at least have landed as we wrote it."""
        if entry.undoes is None:
            return Verdict("send", operation, operation.before)
        held = self._landed(entry) if self._landed is not None else None
        if held is None:
            return Verdict(
                "conflict",
                operation,
                {},
                code="unseen",
                reason="no export since shows the record; undo again after a night that landed one",
            )
        if operation.kind == "delete":
            return judge_delete(operation, held, None, self._target.normalise)
        if operation.kind == "write":
            return judge_write(operation, held, self._target.normalise)
        return Verdict("send", operation, {})

    def differing(self, entries: Sequence[Entry]) -> dict[str, str]:
        """Of operations that arrived, those that do not read back as sent, each with its reason."""
        found: dict[str, str] = {}
        for entry in entries:
            known = self._log.standings[entry.operation_id]
            operation = entry.operation
            if operation.kind not in ("write", "create"):
                continue
            sent = known.sent_fields(entry)
            record_id = known.record_id or operation.record_id or ""
            held = self._ask(
                lambda o=operation, r=record_id, s=sent: self._target.read(o.object, [r], sorted(s))  # type: ignore[misc]
            ).get(record_id)
            now = self._target.normalise(operation.object, held.values if held is not None else {})
            wanted = self._target.normalise(operation.object, sent)
            wrong = sorted(f for f in wanted if (now.get(f) or None) != (wanted[f] or None))
            if held is None or held.is_deleted:
                found[entry.operation_id] = "the record is gone"
            elif wrong:
                found[entry.operation_id] = f"reads back otherwise: {', '.join(wrong)}"
        return found

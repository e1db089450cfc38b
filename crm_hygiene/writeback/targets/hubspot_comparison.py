"""Comparing with HubSpot right before a write: what may go on, and what of it is not there yet.

What does not belong here: reading (`hubspot_records`), writing what differs (`hubspot_writes`,
`hubspot_merges`).
"""

from __future__ import annotations

from collections.abc import Sequence

from crm_hygiene.writeback.operations import Answer, Operation, Outcome
from crm_hygiene.writeback.targets.hubspot_links import OPT_OUT, Change
from crm_hygiene.writeback.targets.hubspot_properties import UnknownField, object_type
from crm_hygiene.writeback.targets.hubspot_records import PRIMARY_COMPANY, Records


class Comparison:
    """The precondition that HubSpot does not have, field by field."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def compared(self, operations: Sequence[Operation], answers: dict[str, Answer]) -> list[Change]:
        """Operations that may go on, what their record holds, and what of `after` it does not hold yet."""
        name = operations[0].object
        able = []
        for operation in operations:
            try:
                self.check_writable(operation)
                able.append(operation)
            except UnknownField as error:
                key = operation.operation_id
                answers[key] = Answer(key, Outcome.REFUSED, str(error), operation.record_id, code="FIELD")
        fields = sorted({f for o in able for f in (*o.after, *o.before)})
        held = self._records.read(name, [o.record_id for o in able if o.record_id], fields) if able else {}
        on: list[Change] = []
        for operation in able:
            key, record_id = operation.operation_id, operation.record_id
            now = held.get(record_id or "")
            if now is None or (now.is_deleted and operation.kind == "write"):
                became = self._records.became(name, record_id)
                words = "the record is gone" if became == record_id else f"merged into record {became}"
                answers[key] = Answer(key, Outcome.CONFLICT, words, record_id, code="GONE")
                continue
            before = self._records.normalise(name, {f: operation.before.get(f) for f in operation.after})
            before |= self._records.normalise(name, operation.before)
            after = self._records.normalise(name, operation.after)
            here = self._records.normalise(name, now.values)
            changed = [f for f, v in before.items() if here.get(f) not in (v, after.get(f, v))]
            if changed and not now.is_deleted:
                words = f"changed since it was read: {', '.join(sorted(changed))}"
                answers[key] = Answer(key, Outcome.CONFLICT, words, record_id, now.version, "CHANGED")
            else:
                on.append((operation, now, {f: v for f, v in after.items() if here.get(f) != v}))
        return on

    def check_writable(self, operation: Operation) -> None:
        """UnknownField if HubSpot has no such property, or lets nobody write it."""
        for name, value in operation.after.items():
            told = self._records.property_of(operation.object, name)
            if self._records.is_link(operation.object, name):
                if object_type(operation.object) not in PRIMARY_COMPANY:
                    raise UnknownField(f"HubSpot has no primary company for {operation.object}")
            elif told.name == OPT_OUT and object_type(operation.object) == "contact":
                if told.normalise(value) != "true":
                    raise UnknownField("an opt-out is carried to HubSpot and never taken back by us")
            elif told.is_read_only:
                raise UnknownField(f"{operation.object}.{told.name} is read-only in HubSpot")

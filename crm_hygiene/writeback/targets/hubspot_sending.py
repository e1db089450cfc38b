"""Sending to HubSpot: batches refused as a whole are halved, and what was taken is never forgotten.

What does not belong here: which requests there are (`hubspot_writes`, `hubspot_creates`, `hubspot_merges`,
`hubspot_links`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from crm_hygiene.writeback.operations import Answer, Operation, Outcome
from crm_hygiene.writeback.targets.hubspot_answers import ContentRefused, Refusal, refusal_of
from crm_hygiene.writeback.targets.hubspot_properties import object_type
from crm_hygiene.writeback.targets.hubspot_records import Records
from crm_hygiene.writeback.targets.hubspot_session import Session


class Sending:
    """The writing requests of one `send`."""

    def __init__(self, session: Session, records: Records) -> None:
        self.session = session
        self.records = records
        #: Operations of which a part was taken.
        self.taken: set[str] = set()
        self._under_way: set[str] = set()

    def begin(self) -> None:
        """Forget the batch before."""
        self.taken, self._under_way = set(), set()

    def sent(self, operations: Sequence[Operation], request: Callable[..., Any], *arguments: Any) -> Any:
        """A writing request for some operations, with their part in it kept for `send`."""
        self._under_way = {o.operation_id for o in operations}
        answer = self.session.call(request, *arguments, is_writing=True)
        self.taken |= self._under_way
        self._under_way = set()
        return answer

    def batch(self, operations: Sequence[Operation], request: Callable[..., Any], body: Any) -> Any:
        """A batch request of the objects API for some operations of one object."""
        return self.sent(operations, request, object_type(operations[0].object), body)

    def close_rest(
        self, operations: Sequence[Operation], answers: dict[str, Answer], code: str, *, is_lost: bool
    ) -> None:
        """Answer what a failure of the target left open: not sent, or not known."""
        for operation in operations:
            key = operation.operation_id
            if key in answers:
                continue
            if key in self.taken or (is_lost and key in self._under_way):
                answers[key] = Answer(key, Outcome.UNCERTAIN, "HubSpot failed on the way", code=code)
            else:
                answers[key] = Answer(key, Outcome.RETRY, "not sent: HubSpot failed before", code=code)

    def in_halves(
        self,
        operations: Sequence[Operation],
        request: Callable[[Sequence[Operation]], Any],
        answers: dict[str, Answer],
        keys: Mapping[str, str],
    ) -> None:
        """Send; where the whole is refused, send its halves. `keys`: a created record's key -> operation."""
        if not operations:
            return
        touched = set(self.taken)
        try:
            answer = request(operations)
        except ContentRefused as error:
            if len(operations) == 1:
                partly = operations[0].operation_id in touched
                answers[operations[0].operation_id] = refused(operations[0], error.refusal, partly)
                return
            half = len(operations) // 2
            self.in_halves(operations[:half], request, answers, keys)
            self.in_halves(operations[half:], request, answers, keys)
            return
        by_record = {self.records.became(o.object, o.record_id): o for o in operations if o.record_id}
        by_id = {o.operation_id: o for o in operations}
        for record in answer.results or []:
            trace = getattr(record, "object_write_trace_id", None) or ""
            operation = by_id.get(trace) or by_record.get(str(record.id))
            if operation is None:
                operation = next(
                    (by_id[keys[v]] for v in record.properties.values() if v and keys.get(v) in by_id), None
                )
            if operation is not None:
                answers[operation.operation_id] = done(operation, record)
        for told in getattr(answer, "errors", None) or []:
            refusal = refusal_of(error_of(told))
            named = [by_id[t] for t in refusal.trace_ids if t in by_id]
            named += [by_record[i] for i in refusal.record_ids if i in by_record]
            named += [by_id[keys[i]] for i in refusal.record_ids if keys.get(i) in by_id]
            for operation in named:
                partly = operation.operation_id in touched
                answers.setdefault(operation.operation_id, refused(operation, refusal, partly))
        for operation in operations:
            words = "HubSpot's answer to the batch does not name the record"
            answers.setdefault(
                operation.operation_id,
                Answer(operation.operation_id, Outcome.UNCERTAIN, words, operation.record_id, code="UNNAMED"),
            )


def error_of(told: Any) -> dict[str, Any]:
    """One error of the client's models as the JSON it was read from."""
    return {
        "status": told.status,
        "category": told.category,
        "subCategory": told.sub_category,
        "message": told.message,
        "context": told.context,
        "errors": [{"code": d.code, "context": d.context} for d in told.errors or []],
    }


def refused(operation: Operation, refusal: Refusal, is_partly_taken: bool = False) -> Answer:
    """An answer for a record that HubSpot refused."""
    words = refusal.message + ("; another part of the operation was taken" if is_partly_taken else "")
    return Answer(operation.operation_id, refusal.outcome, words, operation.record_id, code=refusal.code)


def done(operation: Operation, record: Any = None, record_id: str | None = None, code: str = "") -> Answer:
    """An answer for a record that holds what was asked."""
    version = record.updated_at.isoformat() if record is not None and record.updated_at else None
    found = str(record.id) if record is not None else record_id or operation.record_id
    return Answer(operation.operation_id, Outcome.DONE, "", found, version, code)

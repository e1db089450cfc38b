"""Records that are in HubSpot: their properties are changed, or they are archived.

What does not belong here: what differs (`hubspot_comparison`), companies and opt-outs (`hubspot_links`),
batches that are refused as a whole (`hubspot_sending`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crm_hygiene.writeback.operations import Answer, Operation, Outcome
from crm_hygiene.writeback.targets.hubspot_answers import ContentRefused
from crm_hygiene.writeback.targets.hubspot_comparison import Comparison
from crm_hygiene.writeback.targets.hubspot_links import Change, Links
from crm_hygiene.writeback.targets.hubspot_sending import Sending, done, refused


class Writes:
    """Changes and archives records; answers go into `answers` by operation."""

    def __init__(self, sending: Sending, comparison: Comparison) -> None:
        self._sending = sending
        self._session, self._records = sending.session, sending.records
        self._comparison = comparison
        self._links = Links(sending.session, sending.records, sending)

    def write(self, operations: Sequence[Operation], answers: dict[str, Answer]) -> None:
        """Change the fields that differ, with their company and opt-out."""
        differing: list[Change] = []
        for operation, now, change in self._comparison.compared(operations, answers):
            if change:
                differing.append((operation, now, change))
            else:
                key = operation.operation_id
                answers[key] = Answer(key, Outcome.DONE, "", operation.record_id, now.version, "UNCHANGED")
        linked = self._links.linked(differing, answers)
        self.put(self._links.opted_out(linked, answers), answers)

    def put(self, changes: Sequence[Change], answers: dict[str, Answer]) -> None:
        """Write properties."""
        from hubspot.crm.objects import (
            BatchInputSimplePublicObjectBatchInput,
            SimplePublicObjectBatchInput,
        )

        texts = {o.operation_id: self._records.as_sent(o.object, change) for o, _, change in changes}

        def request(some: Sequence[Operation]) -> Any:
            inputs = [
                SimplePublicObjectBatchInput(
                    id=self._records.became(o.object, o.record_id),
                    properties=texts[o.operation_id],
                    object_write_trace_id=o.operation_id,
                )
                for o in some
            ]
            return self._sending.batch(
                some,
                self._session.crm.objects.batch_api.update,
                BatchInputSimplePublicObjectBatchInput(inputs=inputs),
            )

        # HubSpot refuses a batch that names a record twice.
        rounds: list[dict[str | None, Operation]] = []
        for operation, _, _ in changes:
            free = next((r for r in rounds if operation.record_id not in r), None)
            if free is None:
                rounds.append({operation.record_id: operation})
            else:
                free[operation.record_id] = operation
        for one in rounds:
            self._sending.in_halves(list(one.values()), request, answers, {})

    def archive(self, operations: Sequence[Operation], answers: dict[str, Answer]) -> None:
        """Archive records of ours; one that is gone already is done, one that a user changed is left."""
        from hubspot.crm.objects import BatchInputSimplePublicObjectId, SimplePublicObjectId

        going = []
        for operation, now, _ in self._comparison.compared(operations, answers):
            if now.is_deleted:
                answers[operation.operation_id] = done(operation, code="FOUND")
            else:
                going.append(operation)
        for operation in operations:
            told = answers.get(operation.operation_id)
            if told is not None and told.code == "GONE":
                answers[operation.operation_id] = done(operation, code="FOUND")
        if not going:
            return
        ids = [SimplePublicObjectId(id=o.record_id) for o in going]
        try:
            self._sending.batch(
                going,
                self._session.crm.objects.batch_api.archive,
                BatchInputSimplePublicObjectId(inputs=ids),
            )
        except ContentRefused as error:
            for operation in going:
                answers[operation.operation_id] = refused(operation, error.refusal)
            return
        for operation in going:
            answers[operation.operation_id] = done(operation)

"""Records that HubSpot does not have yet, found again by a unique property.

What does not belong here: batches that are refused as a whole (`hubspot_sending`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crm_hygiene.writeback.operations import Answer, Operation, Outcome
from crm_hygiene.writeback.targets.hubspot_comparison import Comparison
from crm_hygiene.writeback.targets.hubspot_links import OPT_OUT
from crm_hygiene.writeback.targets.hubspot_properties import UnknownField, object_type
from crm_hygiene.writeback.targets.hubspot_records import PRIMARY_COMPANY
from crm_hygiene.writeback.targets.hubspot_sending import Sending, done


class Creates:
    """Makes records, each once."""

    def __init__(self, sending: Sending, comparison: Comparison) -> None:
        self._sending = sending
        self._session, self._records = sending.session, sending.records
        self._comparison = comparison

    def create(self, operations: Sequence[Operation], answers: dict[str, Answer]) -> None:
        """Make the records that are not there by their unique property; answers by operation."""
        name = operations[0].object
        able: dict[str, Operation] = {}
        for operation in operations:
            key = operation.operation_id
            try:
                if operation.external_id is None:
                    raise UnknownField("a create needs a unique property to be found again by")
                self._records.property_of(name, operation.external_id[0])
                self._comparison.check_writable(operation)
                if any(self._records.property_of(name, f).name == OPT_OUT for f in operation.after):
                    raise UnknownField("an opt-out goes to contacts that exist")
                able[operation.external_id[1]] = operation
            except UnknownField as error:
                answers[key] = Answer(key, Outcome.REFUSED, str(error), code="FIELD")
        if not able:
            return
        key_field = next(o.external_id[0] for o in able.values() if o.external_id)
        known = self._records.find(name, key_field, list(able))
        for value, made in known.items():
            # Made by an apply before; what users did to it since then stays.
            answers[able[value].operation_id] = done(able[value], record_id=made, code="FOUND")
        new = [o for value, o in able.items() if value not in known]
        keys = {v: o.operation_id for v, o in able.items() if v not in known}
        linked = [o for o in new if self._company_of(o)]
        unique = self._records.property_of(name, key_field).name
        self._sending.in_halves(linked, lambda some: self._create_linked(some, unique), answers, keys)
        rest = [o for o in new if not self._company_of(o)]
        self._sending.in_halves(rest, lambda some: self._upsert(some, unique), answers, keys)

    def _company_of(self, operation: Operation) -> str | None:
        links = (v for f, v in operation.after.items() if self._records.is_link(operation.object, f))
        return next(links, None)

    def _created(self, operation: Operation, unique: str) -> dict[str, str]:
        name = operation.object
        plain = {f: v for f, v in operation.after.items() if v and not self._records.is_link(name, f)}
        key = operation.external_id[1] if operation.external_id else ""
        return {
            **self._records.as_sent(name, self._records.normalise(name, plain)),
            unique: key,
        }

    def _upsert(self, operations: Sequence[Operation], unique: str) -> Any:
        from hubspot.crm.objects import (
            BatchInputSimplePublicObjectBatchInputUpsert,
            SimplePublicObjectBatchInputUpsert,
        )

        inputs = [
            SimplePublicObjectBatchInputUpsert(
                id=o.external_id[1] if o.external_id else "",
                id_property=unique,
                properties=self._created(o, unique),
                object_write_trace_id=o.operation_id,
            )
            for o in operations
        ]
        return self._sending.batch(
            operations,
            self._session.crm.objects.batch_api.upsert,
            BatchInputSimplePublicObjectBatchInputUpsert(inputs=inputs),
        )

    def _create_linked(self, operations: Sequence[Operation], unique: str) -> Any:
        """Records with their company in one request, which an upsert cannot; the unique property guards."""
        from hubspot.crm.objects import (
            AssociationSpec,
            BatchInputSimplePublicObjectBatchInputForCreate,
            PublicAssociationsForObject,
            PublicObjectId,
            SimplePublicObjectBatchInputForCreate,
        )

        name = object_type(operations[0].object)
        kind = AssociationSpec(
            association_category="HUBSPOT_DEFINED", association_type_id=PRIMARY_COMPANY[name]
        )
        inputs = [
            SimplePublicObjectBatchInputForCreate(
                properties=self._created(o, unique),
                associations=[
                    PublicAssociationsForObject(to=PublicObjectId(id=self._company_of(o)), types=[kind])
                ],
                object_write_trace_id=o.operation_id,
            )
            for o in operations
        ]
        return self._sending.batch(
            operations,
            self._session.crm.objects.batch_api.create,
            BatchInputSimplePublicObjectBatchInputForCreate(inputs=inputs),
        )

"""What is not a property in HubSpot: the primary company of a record, and a contact's opt-out.

What does not belong here: properties (`hubspot_writes`), reading (`hubspot_records`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crm_hygiene.writeback.operations import Answer, Held, Operation, Outcome
from crm_hygiene.writeback.targets.hubspot_answers import ContentRefused, refusal_of
from crm_hygiene.writeback.targets.hubspot_properties import object_type
from crm_hygiene.writeback.targets.hubspot_records import PRIMARY_COMPANY, Records
from crm_hygiene.writeback.targets.hubspot_sending import Sending, done, error_of, refused
from crm_hygiene.writeback.targets.hubspot_session import Session

#: The flag that follows from the subscriptions API and cannot be written itself.
OPT_OUT = "hs_email_optout"

#: A record's change on its way: what is asked, what it holds, what of it differs.
Change = tuple[Operation, Held, Mapping[str, str | None]]


class Links:
    """Writes companies and opt-outs; each gives back the changes that are left."""

    def __init__(self, session: Session, records: Records, sending: Sending) -> None:
        self._session = session
        self._records = records
        self._sending = sending

    def linked(self, changes: Sequence[Change], answers: dict[str, Answer]) -> list[Change]:
        """Set the primary company of the records whose link differs; the changes without their links.

        HubSpot moves the label "primary" by itself; the company before stays associated without a label.
        """
        rest: list[Change] = []
        for operation, now, change in changes:
            links = [f for f in change if self._records.is_link(operation.object, f)]
            company = change[links[0]] if links else None
            try:
                if links and company:
                    self._associate(operation, company)
                elif links and now.values.get(links[0]):
                    self._dissociate(operation, str(now.values[links[0]]))
            except ContentRefused as error:
                answers[operation.operation_id] = refused(operation, error.refusal)
                continue
            without = {f: v for f, v in change.items() if f not in links}
            if without:
                rest.append((operation, now, without))
            else:
                answers[operation.operation_id] = done(operation)
        return rest

    def _associate(self, operation: Operation, company: str) -> None:
        from hubspot.crm.associations.v4 import (
            AssociationSpec,
            BatchInputPublicAssociationMultiPost,
            PublicAssociationMultiPost,
            PublicObjectId,
        )

        kind = PRIMARY_COMPANY[object_type(operation.object)]
        spec = AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=kind)
        pair = PublicAssociationMultiPost(
            _from=PublicObjectId(id=operation.record_id), to=PublicObjectId(id=company), types=[spec]
        )
        answer = self._sending.sent(
            [operation],
            self._session.crm.associations.v4.batch_api.create,
            object_type(operation.object),
            "company",
            BatchInputPublicAssociationMultiPost(inputs=[pair]),
        )
        errors = getattr(answer, "errors", None) or []
        if errors and not answer.results:
            self._sending.taken.discard(operation.operation_id)
            raise ContentRefused(refusal_of(error_of(errors[0])))

    def _dissociate(self, operation: Operation, company: str) -> None:
        from hubspot.crm.associations.v4 import (
            BatchInputPublicAssociationMultiArchive,
            PublicAssociationMultiArchive,
            PublicObjectId,
        )

        pair = PublicAssociationMultiArchive(
            _from=PublicObjectId(id=operation.record_id), to=[PublicObjectId(id=company)]
        )
        self._sending.sent(
            [operation],
            self._session.crm.associations.v4.batch_api.archive,
            object_type(operation.object),
            "company",
            BatchInputPublicAssociationMultiArchive(inputs=[pair]),
        )

    def opted_out(self, changes: Sequence[Change], answers: dict[str, Answer]) -> list[Change]:
        """Unsubscribe contacts from all e-mail, by their address; the changes without the flag."""
        asked = {
            o.operation_id: f
            for o, _, change in changes
            for f in change
            if self._records.property_of(o.object, f).name == OPT_OUT
        }
        if not asked:
            return list(changes)
        ids = [o.record_id or "" for o, _, _ in changes if o.operation_id in asked]
        addresses = self._records.read(changes[0][0].object, ids, ["email"])
        # The client has no method for v4 yet; its own request machinery is used as it stands.
        machinery = self._session.crm.objects.batch_api.api_client
        rest: list[Change] = []
        for operation, now, change in changes:
            key = operation.operation_id
            flag = asked.get(key)
            if flag is None:
                rest.append((operation, now, change))
                continue
            holder = addresses.get(operation.record_id or "")
            address = holder.values.get("email") if holder else None
            if not address:
                words = "the contact has no e-mail address to unsubscribe"
                answers[key] = Answer(key, Outcome.REFUSED, words, operation.record_id, code="NO_ADDRESS")
                continue
            try:
                self._sending.sent([operation], self._unsubscribe, machinery, address)
            except ContentRefused as error:
                answers[key] = refused(operation, error.refusal)
                continue
            without = {f: v for f, v in change.items() if f != flag}
            if without:
                rest.append((operation, now, without))
            else:
                answers[key] = done(operation)
        return rest

    @staticmethod
    def _unsubscribe(machinery: Any, address: str, _request_timeout: tuple[float, float]) -> Any:
        return machinery.call_api(
            "/communication-preferences/v4/statuses/{address}/unsubscribe-all",
            "POST",
            path_params={"address": address},
            query_params=[("channel", "EMAIL")],
            header_params={"Accept": "application/json"},
            response_types_map={200: "object"},
            auth_settings=["oauth2"],
            _return_http_data_only=True,
            _request_timeout=_request_timeout,
        )

"""HubSpot through its official client: the CRM v3 objects, v4 associations, v4 opt-outs.

HubSpot has no precondition. Right before a write the records are read and compared field by field with
what the plan read; what remains is the time between that answer and the write's arrival, one round trip,
in which a change of a user's can be overwritten. HubSpot keeps it in the property's history.

What does not belong here: what an answer means (`hubspot_answers`), names and values
(`hubspot_properties`), pacing and repeating (`delivery`): the client's own repeats are switched off.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crm_hygiene.writeback.operations import Answer, Held, Operation, OperationKind, Outcome
from crm_hygiene.writeback.target import (
    AnswerLost,
    SessionExpired,
    SignInRefused,
    TargetError,
    TargetUnavailable,
)
from crm_hygiene.writeback.targets.hubspot_answers import ContentRefused
from crm_hygiene.writeback.targets.hubspot_links import OPT_OUT, Change, Links
from crm_hygiene.writeback.targets.hubspot_properties import UnknownField, object_type
from crm_hygiene.writeback.targets.hubspot_records import BATCH, PRIMARY_COMPANY, Records
from crm_hygiene.writeback.targets.hubspot_sending import Sending, done, refused
from crm_hygiene.writeback.targets.hubspot_session import Session

if TYPE_CHECKING:
    from crm_hygiene.writeback.policy import TargetPolicy


def open_target(policy: TargetPolicy, secrets: Mapping[str, str], folder: Path) -> HubSpotTarget:
    """The target of a policy with `connector: hubspot`; nothing is sent before `connect`.

    Parameters
    ----------
    secrets
        `access_token` of a private app, or `client_id`, `client_secret` and `refresh_token`.
    folder
        of the project; not used.

    Raises
    ------
    ConfigurationError
        if no secret is named, the address is not TLS, or a time-out is no number.
    """
    return HubSpotTarget(policy, secrets)


class HubSpotTarget:
    """`Target` for HubSpot; `policy.connection` may hold `host`, `ca_file` and the two time-outs."""

    # A merge of HubSpot's cannot be taken back: there is no `unmerge`.
    kinds: Collection[OperationKind] = ("write", "create", "merge", "delete")
    is_live = True

    def __init__(self, policy: TargetPolicy, secrets: Mapping[str, str]) -> None:
        self._session = Session(policy, secrets)
        self._records = Records(self._session, policy)
        self._objects = sorted(policy.objects)
        self.batch_size = min(BATCH, policy.pace.batch)
        self._sending = Sending(self._session, self._records)
        self._links = Links(self._session, self._records, self._sending)

    def connect(self) -> None:
        """Sign in and read the properties of the policy's objects, which shows that the token works."""
        self._records.forget()
        try:
            self._session.open()
            for name in self._objects:
                self._records.properties_of(name)
        except SessionExpired as error:
            self.close()
            raise SignInRefused(
                "HubSpot: the access token has expired; put a new one in its place"
            ) from error
        except ContentRefused as error:
            self.close()
            raise SignInRefused(f"HubSpot refuses the sign-in or an object's name: {error}") from error

    def session_secrets(self) -> Collection[str]:
        """The access token that a refresh token gave."""
        return self._session.secrets()

    def close(self) -> None:
        """Forget the session; HubSpot keeps none."""
        self._session.close()
        self._records.forget()

    def normalise(self, object_name: str, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """Values as HubSpot gives them back, by the property's kind; an unknown field is only trimmed."""
        return self._records.normalise(object_name, values)

    def read(self, object_name: str, record_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Held]:
        """Records by the id asked for. One merged into another shows that other's values, `is_deleted`.

        An archived record is `is_deleted` with its last values; an unknown field is an empty one.
        """
        return self._records.read(object_name, record_ids, fields)

    def expect(self, object_name: str, survivors: Collection[str]) -> None:
        """Ids that others were merged into by an apply before: they live on under the merged record's id."""
        for record_id in survivors:
            self._records.keep(object_name, record_id)

    def find(self, object_name: str, key_field: str, keys: Sequence[str]) -> dict[str, str]:
        """Record ids by the value of a unique property; a merged record gives the one that remains."""
        return self._records.find(object_name, key_field, keys)

    def send(self, operations: Sequence[Operation]) -> list[Answer]:
        """Read, compare, write. A batch refused as a whole is halved until the refused records stand alone.

        When the target fails after a part was taken, the rest is RETRY (not sent) or UNCERTAIN (sent, or in
        part taken); when nothing was taken the failure is raised.
        """
        self._sending.begin()
        answers: dict[str, Answer] = {}
        kinds: dict[str, Callable[[Sequence[Operation], dict[str, Answer]], None]] = {
            "write": self._write,
            "create": self._create,
            "merge": self._merge,
            "delete": self._delete,
        }
        try:
            if operations:
                how = kinds.get(operations[0].kind)
                if how is None:
                    words = "HubSpot cannot take a merge back"
                    return [Answer(o.operation_id, Outcome.REFUSED, words, code="KIND") for o in operations]
                how(operations, answers)
        except ContentRefused as error:
            # While reading what is there now: nothing of this was sent.
            if not self._sending.taken:
                raise TargetUnavailable(f"HubSpot refuses to read: {error}") from error
            self._sending.close_rest(operations, answers, "READ_REFUSED", is_lost=False)
        except TargetError as error:
            if not self._sending.taken:
                raise
            self._sending.close_rest(
                operations, answers, type(error).__name__, is_lost=isinstance(error, AnswerLost)
            )
        return [answers[o.operation_id] for o in operations]

    def _compared(self, operations: Sequence[Operation], answers: dict[str, Answer]) -> list[Change]:
        """Operations that may go on, what their record holds, and what of `after` it does not hold yet."""
        name = operations[0].object
        able = []
        for operation in operations:
            try:
                self._check_writable(operation)
                able.append(operation)
            except UnknownField as error:
                key = operation.operation_id
                answers[key] = Answer(key, Outcome.REFUSED, str(error), operation.record_id, code="FIELD")
        fields = sorted({f for o in able for f in (*o.after, *o.before)})
        held = self.read(name, [o.record_id for o in able if o.record_id], fields) if able else {}
        on: list[Change] = []
        for operation in able:
            key, record_id = operation.operation_id, operation.record_id
            now = held.get(record_id or "")
            if now is None or (now.is_deleted and operation.kind == "write"):
                became = self._records.became(name, record_id)
                words = "the record is gone" if became == record_id else f"merged into record {became}"
                answers[key] = Answer(key, Outcome.CONFLICT, words, record_id, code="GONE")
                continue
            before = self.normalise(name, {f: operation.before.get(f) for f in operation.after})
            before |= self.normalise(name, operation.before)
            after = self.normalise(name, operation.after)
            here = self.normalise(name, now.values)
            changed = [f for f, v in before.items() if here.get(f) not in (v, after.get(f, v))]
            if changed and not now.is_deleted:
                words = f"changed since it was read: {', '.join(sorted(changed))}"
                answers[key] = Answer(key, Outcome.CONFLICT, words, record_id, now.version, "CHANGED")
            else:
                on.append((operation, now, {f: v for f, v in after.items() if here.get(f) != v}))
        return on

    def _check_writable(self, operation: Operation) -> None:
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

    def _write(self, operations: Sequence[Operation], answers: dict[str, Answer]) -> None:
        differing: list[Change] = []
        for operation, now, change in self._compared(operations, answers):
            if change:
                differing.append((operation, now, change))
            else:
                key = operation.operation_id
                answers[key] = Answer(key, Outcome.DONE, "", operation.record_id, now.version, "UNCHANGED")
        linked = self._links.linked(differing, answers)
        self._put(self._links.opted_out(linked, answers), answers)

    def _put(self, changes: Sequence[Change], answers: dict[str, Answer]) -> None:
        from hubspot.crm.objects import (
            BatchInputSimplePublicObjectBatchInput,
            SimplePublicObjectBatchInput,
        )

        texts = {o.operation_id: self._as_sent(o.object, change) for o, _, change in changes}

        def request(some: Sequence[Operation]) -> Any:
            inputs = [
                SimplePublicObjectBatchInput(
                    id=self._records.became(o.object, o.record_id),
                    properties=texts[o.operation_id],
                    object_write_trace_id=o.operation_id,
                )
                for o in some
            ]
            return self._sending.sent(
                some,
                self._session.crm.objects.batch_api.update,
                object_type(some[0].object),
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

    def _as_sent(self, object_name: str, values: Mapping[str, str | None]) -> dict[str, str]:
        """Internal names and texts; an empty text clears a property."""
        return {self._records.property_of(object_name, f).name: v or "" for f, v in values.items()}

    def _create(self, operations: Sequence[Operation], answers: dict[str, Answer]) -> None:
        name = operations[0].object
        able: dict[str, Operation] = {}
        for operation in operations:
            key = operation.operation_id
            try:
                if operation.external_id is None:
                    raise UnknownField("a create needs a unique property to be found again by")
                self._records.property_of(name, operation.external_id[0])
                self._check_writable(operation)
                if any(self._records.property_of(name, f).name == OPT_OUT for f in operation.after):
                    raise UnknownField("an opt-out goes to contacts that exist")
                able[operation.external_id[1]] = operation
            except UnknownField as error:
                answers[key] = Answer(key, Outcome.REFUSED, str(error), code="FIELD")
        if not able:
            return
        key_field = next(o.external_id[0] for o in able.values() if o.external_id)
        known = self.find(name, key_field, list(able))
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
        return {**self._as_sent(name, self.normalise(name, plain)), unique: key}

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
        return self._sending.sent(
            operations,
            self._session.crm.objects.batch_api.upsert,
            object_type(operations[0].object),
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
        return self._sending.sent(
            operations,
            self._session.crm.objects.batch_api.create,
            name,
            BatchInputSimplePublicObjectBatchInputForCreate(inputs=inputs),
        )

    def _merge(self, operations: Sequence[Operation], answers: dict[str, Answer]) -> None:
        """Merge losers into the survivor, one request each; HubSpot moves what points at them by itself.

        Merged contacts and companies get a new id, which the answer carries; the old ids lead to it.
        """
        for operation, now, change in self._compared(operations, answers):
            key, name = operation.operation_id, object_type(operation.object)
            api = getattr(self._session.crm, {"company": "companies"}.get(name, f"{name}s"), None)
            merge = getattr(getattr(api, "basic_api", None), "merge", None)
            if merge is None:
                words = f"HubSpot's client merges no {operation.object}"
                answers[key] = Answer(key, Outcome.REFUSED, words, operation.record_id, code="KIND")
                continue
            losers = self.read(operation.object, list(operation.losers), [])
            left = [i for i in operation.losers if i in losers and not losers[i].is_deleted]
            survivor = self._records.became(operation.object, operation.record_id)
            merged = len(operation.losers) - len(left)
            if now.is_deleted and survivor == operation.record_id and left:
                words = "the survivor is gone"
                answers[key] = Answer(key, Outcome.CONFLICT, words, survivor, now.version, "GONE")
                continue
            self._records.keep(operation.object, operation.record_id or "")
            try:
                for loser in left:
                    survivor = str(
                        self._sending.sent([operation], merge, _merge_input(name, survivor, loser)).id
                    )
                    self._records.survived(operation.object, operation.record_id or "", survivor)
                    merged += 1
            except ContentRefused as error:
                words = f"{merged} of {len(operation.losers)} merged; {error}"
                answers[key] = Answer(key, error.refusal.outcome, words, survivor, code=error.refusal.code)
                continue
            moved = Operation(key, "write", operation.object, survivor, operation.before, operation.after)
            if change:
                self._put([(moved, now, change)], answers)
            else:
                code = "" if left else "FOUND"
                answers[key] = done(moved, code=code)

    def _delete(self, operations: Sequence[Operation], answers: dict[str, Answer]) -> None:
        """Archive records of ours; one that is gone already is done, one that a user changed is left."""
        from hubspot.crm.objects import BatchInputSimplePublicObjectId, SimplePublicObjectId

        going = []
        for operation, now, _ in self._compared(operations, answers):
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
            self._sending.sent(
                going,
                self._session.crm.objects.batch_api.archive,
                object_type(going[0].object),
                BatchInputSimplePublicObjectId(inputs=ids),
            )
        except ContentRefused as error:
            for operation in going:
                answers[operation.operation_id] = refused(operation, error.refusal)
            return
        for operation in going:
            answers[operation.operation_id] = done(operation)


def _merge_input(name: str, survivor: str | None, loser: str) -> Any:
    if name == "contact":
        from hubspot.crm.contacts import PublicMergeInput
    elif name == "company":
        from hubspot.crm.companies import PublicMergeInput
    elif name == "deal":
        from hubspot.crm.deals import PublicMergeInput
    else:
        from hubspot.crm.tickets import PublicMergeInput
    return PublicMergeInput(primary_object_id=survivor, object_id_to_merge=loser)

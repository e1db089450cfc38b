"""Salesforce, live: REST, sObject collections, Bulk API 2.0 and SOAP merge over one session.

Preconditions. A write of fewer than `bulk_from` records is one PATCH per record with `If-Unmodified-Since`:
Salesforce itself refuses it (412) if anything in the record changed since `version`, to the second; it is
then compared field by field, and sent once more if none of its fields is among the changed ones. Larger
ones, merges and deletes have no such header: the record is read and compared right before, and a change
within that moment is overwritten. docs/targets/salesforce.md says so to the user.

What does not belong here: signing in and HTTP (`salesforce_session`), reading (`salesforce_records`), jobs
(`salesforce_bulk`), envelopes (`salesforce_merge`), meanings of error codes (`salesforce_answers`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from crm_hygiene.writeback.operations import Answer, Held, Operation, OperationKind, Outcome
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.target import AnswerLost, Target, TargetError
from crm_hygiene.writeback.targets.salesforce_answers import refusal, without_values
from crm_hygiene.writeback.targets.salesforce_bulk import run_job
from crm_hygiene.writeback.targets.salesforce_bulk_csv import job_cells, jobs_of
from crm_hygiene.writeback.targets.salesforce_merge import (
    LOSERS_PER_REQUEST,
    OBJECTS,
    REQUESTS_PER_CALL,
    SoapFault,
    merge_envelope,
    merge_results,
)
from crm_hygiene.writeback.targets.salesforce_records import SalesforceRecords, slices
from crm_hygiene.writeback.targets.salesforce_session import RefusedRequest, SalesforceSession
from crm_hygiene.writeback.targets.salesforce_types import http_date, long_id

#: Published limit of records per collection.
_WRITE_AT_ONCE = 200

_DUPLICATE_RULES = {"Sforce-Duplicate-Rule-Header": "allowSave=false"}


class SalesforceTarget:
    """See `writeback.target.Target`. A merge cannot be taken back: `kinds` has no unmerge."""

    kinds: Collection[OperationKind] = frozenset({"write", "create", "merge", "delete"})
    is_live = True

    def __init__(self, policy: TargetPolicy, secrets: Mapping[str, str], folder: Path) -> None:
        connection = dict(policy.connection)
        if "ca_bundle" in connection:
            connection["ca_bundle"] = str(folder / connection["ca_bundle"])
        self._session = SalesforceSession(connection, secrets)
        names = {name: dict(of.names) for name, of in policy.objects.items()}
        self._records = SalesforceRecords(self._session, names)
        self._bulk_from = int(float(policy.connection.get("bulk_from", "2000")))
        self._poll_seconds = float(policy.connection.get("bulk_poll_seconds", "2"))
        self._wait_seconds = float(policy.connection.get("bulk_wait_seconds", "600"))
        self.batch_size = policy.pace.batch

    def connect(self) -> None:
        """Sign in, anew if it was signed in before."""
        self._records.forget_types()
        self._session.sign_in()

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def session_secrets(self) -> list[str]:
        """The session's token, to be kept out of logs, tables and messages."""
        return [self._session.token]

    def read(self, object_name: str, record_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Held]:
        """Records as they are now, by id as it was asked for; deleted ones (in the recycle bin) as well."""
        return self._records.read(object_name, record_ids, fields)

    def find(self, object_name: str, key_field: str, keys: Sequence[str]) -> dict[str, str]:
        """Record ids of creates that arrived, by external id."""
        return self._records.find(object_name, key_field, keys)

    def normalise(self, object_name: str, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """Values as Salesforce would give them back, by the types its describe tells (asked for once)."""
        return self._records.normalise(object_name, values)

    def send(self, operations: Sequence[Operation]) -> list[Answer]:
        """Send operations of one kind and one object, in order; one answer each, in the same order.

        Raises
        ------
        TargetError
            if nothing was answered yet; later the rest is answered as RETRY, and as UNCERTAIN what was under
            way when the answer was lost.
        """
        if not operations:
            return []
        kind = operations[0].kind
        if kind == "write":
            return self._write(operations)
        if kind == "create":
            return self._create(operations)
        if kind == "delete":
            return self._delete(operations)
        if kind == "merge":
            return _in_turn([[o] for o in operations], lambda some: [self._merge(some[0])])
        return [_refused(o, f"Salesforce has no {kind}", "UNSUPPORTED") for o in operations]

    def _compared(self, operations: Sequence[Operation]) -> tuple[list[Operation], dict[str, Answer]]:
        """Operations whose record still holds `before`, with its version as read now; conflicts by id."""
        object_name = operations[0].object
        fields = sorted({field for operation in operations for field in operation.before})
        held = self.read(object_name, [o.record_id or "" for o in operations], fields)
        same: list[Operation] = []
        conflicts: dict[str, Answer] = {}
        for operation in operations:
            now = held.get(operation.record_id or "")
            if now is None or now.is_deleted:
                reason = "deleted in Salesforce" if now else "no such record in Salesforce"
            else:
                reason = self._difference(operation, now)
            if reason:
                conflicts[operation.operation_id] = _conflict(operation, reason)
            else:
                same.append(replace(operation, version=now.version if now else None))
        return same, conflicts

    def _difference(self, operation: Operation, now: Held) -> str:
        before = self.normalise(operation.object, operation.before)
        current = self.normalise(operation.object, {f: now.values.get(f) for f in before})
        changed = sorted(field for field in before if before[field] != current[field])
        return f"changed in Salesforce since it was read: {', '.join(changed)}" if changed else ""

    def _write(self, operations: Sequence[Operation]) -> list[Answer]:
        is_bulk = len(operations) >= self._bulk_from
        unread = [o for o in operations if is_bulk or http_date(o.version) is None]
        same, answers = self._compared(unread) if unread else ([], {})
        if is_bulk:
            return self._bulk(operations, same, answers)
        versions = {o.operation_id: o.version for o in same}
        ready = [
            replace(o, version=versions.get(o.operation_id, o.version))
            for o in operations
            if o.operation_id not in answers
        ]
        sent = _in_turn([[o] for o in ready], lambda some: [self._patch(some[0])])
        return _ordered(operations, answers, sent)

    def _patch(self, operation: Operation, *, may_look_again: bool = True) -> Answer:
        since = http_date(operation.version)
        headers = {**_DUPLICATE_RULES, **({"If-Unmodified-Since": since} if since else {})}
        path = f"sobjects/{operation.object}/{operation.record_id}"
        try:
            body = self._records.json(operation)
        except ValueError as error:
            return _refused(operation, str(error), "INVALID_VALUE")
        try:
            self._session.call("PATCH", path, json=body, headers=headers, is_write=True)
        except RefusedRequest as error:
            if error.status == 412 and operation.before and may_look_again:
                # Somebody changed the record; if none of our fields, the newer version is as good.
                same, conflicts = self._compared([operation])
                if same:
                    return self._patch(same[0], may_look_again=False)
                return conflicts[operation.operation_id]
            return refusal(operation, error.errors, error.status)
        return Answer(operation.operation_id, Outcome.DONE, record_id=operation.record_id)

    def _create(self, operations: Sequence[Operation]) -> list[Answer]:
        answers = {
            o.operation_id: _refused(o, "a create needs external_id in the target's policy", "NO_EXTERNAL_ID")
            for o in operations
            if o.external_id is None
        }
        ready = [o for o in operations if o.external_id is not None]
        if len(ready) >= self._bulk_from:
            return self._bulk(operations, ready, answers)
        by_field: dict[str, list[Operation]] = {}
        for operation in ready:
            if operation.external_id is not None:
                by_field.setdefault(operation.external_id[0], []).append(operation)
        batches = [some for of in by_field.values() for some in slices(of, _WRITE_AT_ONCE)]
        return _ordered(operations, answers, _in_turn(batches, self._upsert))

    def _upsert(self, operations: Sequence[Operation]) -> list[Answer]:
        """At most 200 creates by one external id; each is taken or refused for itself."""
        answers: dict[str, Answer] = {}
        records = []
        ready: list[Operation] = []
        name = ""
        for operation in operations:
            field, value = operation.external_id or ("", "")
            name = self._records.name(operation.object, field)
            try:
                values = {**self._records.json(operation), name: value}
            except ValueError as error:
                answers[operation.operation_id] = _refused(operation, str(error), "INVALID_VALUE")
                continue
            records.append({"attributes": {"type": operation.object}, **values})
            ready.append(operation)
        if not ready:
            return _ordered(operations, answers, [])
        path = f"composite/sobjects/{ready[0].object}/{name}"
        body = {"allOrNone": False, "records": records}
        try:
            told = self._session.call("PATCH", path, json=body, headers=_DUPLICATE_RULES, is_write=True)
        except RefusedRequest as error:
            return _ordered(operations, answers, [refusal(o, error.errors, error.status) for o in ready])
        return _ordered(operations, answers, _collected(ready, told))

    def _delete(self, operations: Sequence[Operation]) -> list[Answer]:
        same, answers = self._compared(operations)

        def delete(some: Sequence[Operation]) -> list[Answer]:
            ids = ",".join(o.record_id or "" for o in some)
            params = {"ids": ids, "allOrNone": "false"}
            try:
                told = self._session.call("DELETE", "composite/sobjects", params=params, is_write=True)
            except RefusedRequest as error:
                return [refusal(o, error.errors, error.status) for o in some]
            return _collected(some, told)

        return _ordered(operations, answers, _in_turn(list(slices(same, _WRITE_AT_ONCE)), delete))

    def _bulk(
        self, operations: Sequence[Operation], ready: Sequence[Operation], answers: dict[str, Answer]
    ) -> list[Answer]:
        rows: dict[str, Operation] = {}
        for operation in ready:
            row = replace(operation, after=self._records.texts(operation))
            if row.external_id is not None:
                field, key = row.external_id
                row = replace(row, external_id=(self._records.name(row.object, field), key))
            try:
                key = next(iter(job_cells(row).values()))
            except ValueError as error:
                answers[operation.operation_id] = _refused(operation, str(error), "INVALID_VALUE")
                continue
            if key in rows:
                # Two rows of one record in a job are taken in no certain order.
                message = "another change of this record goes first"
                answers[operation.operation_id] = Answer(
                    operation.operation_id, Outcome.RETRY, message, operation.record_id, code="SAME_RECORD"
                )
                continue
            rows[key] = row
        try:
            jobs = list(jobs_of(list(rows.values()), len(rows) or 1))
        except ValueError as error:
            too_large = [_refused(o, str(error), "TOO_LARGE") for o in rows.values()]
            return _ordered(operations, answers, too_large)
        by_first = {job.operations[0].operation_id: job for job in jobs}

        def run(some: Sequence[Operation]) -> list[Answer]:
            job = by_first[some[0].operation_id]
            return run_job(self._session, some[0].object, job, self._poll_seconds, self._wait_seconds)

        return _ordered(operations, answers, _in_turn([job.operations for job in jobs], run))

    def _merge(self, operation: Operation) -> Answer:
        if operation.object not in OBJECTS:
            return _refused(operation, f"Salesforce cannot merge {operation.object}", "UNSUPPORTED")
        if len(operation.losers) > LOSERS_PER_REQUEST * REQUESTS_PER_CALL:
            return _refused(operation, "too many losers for one merge", "TOO_LARGE")
        survivor = operation.record_id or ""
        held = self.read(operation.object, operation.losers, ["MasterRecordId"])
        left: list[str] = []
        for loser in operation.losers:
            now = held.get(loser)
            if now is not None and not now.is_deleted:
                left.append(loser)
            elif now is None or now.values["MasterRecordId"] != long_id(survivor):
                return _conflict(operation, f"{loser} is gone from Salesforce")
        if not left:
            return Answer(operation.operation_id, Outcome.DONE, "merged before", survivor)
        conflict = self._survivor_conflict(operation)
        if conflict is not None:
            return conflict
        envelope = merge_envelope(
            self._session.token, operation.object, survivor, left, self._records.texts(operation)
        )
        answer = self._session.soap(envelope, "merge")
        try:
            results = merge_results(answer)
        except SoapFault as fault:
            if (error := self._session.fault(fault.code)) is not None:
                raise error from None
            return refusal(operation, [{"statusCode": fault.code, "message": fault.message}])
        except ValueError as error:
            raise AnswerLost(str(error)) from None
        merged = [loser for result in results for loser in result.losers]
        failed = next((result for result in results if not result.is_merged), None)
        if failed is not None:
            message = f"{len(merged)} of {len(left)} merged; then: {failed.message}"
            return refusal(operation, [{"statusCode": failed.code, "message": message}])
        moved = sum(result.moved for result in results)
        message = f"{len(merged)} merged, {moved} related records moved"
        return Answer(operation.operation_id, Outcome.DONE, message, survivor)

    def _survivor_conflict(self, operation: Operation) -> Answer | None:
        """The conflict of a survivor that holds neither `before` nor, of a merge begun earlier, `after`."""
        same, conflicts = self._compared([operation])
        if same or not operation.after:
            return conflicts.get(operation.operation_id)
        _, differing = self._compared([replace(operation, before=operation.after)])
        return conflicts[operation.operation_id] if differing else None


def _conflict(operation: Operation, reason: str) -> Answer:
    return Answer(operation.operation_id, Outcome.CONFLICT, reason, operation.record_id, code="CHANGED")


def _refused(operation: Operation, reason: str, code: str) -> Answer:
    message = without_values(reason, operation)
    return Answer(operation.operation_id, Outcome.REFUSED, message, operation.record_id, code=code)


def _collected(operations: Sequence[Operation], told: Any) -> list[Answer]:
    """Answers of an sObject collection, whose results come in the order of the records."""
    results = told if isinstance(told, list) else []
    if len(results) != len(operations):
        raise AnswerLost(f"{len(results)} results for {len(operations)} records")
    answers = []
    for operation, result in zip(operations, results, strict=True):
        if result.get("success"):
            message = "already there" if operation.kind == "create" and result.get("created") is False else ""
            record_id = result.get("id") or operation.record_id
            answers.append(Answer(operation.operation_id, Outcome.DONE, message, record_id))
        else:
            answers.append(refusal(operation, result.get("errors") or []))
    return answers


def _ordered(
    operations: Sequence[Operation], answers: Mapping[str, Answer], sent: Sequence[Answer]
) -> list[Answer]:
    by_id = {**answers, **{answer.operation_id: answer for answer in sent}}
    return [by_id[operation.operation_id] for operation in operations]


def _in_turn(
    batches: Sequence[Sequence[Operation]], send: Callable[[Sequence[Operation]], list[Answer]]
) -> list[Answer]:
    """Batches one after the other, until the target as a whole fails.

    Raises
    ------
    TargetError
        if it fails before anything was answered; later the answers so far must not be lost with it.
    """
    answers: list[Answer] = []
    for number, batch in enumerate(batches):
        try:
            answers += send(batch)
        except TargetError as error:
            if not answers:
                raise
            under_way = Outcome.UNCERTAIN if isinstance(error, AnswerLost) else Outcome.RETRY
            rest = [(o, Outcome.RETRY) for later in batches[number + 1 :] for o in later]
            for operation, outcome in [*((o, under_way) for o in batch), *rest]:
                answers.append(
                    Answer(
                        operation.operation_id,
                        outcome,
                        str(error),
                        operation.record_id,
                        code=type(error).__name__,
                    )
                )
            break
    return answers


def open_target(policy: TargetPolicy, secrets: Mapping[str, str], folder: Path) -> Target:
    """The live target of a policy, not yet signed in; a relative `ca_bundle` is looked for in `folder`.

    Raises
    ------
    ConfigurationError
        if `connection` or `secrets` cannot sign in.
    """
    return SalesforceTarget(policy, secrets, folder)

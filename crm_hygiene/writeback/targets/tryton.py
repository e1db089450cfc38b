"""Tryton 8 as a target: parties, opportunities, invoices and statement lines over its JSON-RPC.

`open_target` is the door. Of the policy's `connection` it takes

    url                    https://host[:port]; plain http for loopback only
    database, user         as in Tryton's sign-in; the password is the secret `password`
    timeout_seconds        of each call (default 60)
    ca_file                certificates to trust instead of the system's
    email_opt_out_category, phone_opt_out_category
                           categories that mean an opt-out (default "No e-mail", "No phone")
    person_category        category whose parties are people (default "Person"; `tryton_export`)

Preconditions are Tryton's own: a write carries the time stamps of the party and its parts as read in the same
breath, and Tryton refuses it if one moved. What does not belong here: retries and pace (`delivery`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.operations import Answer, Held, Operation, OperationKind, Outcome, Values
from crm_hygiene.writeback.policy import TargetPolicy
from crm_hygiene.writeback.target import AnswerLost, TargetError
from crm_hygiene.writeback.targets import tryton_postings
from crm_hygiene.writeback.targets.tryton_merges import Merging
from crm_hygiene.writeback.targets.tryton_parties import (
    OBJECT,
    Party,
    comparable,
    is_flat,
    new_party,
    own_fields,
)
from crm_hygiene.writeback.targets.tryton_records import Reader, Record, telling
from crm_hygiene.writeback.targets.tryton_references import References
from crm_hygiene.writeback.targets.tryton_rpc import CallRefused, TrytonSession
from crm_hygiene.writeback.targets.tryton_values import Unfit, normal_text, value_of

_CATEGORY_KEYS = {"email_opt_out": "email_opt_out_category", "phone_opt_out": "phone_opt_out_category"}
_CONNECTION = (
    "url",
    "database",
    "user",
    "timeout_seconds",
    "ca_file",
    "person_category",
    *_CATEGORY_KEYS.values(),
)


def open_target(policy: TargetPolicy, secrets: Mapping[str, str], folder: Path) -> TrytonTarget:
    """The Tryton of a policy, not yet signed in.

    Raises
    ------
    ConfigurationError
        if `connection` lacks an address, database or user, or names something else.
    """
    given = policy.connection
    for key in given:
        if key not in _CONNECTION:
            raise ConfigurationError(
                f"target {policy.target}: connection has no key '{key}'{nearest(key, [*_CONNECTION])}"
            )
    for key in ("url", "database", "user"):
        if not given.get(key):
            raise ConfigurationError(f"target {policy.target}: connection lacks '{key}'")
    if "password" not in secrets:
        raise ConfigurationError(f"target {policy.target}: secrets lacks 'password'")
    password = "".join(secrets["password"])
    ca_file = str(folder / given["ca_file"]) if given.get("ca_file") else None
    session = TrytonSession(
        given["url"],
        given["database"],
        given["user"],
        password,
        float(given.get("timeout_seconds", 60)),
        ca_file,
    )
    return TrytonTarget(session, opt_out_categories(given))


def opt_out_categories(connection: Mapping[str, str]) -> dict[str, str]:
    """Flat opt-out field -> the category that means it, as the policy's `connection` says."""
    usual = {"email_opt_out": "No e-mail", "phone_opt_out": "No phone"}
    return {field: connection.get(key, usual[field]) for field, key in _CATEGORY_KEYS.items()}


@dataclass(frozen=True)
class _Due:
    """One operation that passed its preconditions: its call's arguments and their time stamps."""

    operation: Operation
    arguments: tuple[Any, ...]
    timestamps: Mapping[str, str]
    known: tuple[str, ...] = ()


class TrytonTarget:
    """See `crm_hygiene.writeback.target.Target`."""

    kinds: Collection[OperationKind] = ("write", "create", "merge", "delete", "unmerge")
    batch_size = 200
    is_live = True

    def __init__(self, session: TrytonSession, opt_out_categories: Mapping[str, str]) -> None:
        self.session = session
        self._opt_outs = dict(opt_out_categories)
        self.reader = Reader(session, opt_out_categories)
        self._references: dict[str, References] = {}

    def connect(self) -> None:
        """Sign in, anew if it was signed in before."""
        self.session.sign_in()
        self.reader = Reader(self.session, self._opt_outs)
        self._references = {}

    def close(self) -> None:
        """End the session."""
        self.session.sign_out()

    def read(self, object_name: str, record_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Held]:
        """Records as they are now, by id; an inactive one counts as deleted, an unknown id is left out."""
        numbers = [int(r) for r in record_ids if r.isdigit()]
        records = self.reader.records(object_name, numbers, fields)
        return {
            str(number): Held({f: record.value(f) for f in fields}, record.version, record.is_deleted)
            for number, record in records.items()
        }

    def find(self, object_name: str, key_field: str, keys: Sequence[str]) -> dict[str, str]:
        """Ids of records by the value of one of their own fields; the oldest where several have it."""
        if not keys:
            return {}
        self.reader.check(object_name, [key_field])
        domain = [[key_field, "in", list(keys)]]
        rows = self.reader.search(object_name, domain, [key_field])
        return {str(row[key_field]): str(row["id"]) for row in sorted(rows, key=lambda r: -int(r["id"]))}

    def normalise(self, object_name: str, values: Values) -> dict[str, str | None]:
        """Values as they are compared: telephone numbers in E.164, plain decimals, bare tax numbers."""
        if object_name == tryton_postings.OBJECT:
            return {f: tryton_postings.normal_text(f, v) for f, v in values.items()}
        normal: dict[str, str | None] = {}
        for field, text in values.items():
            if is_flat(object_name, field):
                normal[field] = comparable(field, text)
            else:
                description = self.reader.describe(object_name).get(field)
                normal[field] = text if description is None else normal_text(field, description, text)
        return normal

    def send(self, operations: Sequence[Operation]) -> list[Answer]:
        """Send operations of one kind and one object; what one refuses does not stop the others."""
        if not operations:
            return []
        kind, name = operations[0].kind, operations[0].object
        answers: dict[str, Answer] = {}
        try:
            if kind in ("merge", "unmerge"):
                self._merge(operations, answers)
            elif kind == "create":
                self._create(name, operations, answers)
            else:
                self._change(name, kind, operations, answers)
        except TargetError as error:
            if not answers:
                raise
            # Some were answered before the way broke: the rest is read again before it is sent again.
            lost = Outcome.UNCERTAIN if isinstance(error, AnswerLost) else Outcome.RETRY
            for op in operations:
                answers.setdefault(op.operation_id, Answer(op.operation_id, lost, str(error), op.record_id))
        return [answers[op.operation_id] for op in operations]

    def _merge(self, operations: Sequence[Operation], answers: dict[str, Answer]) -> None:
        merging = Merging(self.session, self.reader.rows, _masked)
        for op in operations:
            if op.object != OBJECT:
                answers[op.operation_id] = _answer(op, Outcome.REFUSED, "unfit", f"{op.object} is not merged")
            else:
                answers[op.operation_id] = merging.merge(op) if op.kind == "merge" else merging.unmerge(op)

    def _change(
        self, name: str, kind: OperationKind, operations: Sequence[Operation], answers: dict[str, Answer]
    ) -> None:
        """Writes and deletes: compare, then call with the time stamps of what was compared."""
        fields = sorted({f for op in operations for f in (*op.before, *op.after)})
        numbers = {
            op.operation_id: int(op.record_id) if op.record_id and op.record_id.isdigit() else 0
            for op in operations
        }
        records = self.reader.records(name, sorted(numbers.values()), fields)
        due = []
        for op in operations:
            number = numbers[op.operation_id]
            record = records.get(number)
            if record is None:
                gone = Outcome.DONE if kind == "delete" else Outcome.CONFLICT
                answers[op.operation_id] = _answer(op, gone, "gone", "the record is gone")
                continue
            if (judged := self._judged(op, record)) is not None:
                answers[op.operation_id] = judged
                continue
            known = tuple(v for v in (record.value(f) for f in telling(name)) if v)
            arguments: tuple[Any, ...] = ([number],)
            try:
                if kind == "write":
                    arguments = ([number], self._values(name, op.after, record.party))
            except Unfit as unfit:
                answers[op.operation_id] = _answer(op, Outcome.REFUSED, "unfit", str(unfit))
                continue
            due.append(_Due(op, arguments, record.timestamps, known))
        if kind == "delete":
            due = self._unreferenced(name, due, answers)
        self._call_in_halves(name, kind, due, answers)

    def _unreferenced(self, name: str, due: list[_Due], answers: dict[str, Answer]) -> list[_Due]:
        """The deletes that leave no reference empty; the others are answered."""
        if not due:
            return due
        if name not in self._references:
            self._references[name] = References(self.session, name)
        pointing = self._references[name].to([d.arguments[0][0] for d in due])
        free = []
        for d in due:
            if model := pointing.get(d.arguments[0][0]):
                answers[d.operation.operation_id] = _answer(
                    d.operation, Outcome.REFUSED, "referenced", f"a record of {model} refers to it"
                )
            else:
                free.append(d)
        return free

    def _judged(self, op: Operation, record: Record) -> Answer | None:
        """The answer to an operation that needs no call, or may not have one."""
        if op.kind == "write" and all(record.value(f) == v for f, v in op.after.items()):
            return Answer(op.operation_id, Outcome.DONE, "", op.record_id, record.version, "already")
        now = self.normalise(op.object, {f: record.value(f) for f in op.before})
        changed = sorted(f for f, v in self.normalise(op.object, op.before).items() if now[f] != v)
        if changed:
            return _answer(
                op, Outcome.CONFLICT, "changed", f"changed since it was read: {', '.join(changed)}"
            )
        if op.version is not None and op.version != record.version:
            return _answer(op, Outcome.CONFLICT, "concurrency", "the record was changed meanwhile")
        return None

    def _create(self, name: str, operations: Sequence[Operation], answers: dict[str, Answer]) -> None:
        keys = {op.external_id for op in operations if op.external_id}
        found = {
            (field, value): record_id
            for field in sorted({k[0] for k in keys})
            for value, record_id in self.find(name, field, [v for f, v in sorted(keys) if f == field]).items()
        }
        new = []
        for op in operations:
            if op.external_id is None:
                answers[op.operation_id] = _answer(
                    op, Outcome.REFUSED, "unfit", "a create needs an external id"
                )
            elif op.external_id in found:
                record_id = found[op.external_id]
                answers[op.operation_id] = Answer(op.operation_id, Outcome.DONE, "", record_id, code="found")
            else:
                new.append(op)
        due = []
        for op, values in zip(new, self._created(name, new), strict=True):
            if isinstance(values, Unfit):
                answers[op.operation_id] = _answer(op, Outcome.REFUSED, "unfit", str(values))
            else:
                due.append(_Due(op, (values,), {}))
        self._call_in_halves(name, "create", due, answers)

    def _created(self, name: str, operations: Sequence[Operation]) -> list[dict[str, Any] | Unfit]:
        wholes = [{**op.after, **dict([op.external_id] if op.external_id else [])} for op in operations]
        if name == tryton_postings.OBJECT:
            return tryton_postings.line_values(wholes, self.reader.rows) if wholes else []
        made: list[dict[str, Any] | Unfit] = []
        for texts in wholes:
            try:
                party = new_party(self.reader.party_dialect()) if name == OBJECT else None
                made.append(self._values(name, {f: v for f, v in texts.items() if v is not None}, party))
            except Unfit as unfit:
                made.append(unfit)
        return made

    def _values(self, name: str, after: Values, party: Party | None) -> dict[str, Any]:
        own = own_fields(name, after)
        self.reader.check(name, own)
        described = self.reader.describe(name)
        values = {f: value_of(f, described[f], after[f]) for f in own}
        if party is not None:
            values |= party.commands({f: v for f, v in after.items() if is_flat(name, f)})
        return values

    def _call_in_halves(
        self, name: str, kind: OperationKind, due: Sequence[_Due], answers: dict[str, Answer]
    ) -> None:
        """One call, one transaction; where it is refused as a whole, each half by itself, down to the one."""
        if not due:
            return
        arguments: list[Any] = [a for d in due for a in d.arguments]
        if kind == "create":
            arguments = [arguments]
        elif kind == "delete":
            arguments = [[number for numbers in arguments for number in numbers]]
        stamps = {k: v for d in due for k, v in d.timestamps.items()}
        try:
            result = self.session.call(
                f"model.{name}.{kind}", *arguments, changes=True, context={"_timestamp": stamps}
            )
        except CallRefused as refused:
            if len(due) == 1 or refused.outcome is Outcome.RETRY:
                for d in due:
                    text = _masked(d.operation, refused.text, d.known)
                    answers[d.operation.operation_id] = _answer(
                        d.operation, refused.outcome, refused.code, text
                    )
                return
            middle = len(due) // 2
            self._call_in_halves(name, kind, due[:middle], answers)
            self._call_in_halves(name, kind, due[middle:], answers)
            return
        made = [str(r) for r in result] if kind == "create" else [d.operation.record_id for d in due]
        versions = {} if kind == "delete" else self._versions(name, [m for m in made if m])
        for d, record_id in zip(due, made, strict=True):
            key = d.operation.operation_id
            answers[key] = Answer(key, Outcome.DONE, "", record_id, versions.get(record_id or ""))

    def _versions(self, name: str, record_ids: Sequence[str]) -> dict[str, str | None]:
        """What was just written, by its new version; none if the way breaks, for the write is done."""
        try:
            return {r: held.version for r, held in self.read(name, record_ids, ()).items()}
        except (TargetError, ConfigurationError):
            return {}


def _answer(op: Operation, outcome: Outcome, code: str, message: str) -> Answer:
    return Answer(op.operation_id, outcome, message, op.record_id, code=code)


def _masked(op: Operation, text: str, known: Sequence[str] = ()) -> str:
    """Tryton's sentence without the values it repeats: those of the operation, the party's name and code."""
    external = op.external_id[1] if op.external_id else None
    values = {*op.before.values(), *op.after.values(), *known, external}
    for value in sorted((v for v in values if v), key=len, reverse=True):
        text = text.replace(f'"{value}"', '"***"')
        if len(value) > 3:
            text = text.replace(value, "***")
    return text

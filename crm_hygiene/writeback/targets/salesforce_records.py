"""Salesforce's records as they are: reading, finding, and the field types they are read and written by.

What does not belong here: changing anything (`salesforce`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from urllib.parse import quote

from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.operations import Held, Operation
from crm_hygiene.writeback.targets.salesforce_session import RefusedRequest, SalesforceSession
from crm_hygiene.writeback.targets.salesforce_types import (
    FieldType,
    as_json,
    as_text,
    field_types,
    is_id,
    long_id,
    normalised,
    plain_number,
)

#: Published limit of records per collection read; characters of a list that still fit into an address, whose
#: limit is 16,384 bytes with all headers.
_READ_AT_ONCE, _QUERY_LENGTH = 2000, 8000

_VERSION = "LastModifiedDate"
_SYSTEM = frozenset({"Id", "IsDeleted", _VERSION})

_T = TypeVar("_T")


def slices(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """At most `size` items at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _short_lists(keys: Iterable[str]) -> Iterator[list[str]]:
    """Keys whose list in a query still fits into an address."""
    some: list[str] = []
    length = 0
    for key in keys:
        size = len(quote(_quoted(key), safe="")) + 3
        if some and length + size > _QUERY_LENGTH:
            yield some
            some, length = [], 0
        some.append(key)
        length += size
    if some:
        yield some


def _quoted(text: str) -> str:
    """A SOQL string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def _number(text: str) -> str:
    """A SOQL number literal; a text that is none matches nothing."""
    try:
        return plain_number(Decimal(text))
    except InvalidOperation:
        return "null"


class SalesforceRecords:
    """Records through one session; `names` gives, per object, Salesforce's name of a field of the plan."""

    def __init__(self, session: SalesforceSession, names: Mapping[str, Mapping[str, str]]) -> None:
        self._session = session
        self._names = names
        self._types: dict[str, dict[str, FieldType]] = {}

    def forget_types(self) -> None:
        """Ask for field types anew: another user may sign in, or an administrator change them."""
        self._types.clear()

    def read(self, object_name: str, record_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Held]:
        """Records as they are now, by id as it was asked for; deleted ones (in the recycle bin) as well.

        Raises
        ------
        ConfigurationError
            if the object or a field is not there for this user.
        """
        names = {field: self.name(object_name, field) for field in fields}
        asked = list(dict.fromkeys(i for i in record_ids if is_id(i)))
        columns = sorted({"Id", _VERSION, *names.values()})
        if asked:
            self._check(object_name, columns)
        found: dict[str, dict[str, Any]] = {}
        for ids in slices(asked, _READ_AT_ONCE):
            body = {"ids": list(ids), "fields": columns}
            rows = self._session.call("POST", f"composite/sobjects/{object_name}", json=body, is_write=False)
            found |= {i: row for i, row in zip(ids, rows or [], strict=False) if row is not None}
        missing = [i for i in asked if i not in found]
        for ids in _short_lists(missing):
            # queryAll alone still sees what was deleted or merged away.
            listed = ",".join(_quoted(long_id(i)) for i in ids)
            soql = f"SELECT {','.join([*columns, 'IsDeleted'])} FROM {object_name} WHERE Id IN ({listed})"
            by_id = {row["Id"]: row for row in self._query(soql, "queryAll")}
            found |= {i: by_id[long_id(i)] for i in ids if long_id(i) in by_id}
        return {
            i: Held(
                {field: as_text(row.get(name)) for field, name in names.items()},
                as_text(row.get(_VERSION)),
                bool(row.get("IsDeleted", False)),
            )
            for i, row in found.items()
        }

    def find(self, object_name: str, key_field: str, keys: Sequence[str]) -> dict[str, str]:
        """Record ids of creates that arrived, by external id."""
        name = self.name(object_name, key_field)
        self._check(object_name, [name])
        is_number = self.type_of(object_name, name).is_number
        found: dict[str, str] = {}
        for some in _short_lists(dict.fromkeys(keys)):
            listed = ",".join(_number(key) if is_number else _quoted(key) for key in some)
            soql = f"SELECT Id,{name} FROM {object_name} WHERE {name} IN ({listed})"
            held = {as_text(row.get(name)): str(row["Id"]) for row in self._query(soql, "query")}
            # An external id is not case-sensitive unless its field says so.
            folded = {(key or "").casefold(): record_id for key, record_id in held.items()}
            for key in some:
                record_id = held.get(key) or folded.get(key.casefold())
                if record_id is not None:
                    found[key] = record_id
        return found

    def normalise(self, object_name: str, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """Values as Salesforce would give them back, by the types its describe tells (asked for once)."""
        return {
            field: normalised(value, self.type_of(object_name, self.name(object_name, field)))
            for field, value in values.items()
        }

    def name(self, object_name: str, field: str) -> str:
        """Salesforce's name of a field of the plan."""
        return self._names.get(object_name, {}).get(field, field)

    def type_of(self, object_name: str, name: str) -> FieldType:
        """A field's type; text for a field that is not there, which Salesforce then refuses by name."""
        return self._described(object_name).get(name, FieldType(name))

    def _described(self, object_name: str) -> dict[str, FieldType]:
        if object_name not in self._types:
            try:
                told = self._session.call("GET", f"sobjects/{object_name}/describe", is_write=False)
            except RefusedRequest as error:
                raise ConfigurationError(
                    f"salesforce: no object '{object_name}' that this user may see (HTTP {error.status}); "
                    "correct the policy or the permission set"
                ) from None
            self._types[object_name] = field_types(told or {})
        return self._types[object_name]

    def _check(self, object_name: str, columns: Sequence[str]) -> None:
        known = self._described(object_name)
        for name in columns:
            if name not in known and name not in _SYSTEM:
                raise ConfigurationError(
                    f"salesforce: {object_name} has no field '{name}' that this user may read"
                    f"{nearest(name, sorted(known))}; correct the policy or the permission set"
                )

    def json(self, operation: Operation) -> dict[str, Any]:
        """`after` as the REST API takes it. Raises ValueError as `as_json`."""
        names = {field: self.name(operation.object, field) for field in operation.after}
        return {
            name: as_json(operation.after[field], self.type_of(operation.object, name))
            for field, name in names.items()
        }

    def texts(self, operation: Operation) -> dict[str, str | None]:
        """`after` as SOAP and CSV take it."""
        values = self.normalise(operation.object, operation.after)
        return {self.name(operation.object, field): value for field, value in values.items()}

    def _query(self, soql: str, resource: str) -> list[dict[str, Any]]:
        told = self._session.call("GET", resource, params={"q": soql}, is_write=False)
        rows = list(told["records"])
        while not told.get("done", True):
            # The next page's address begins at the host; `call` begins below the version.
            path = str(told["nextRecordsUrl"]).partition(f"/v{self._session.version}/")[2]
            told = self._session.call("GET", path, is_write=False)
            rows += told["records"]
        return rows

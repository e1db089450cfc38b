"""HubSpot records as they are now: properties, the primary company, what became of merged ones.

What does not belong here: writing (`hubspot`), names and kinds of values (`hubspot_properties`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback.operations import Held
from crm_hygiene.writeback.target import TargetUnavailable
from crm_hygiene.writeback.targets.hubspot_answers import ContentRefused
from crm_hygiene.writeback.targets.hubspot_properties import (
    Properties,
    Property,
    UnknownField,
    object_type,
)
from crm_hygiene.writeback.targets.hubspot_session import Session

if TYPE_CHECKING:
    from crm_hygiene.writeback.policy import TargetPolicy

#: Most records of one batch request, as published.
BATCH = 100

#: Association type ids of "primary company", by the object that points at it, as published.
PRIMARY_COMPANY = {"contact": 1, "deal": 5, "ticket": 26}

#: Which records were merged into one: `id;id`, and for older contacts `id:milliseconds;...`.
_MERGED = ("hs_merged_object_ids", "hs_calculated_merged_vids")


class Records:
    """Reads records of one account; property definitions are read once per session."""

    def __init__(self, session: Session, policy: TargetPolicy) -> None:
        self._session = session
        self._policy = policy
        self._properties: dict[str, Properties] = {}
        self._became: dict[tuple[str, str], str] = {}
        self._survivors: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """Read the property definitions anew."""
        self._properties = {}

    def keep(self, object_name: str, record_id: str) -> None:
        """Remember a survivor of ours before its merge is sent: under a new id it is not gone.

        HubSpot does not tell which of the merged records was the primary one.
        """
        self._survivors.add((object_name, record_id))

    def survived(self, object_name: str, record_id: str, became: str) -> None:
        """Remember the id under which a survivor lives on."""
        self._became[object_name, record_id] = became

    def became(self, object_name: str, record_id: str | None) -> str | None:
        """The id of the record that an id was last seen to lead to; itself where it was not merged."""
        return self._became.get((object_name, record_id or ""), record_id)

    def properties_of(self, object_name: str) -> Properties:
        """The property definitions of an object, read at most once per session."""
        if object_name not in self._properties:
            core = self._session.crm.properties.core_api
            found = self._session.call(core.get_all, object_type(object_name)).results
            told = self._policy.objects.get(object_name)
            self._properties[object_name] = Properties(
                object_name, [_property(p) for p in found], told.names if told else {}
            )
        return self._properties[object_name]

    def is_link(self, object_name: str, name: str) -> bool:
        """Whether a field is the object's link to its company: an association, whatever its name."""
        told = self._policy.objects.get(object_name)
        return told is not None and told.links == name

    def property_of(self, object_name: str, name: str) -> Property:
        """The property a field of the plan means; UnknownField if there is none."""
        if self.is_link(object_name, name):
            return Property(name)
        try:
            return self.properties_of(object_name).of(name)
        except ContentRefused as error:
            raise UnknownField(f"HubSpot has no object '{object_name}'") from error

    def normalise(self, object_name: str, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """Values as HubSpot gives them back, by the property's kind; an unknown field is only trimmed."""
        normal: dict[str, str | None] = {}
        for name, value in values.items():
            try:
                normal[name] = self.property_of(object_name, name).normalise(value)
            except UnknownField:
                normal[name] = (value or "").strip() or None
        return normal

    def as_sent(self, object_name: str, values: Mapping[str, str | None]) -> dict[str, str]:
        """Internal names and texts; an empty text clears a property."""
        return {self.property_of(object_name, f).name: v or "" for f, v in values.items()}

    def read(self, object_name: str, record_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Held]:
        """Records by the id asked for. One merged into another shows that other's values, `is_deleted`.

        An archived record is `is_deleted` with its last values; an unknown field is an empty one.
        """
        try:
            held = self._read(object_name, record_ids, fields, is_archived=False)
            missing = [i for i in record_ids if i not in held]
            if missing:
                held |= self._read(object_name, missing, fields, is_archived=True)
        except ContentRefused as error:
            raise TargetUnavailable(f"HubSpot refuses to read {object_name}: {error}") from error
        return {i: held[i] for i in record_ids if i in held}

    def _read(
        self, object_name: str, record_ids: Sequence[str], fields: Sequence[str], *, is_archived: bool
    ) -> dict[str, Held]:
        from hubspot.crm.objects import BatchReadInputSimplePublicObjectId, SimplePublicObjectId

        links = [f for f in fields if self.is_link(object_name, f)]
        names: dict[str, str] = {}
        for name in fields:
            if name not in links:
                try:
                    names[name] = self.property_of(object_name, name).name
                except UnknownField:
                    continue
        held: dict[str, Held] = {}
        for start in range(0, len(record_ids), BATCH):
            asked = list(dict.fromkeys(record_ids[start : start + BATCH]))
            found = self._session.call(
                self._session.crm.objects.batch_api.read,
                object_type(object_name),
                BatchReadInputSimplePublicObjectId(
                    inputs=[SimplePublicObjectId(id=i) for i in asked],
                    properties=sorted({*names.values(), *_MERGED}),
                    properties_with_history=[],
                ),
                # The client would write Python's True into the address.
                archived="true" if is_archived else "false",
            )
            linked = self._read_links(object_name, asked) if links and not is_archived else {}
            for record in found.results or []:
                values = {f: _filled(record.properties.get(n)) for f, n in names.items()}
                values |= {f: linked.get(str(record.id)) for f in links}
                version = record.updated_at.isoformat() if record.updated_at else None
                if str(record.id) in asked:
                    held[str(record.id)] = Held(values, version, is_archived)
                for merged in _merged_ids(record.properties):
                    if merged in asked and merged not in held:
                        self._became[object_name, merged] = str(record.id)
                        is_loser = (object_name, merged) not in self._survivors
                        held[merged] = Held(values, version, is_deleted=is_loser)
        return held

    def _read_links(self, object_name: str, record_ids: Sequence[str]) -> dict[str, str]:
        from hubspot.crm.associations.v4 import (
            BatchInputPublicFetchAssociationsBatchRequest,
            PublicFetchAssociationsBatchRequest,
        )

        kind = PRIMARY_COMPANY.get(object_type(object_name))
        found = self._session.call(
            self._session.crm.associations.v4.batch_api.get_page,
            object_type(object_name),
            "company",
            BatchInputPublicFetchAssociationsBatchRequest(
                inputs=[PublicFetchAssociationsBatchRequest(id=i) for i in record_ids]
            ),
        )
        linked: dict[str, str] = {}
        for record in found.results or []:
            for other in record.to or []:
                if any(int(t.type_id) == kind for t in other.association_types or []):
                    linked[str(record._from.id)] = str(other.to_object_id)
        return linked

    def find(self, object_name: str, key_field: str, keys: Sequence[str]) -> dict[str, str]:
        """Record ids by the value of a unique property; a merged record gives the one that remains."""
        from hubspot.crm.objects import BatchReadInputSimplePublicObjectId, SimplePublicObjectId

        try:
            key = self.property_of(object_name, key_field)
        except UnknownField as error:
            raise ConfigurationError(str(error)) from error
        found: dict[str, str] = {}
        by_normal = {key.normalise(k): k for k in keys}
        for start in range(0, len(keys), BATCH):
            try:
                answer = self._session.call(
                    self._session.crm.objects.batch_api.read,
                    object_type(object_name),
                    BatchReadInputSimplePublicObjectId(
                        inputs=[SimplePublicObjectId(id=k) for k in keys[start : start + BATCH]],
                        properties=[key.name],
                        properties_with_history=[],
                        id_property=key.name,
                    ),
                )
            except ContentRefused as error:
                raise TargetUnavailable(f"HubSpot refuses to find by {key.name}: {error}") from error
            for record in answer.results or []:
                asked = by_normal.get(key.normalise(record.properties.get(key.name)))
                if asked is not None:
                    found[asked] = str(record.id)
        return found


def _property(told: Any) -> Property:
    meta = told.modification_metadata
    return Property(
        told.name,
        told.label or "",
        told.type or "string",
        told.field_type or "text",
        {o.label: o.value for o in told.options or []},
        bool(told.calculated) or bool(meta and meta.read_only_value),
    )


def _filled(value: str | None) -> str | None:
    return value if value else None


def _merged_ids(properties: Mapping[str, str | None]) -> set[str]:
    parts = ";".join(properties.get(name) or "" for name in _MERGED).split(";")
    return {p.split(":")[0].strip() for p in parts} - {""}

"""Who must not be written about: asked of golden.contacts as it is now, not as the plan saw it."""

from __future__ import annotations

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.writeback.delivery.outbox import Entry

_CONTACTS, _MEMBERS = "golden.contacts", "linked.person_members"

# An opt-out that a night on another machine publishes holds from the next second on.
_WITHIN_SECONDS = 1.0


class SuppressedPeople:
    """Suppressed people and their records; read anew whenever a night has published."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._versions: tuple[int | None, ...] | None = None
        self._entities: frozenset[str] = frozenset()
        self._records: frozenset[tuple[str, str]] = frozenset()

    def _refresh(self) -> None:
        versions = tuple(self._lake.version(table, _WITHIN_SECONDS) for table in (_CONTACTS, _MEMBERS))
        if versions == self._versions:
            return
        contacts = self._lake.scan(contract_of(_CONTACTS)).select("entity_id", "is_suppressed").collect()
        # Not known to be free is suppressed.
        people = contacts.filter(pl.col("is_suppressed").fill_null(value=True))["entity_id"]
        members = self._lake.scan(contract_of(_MEMBERS)).select("source", "record_id", "entity_id")
        records = members.filter(pl.col("entity_id").is_in(people.implode())).collect()
        self._entities = frozenset(people)
        self._records = frozenset(records.select("source", "record_id").iter_rows())
        self._versions = versions

    def forbid(self, entry: Entry) -> bool:
        """Whether the operation speaks of a suppressed person and does not carry the opt-out."""
        if entry.is_opt_out or entry.undoes is not None:
            # Taking back what we wrote is no message about anybody.
            return False
        self._refresh()
        operation = entry.operation
        ids = [operation.record_id, *operation.losers]
        return entry.entity_id in self._entities or any(
            (entry.source, record_id) in self._records for record_id in ids
        )

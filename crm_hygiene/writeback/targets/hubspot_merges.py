"""Merging HubSpot's records, one request a loser.

What does not belong here: under which id a survivor lives on (`hubspot_records`), its fields
(`hubspot_writes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crm_hygiene.writeback.operations import Answer, Operation, Outcome
from crm_hygiene.writeback.targets.hubspot_answers import ContentRefused
from crm_hygiene.writeback.targets.hubspot_comparison import Comparison
from crm_hygiene.writeback.targets.hubspot_properties import object_type
from crm_hygiene.writeback.targets.hubspot_sending import Sending, done
from crm_hygiene.writeback.targets.hubspot_writes import Writes


class Merges:
    """Merges contacts, companies, deals and tickets."""

    def __init__(self, sending: Sending, comparison: Comparison, writes: Writes) -> None:
        self._sending = sending
        self._session, self._records = sending.session, sending.records
        self._comparison = comparison
        self._writes = writes

    def merge(self, operations: Sequence[Operation], answers: dict[str, Answer]) -> None:
        """Merge losers into the survivor, one request each; HubSpot moves what points at them by itself.

        Merged contacts and companies get a new id, which the answer carries; the old ids lead to it.
        """
        for operation, now, change in self._comparison.compared(operations, answers):
            key, name = operation.operation_id, object_type(operation.object)
            api = getattr(self._session.crm, {"company": "companies"}.get(name, f"{name}s"), None)
            merge = getattr(getattr(api, "basic_api", None), "merge", None)
            if merge is None:
                words = f"HubSpot's client merges no {operation.object}"
                answers[key] = Answer(key, Outcome.REFUSED, words, operation.record_id, code="KIND")
                continue
            losers = self._records.read(operation.object, list(operation.losers), [])
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
                self._writes.put([(moved, now, change)], answers)
            else:
                code = "" if left else "FOUND"
                answers[key] = done(moved, code=code)


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

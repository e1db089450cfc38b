"""Ids: which entity id each cluster gets, new, kept, taken back or revived."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from datetime import datetime

import polars as pl

from crm_hygiene.linkage.records import Record
from crm_hygiene.linkage.settings import EntityKind

PREFIX: dict[EntityKind, str] = {"person": "P-", "organisation": "O-"}


def new_id(kind: EntityKind, record: Record, attempt: int = 0) -> str:
    """`P-` or `O-` and 16 hexadecimal digits of the founding record's SHA-256; `attempt` disambiguates."""
    text = "\x1f".join(record if attempt == 0 else (*record, str(attempt)))
    return PREFIX[kind] + hashlib.sha256(text.encode()).hexdigest()[:16]


def assign_ids(
    kind: EntityKind,
    parts: pl.DataFrame,
    touched: pl.DataFrame,
    known: dict[str, tuple[datetime, Record, str | None]],
    taken: set[str],
    settled: set[str],
    since: dict[str, datetime],
    returned: list[tuple[int, str]],
) -> tuple[dict[int, str], dict[str, list[int]]]:
    """Ids for the clusters that are not simply unchanged.

    Parameters
    ----------
    parts
        `entity_id`, `cluster`, `n` (records of the entity in the cluster), `has_founder`, `is_own`
        (it has a record that no merge brought).
    touched
        `cluster`, `founder_of` (ids that rest on its records), `source`, `record_id` (its first record).
    known
        founded_at, founding record and resolves_to by id, for every id that plays a part.
    taken
        every id ever published; new ones are added.
    settled
        ids that stay live where they are.
    since
        when an alias merged.
    returned
        cluster and tombstone to which its returning records belonged, the largest claim first.
    """
    founded_in = {c: list(ids) for c, ids in touched.select("cluster", "founder_of").iter_rows()}

    def age(entity: str) -> tuple[datetime, Record, str]:
        founded_at, founder, _ = known[entity]
        return founded_at, founder, entity

    parts_of: dict[str, list[tuple[int, int, bool, bool]]] = defaultdict(list)
    for entity, number, n, has_founder, is_own in parts.iter_rows():
        parts_of[entity].append((number, n, has_founder, is_own))
    candidates: dict[int, list[str]] = defaultdict(list)
    for entity in sorted(parts_of):
        pieces = parts_of[entity]
        free = [piece for piece in pieces if piece[3]]
        if not free:
            # Every part came by a merge; the one that came first has been the entity for longest.
            came = {
                number: max((since[x] for x in founded_in[number] if x in since), default=None)
                for number, _, _, _ in pieces
            }
            first = min((at for at in came.values() if at is not None), default=None)
            free = [piece for piece in pieces if came[piece[0]] == first]
        best = min(free, key=lambda p: (-p[1], not p[2], p[0]))
        candidates[best[0]].append(entity)
    assigned = {number: min(ids, key=age) for number, ids in candidates.items()}
    live = settled | set(assigned.values())
    founding = touched.select("cluster", "source", "record_id").sort("cluster").rows()
    for number, _, _ in founding:
        sleeping = [x for x in founded_in[number] if x not in live]
        if number not in assigned and sleeping:
            # The id of the last merge is the one that goes back: the others had merged into it before.
            latest = max((since[x] for x in sleeping if x in since), default=None)
            assigned[number] = min((x for x in sleeping if since.get(x) == latest), key=age)
            live.add(assigned[number])
    for number, entity in returned:
        if number not in assigned and entity not in live:
            assigned[number] = entity
            live.add(entity)
    for number, source, record_id in founding:
        if number in assigned:
            continue
        attempt = 0
        while (found := new_id(kind, (source, record_id), attempt)) in taken:
            attempt += 1
        assigned[number] = found
        taken.add(found)
    split = {e: sorted(p[0] for p in pieces) for e, pieces in parts_of.items() if len(pieces) > 1}
    return assigned, split

"""Convergence: the next landing confirms each delivery or reopens it, and finds fields that flip.

A field that returns to a value it has held before, twice in a row, is parked: somebody or something at the
other end wants it otherwise, and a person decides (`writeback unpark`). The plan leaves parked fields out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake
from crm_hygiene.mapping import Mapping as SourceMapping
from crm_hygiene.writeback.delivery.delivery_log import (
    ARRIVED,
    DELIVERIES,
    DeliveryLog,
    DeliveryState,
    Event,
    Standing,
)
from crm_hygiene.writeback.delivery.landed_values import Landed, LandedSource, landed_source
from crm_hygiene.writeback.delivery.outbox import Entry

#: An export that landed this long after a delivery was made after it, whatever its rows say of themselves.
_SURELY_LATER = timedelta(days=1)

#: Full turns, there and back, after which a field is parked.
TURNS = 2

Normalise = Callable[[str, Mapping[str, str | None]], Mapping[str, str | None]]
FieldKey = tuple[str, str, str]
"""Object, record, column."""


@dataclass(frozen=True)
class Convergence:
    """What a landing told of the deliveries before it."""

    confirmed: int = 0
    reopened: int = 0
    parked: int = 0


def withheld(lake: Lake) -> pl.DataFrame:
    """Parked fields, which the plan leaves out: `target`, `object`, `record_id`, `column_name`."""
    names = ["target", "object", "record_id", "column_name"]
    rows = lake.scan(contract_of(DELIVERIES)).filter(
        pl.col("delivery_state").is_in(["parked", "unparked"]) & pl.col("column_name").is_not_null()
    )
    last = rows.sort("recorded_at").unique(names, keep="last", maintain_order=True)
    return last.filter(pl.col("delivery_state") == "parked").select(names).collect().sort(names)


def as_exported(_object: str, values: Mapping[str, str | None]) -> dict[str, str | None]:
    """Values as exports spell them, made comparable: trimmed, truth values in one spelling."""
    truths = {"true": "true", "false": "false", "True": "true", "False": "false", "TRUE": "true"}
    truths["FALSE"] = "false"
    stripped = {name: (value or "").strip() for name, value in values.items()}
    return {name: truths.get(value, value) or None for name, value in stripped.items()}


def landed_sources(
    lake: Lake, mappings: Mapping[str, SourceMapping], entries: Iterable[Entry], log: DeliveryLog
) -> dict[str, LandedSource]:
    """What landed of the records that the entries speak of, by source."""
    fields: dict[str, set[str]] = {}
    ids: dict[str, set[str] | None] = {}
    for entry in entries:
        source = entry.source or ""
        if source not in mappings:
            continue
        op = entry.operation
        fields.setdefault(source, set()).update(op.after, op.before)
        known = log.standings.get(entry.operation_id, Standing()).record_id or op.record_id
        wanted = ids.setdefault(source, set())
        if op.external_id is not None:
            fields[source].add(op.external_id[0])
        if known is None:
            ids[source] = None  # to be found by its external id
        elif wanted is not None:
            wanted.update({known, *op.losers})
    return {s: landed_source(lake, mappings[s], fields[s], ids[s]) for s in sorted(fields)}


def landed_record(entry: Entry, known: Standing, source: LandedSource) -> Landed | None:
    """The record an operation is about, as it landed."""
    record_id = known.record_id or entry.operation.record_id
    if record_id is None and entry.operation.external_id is not None:
        record_id = source.find(*entry.operation.external_id)
    return None if record_id is None else source.records.get(record_id)


def settle(
    log: DeliveryLog,
    sources: Mapping[str, LandedSource],
    apply_id: str,
    now: datetime,
    normalise: Normalise = as_exported,
) -> Convergence:
    """Confirm or reopen what has arrived, and park what goes back and forth, in one commit.

    Parameters
    ----------
    log
        of one target.
    sources
        what has landed, as `landed_sources` gives it.
    apply_id
        under which the rows are written down.
    now
        moment of the rows.
    normalise
        makes landed values and sent ones comparable.
    """
    events = []
    for entry in log.of_states(ARRIVED):
        source = sources.get(entry.source or "")
        if source is not None:
            event = _verdict(entry, log.standings[entry.operation_id], source, normalise)
            events += [] if event is None else [event]
    log.record(events, apply_id, now)
    parked = flips(log, sources, (), normalise)
    log.record([Event(entry, "parked", column_name=column) for entry, column in parked], apply_id, now)
    states = [event.state for event in events]
    return Convergence(states.count("confirmed"), states.count("reopened"), len(parked))


def _verdict(entry: Entry, known: Standing, source: LandedSource, normalise: Normalise) -> Event | None:
    answered = known.answered_at
    if answered is None or source.last_landed_at is None or source.last_landed_at <= answered:
        return None
    kind = entry.operation.kind
    if kind in ("merge", "unmerge", "delete"):
        ids = entry.operation.losers if kind != "delete" else (entry.operation.record_id or "",)
        return _presence(entry, [source.records.get(i) for i in ids], answered, shall_live=kind == "unmerge")
    record = landed_record(entry, known, source)
    if record is None or record.landed_at <= answered:
        return None
    sent = {f: v for f, v in known.sent_fields(entry).items() if f in record.values}
    if not sent and kind == "write":
        return None  # no export shows these fields
    now = normalise(entry.operation.object, {f: record.values[f] for f in sent})
    wanted = normalise(entry.operation.object, sent)
    wrong = sorted(f for f in wanted if (now.get(f) or None) != (wanted[f] or None))
    if not wrong and not record.is_deleted:
        return Event(entry, "confirmed", record_id=known.record_id)
    if not _is_later(record, answered):
        return None
    reason = "the record is gone" if record.is_deleted else f"the export holds another {', '.join(wrong)}"
    return Event(entry, "reopened", image={f: record.values[f] for f in sent}, answer=reason)


def _is_later(record: Landed, answered: datetime) -> bool:
    """Whether the row surely is of a time after the delivery: an export made before it may land after it."""
    return record.observed_at > answered or record.landed_at > answered + _SURELY_LATER


def _presence(
    entry: Entry, records: Sequence[Landed | None], answered: datetime, shall_live: bool
) -> Event | None:
    alive = [r is not None and not r.is_deleted and r.landed_at > answered for r in records]
    if all(alive) if shall_live else not any(alive):
        return Event(entry, "confirmed")
    if shall_live or not any(r is not None and _is_later(r, answered) for r in records):
        return None
    state: DeliveryState = "reopened"
    return Event(entry, state, answer="the export still holds the record")


def concerned(log: DeliveryLog) -> list[Entry]:
    """Operations whose records a landing can tell something of: those that have arrived, and those of
    records that have been written more than once."""
    written = Counter(
        (log.entries[key].operation.object, log.entries[key].operation.record_id)
        for key, known in log.standings.items()
        if known.has_arrived
    )
    again = [
        log.entries[key]
        for key, known in log.standings.items()
        if known.state not in ARRIVED
        and written[log.entries[key].operation.object, log.entries[key].operation.record_id] > 1
    ]
    return [*log.of_states(ARRIVED), *again]


def flips(
    log: DeliveryLog,
    sources: Mapping[str, LandedSource],
    planned: Sequence[Entry],
    normalise: Normalise = as_exported,
) -> list[tuple[Entry, str]]:
    """Fields that have gone back and forth often enough to be parked, each with its last operation.

    The values a field has been seen with are lined up: read before each delivery, delivered, found by a
    landing, read by the plan. What a person undid is left out, and all before the last unparking.
    """
    histories: dict[FieldKey, list[str | None]] = {}
    last: dict[FieldKey, Entry] = {}
    arrived = [
        (known.sent_at, key)
        for key, known in log.standings.items()
        if known.sent_at is not None and known.has_arrived and known.state != "undone"
    ]
    for sent_at, key in sorted(arrived):
        entry, known = log.entries[key], log.standings[key]
        record_id = entry.operation.record_id
        if entry.operation.kind != "write" or entry.undoes is not None or record_id is None:
            continue
        before = normalise(entry.operation.object, known.image or {})
        after = normalise(entry.operation.object, known.sent_fields(entry))
        found = normalise(entry.operation.object, known.found_values or {})
        for column in after:
            place = (entry.operation.object, record_id, column)
            if sent_at <= log.unparked_at.get(place, sent_at - timedelta(1)):
                continue
            values = histories.setdefault(place, [])
            values += [before.get(column), after[column]]
            values += [found[column]] if column in found else []
            last[place] = entry
    for place, values in histories.items():
        source = sources.get(last[place].source or "")
        record = source.records.get(place[1]) if source is not None else None
        answered = log.standings[last[place].operation_id].answered_at
        if record is not None and place[2] in record.values and answered and _is_later(record, answered):
            values.append(normalise(place[0], {place[2]: record.values[place[2]]})[place[2]])
    for entry in planned:
        if entry.operation.kind == "write" and entry.operation.record_id is not None:
            before = normalise(entry.operation.object, entry.operation.before)
            for column in before:
                place = (entry.operation.object, entry.operation.record_id, column)
                if place in histories:
                    histories[place].append(before[column])
    return [
        (last[place], place[2])
        for place, values in sorted(histories.items())
        if turns(values) >= TURNS and place not in log.parked
    ]


def turns(values: Sequence[str | None]) -> int:
    """Full turns at the end of a history: how often it came back, going between the same two values."""
    distinct = [v for i, v in enumerate(values) if i == 0 or v != values[i - 1]]
    run = min(len(distinct), 2)
    while run < len(distinct) and distinct[-run - 1] == distinct[-run + 1]:
        run += 1
    return max(0, (run - 1) // 2)

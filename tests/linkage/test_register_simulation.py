"""200 random nights of merges, splits, deletions, returns and undone merges."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import polars as pl
import pytest

from crm_hygiene.linkage.entity_events import HISTORY_SCHEMA
from crm_hygiene.linkage.register import Register, Registration, register

NIGHT = datetime(2026, 1, 1, tzinfo=UTC)
NIGHTS = 200

Groups = list[frozenset[str]]


@dataclass
class Undo:
    """A merge to be undone: the groups before, and their ids."""

    groups: Groups
    ids: dict[frozenset[str], str]


@dataclass
class Crowd:
    """Records, grouped; it changes a little every night."""

    random: Random
    groups: Groups = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    count: int = 0
    merges: list[Undo] = field(default_factory=list)

    def pick(self, least: int = 1) -> frozenset[str] | None:
        fitting = [group for group in self.groups if len(group) >= least]
        return self.random.choice(fitting) if fitting else None

    def replace(self, old: Groups, new: Groups) -> None:
        self.groups = [group for group in self.groups if group not in old] + [g for g in new if g]

    def arrive(self) -> None:
        self.count += 1
        self._place(f"r{self.random.randrange(10**6):06}-{self.count}")

    def come_back(self) -> None:
        if self.gone:
            self._place(self.gone.pop(self.random.randrange(len(self.gone))))

    def _place(self, record: str) -> None:
        group = self.pick() if self.random.random() < 0.4 else None
        self.replace([group] if group else [], [(group or frozenset()) | {record}])

    def delete(self) -> None:
        if group := self.pick():
            record = self.random.choice(sorted(group))
            self.gone.append(record)
            self.replace([group], [group - {record}])

    def delete_group(self) -> None:
        if group := self.pick():
            self.gone += sorted(group)
            self.replace([group], [])

    def split(self) -> None:
        if group := self.pick(2):
            some = frozenset(self.random.sample(sorted(group), self.random.randrange(1, len(group))))
            self.replace([group], [some, group - some])

    def move(self) -> None:
        source, target = self.pick(2), self.pick()
        if source and target and source != target:
            record = self.random.choice(sorted(source))
            self.replace([source, target], [source - {record}, target | {record}])

    def merge(self, ids: dict[frozenset[str], str]) -> None:
        whole = [group for group in self.groups if group in ids]
        if len(whole) >= 3:
            some = self.random.sample(sorted(whole, key=sorted), self.random.choice((2, 2, 3)))
            self.replace(some, [frozenset().union(*some)])
            self.merges.append(Undo(some, {group: ids[group] for group in some}))

    def undo(self) -> Undo | None:
        if not self.merges:
            return None
        undo = self.random.choice(self.merges)
        self.merges.remove(undo)
        self.replace([frozenset().union(*undo.groups)], undo.groups)
        return undo


def frame_of(groups: Groups, random: Random) -> pl.DataFrame:
    rows = [("s", record, number) for number, group in enumerate(groups) for record in group]
    random.shuffle(rows)
    return pl.DataFrame(
        rows, schema={"source": pl.String, "record_id": pl.String, "cluster": pl.Int64}, orient="row"
    )


def ids_of(outcome: Registration) -> dict[frozenset[str], str]:
    lists = outcome.members.group_by("entity_id").agg("record_id").iter_rows()
    return {frozenset(records): entity for entity, records in lists}


def replayed(members: dict[str, str], events: pl.DataFrame) -> dict[str, str]:
    """Members after a night's events: merges move whole entities, then records leave and join."""
    rows = events.select("event", "entity_id", "related_entity_id", "record_id").rows()
    merged = {entity: related for event, entity, related, _ in rows if event == "merged"}
    members = {record: merged.get(entity, entity) for record, entity in members.items()}
    for event, _, _, record in rows:
        if event == "left":
            members.pop(record, None)
    return members | {record: entity for event, entity, _, record in rows if event in ("created", "joined")}


def states_replayed(states: dict[str, str | None], events: pl.DataFrame) -> dict[str, str | None]:
    """What each id stands for after a night's events: itself, another id, or nothing."""
    rows = events.select("event", "entity_id", "related_entity_id").rows()
    told = {
        entity: {"merged": related, "redirected": related, "retired": None}.get(event, entity)
        for event, entity, related in rows
        if event not in ("joined", "left", "split")
    }
    own = states | told
    return {
        entity: target if entity in told or target is None else own[target] for entity, target in own.items()
    }


@pytest.mark.long
@pytest.mark.parametrize("seed", [1])
def test_ids_live_for_ever(seed: int) -> None:
    random = Random(seed)
    crowd = Crowd(random)
    for _ in range(40):
        crowd.arrive()
    outcome = Registration(
        *(part for part in (Register.empty().members, Register.empty().entities)), HISTORY_SCHEMA.to_frame()
    )
    history = HISTORY_SCHEMA.to_frame()
    members: dict[str, str] = {}
    states: dict[str, str | None] = {}
    founders: dict[str, str] = {}
    undone = 0
    for night in range(NIGHTS):
        before = ids_of(outcome)
        entities = {row["entity_id"]: row for row in outcome.entities.iter_rows(named=True)}
        # What was torn apart in the meantime and comes together anew is another merge.
        crowd.merges = [m for m in crowd.merges if frozenset().union(*m.groups) in crowd.groups]
        undo = crowd.undo() if random.random() < 0.4 else None
        if undo is None:
            for _ in range(random.randrange(0, 4)):
                change = random.choice(
                    [crowd.arrive, crowd.arrive, crowd.delete, crowd.come_back, crowd.split, crowd.move]
                    + [crowd.delete_group] * (random.random() < 0.3)
                )
                change()
            if random.random() < 0.6:
                crowd.merge({group: before[group] for group in crowd.groups if group in before})
        outcome = register(
            "person",
            frame_of(crowd.groups, random),
            Register(outcome.members, outcome.entities, history),
            # Nights without a new landing share their time.
            NIGHT + timedelta(days=night // 2),
        )
        history = pl.concat([history, outcome.history])
        after = ids_of(outcome)
        state = {
            row[0]: (row[1], row[2])
            for row in outcome.entities.select("entity_id", "status", "resolves_to").iter_rows()
        }
        live = {entity for entity, (status, _) in state.items() if status == "live"}

        assert set(after) == set(crowd.groups)
        assert set(after.values()) == live
        assert set(founders) <= set(state)
        assert all((t in live) if s == "alias" else t is None for s, t in state.values())
        for entity, record in outcome.entities.select("entity_id", "founding_record_id").iter_rows():
            assert founders.setdefault(entity, record) == record
        for group in set(before) & set(after):
            assert after[group] == before[group]
        for group, entity in after.items():
            parts = [old for old in before if old <= group]
            if len(parts) > 1 and frozenset().union(*parts) == group:
                assert entity == min(
                    (before[old] for old in parts),
                    key=lambda e: (entities[e]["founded_at"], entities[e]["founding_record_id"]),
                )
        for old, entity in before.items():
            parts = [group for group in after if group <= old]
            has_alias = any(row["resolves_to"] == entity for row in entities.values())
            if len(parts) > 1 and frozenset().union(*parts) == old and not has_alias:
                founder = founders[entity]
                assert any(after[part] == entity and len(part) == max(map(len, parts)) for part in parts)
                largest = [part for part in parts if len(part) == max(map(len, parts))]
                if any(founder in part for part in largest):
                    assert next(after[part] for part in largest if founder in part) == entity
        if undo is not None:
            undone += 1
            whole = before[frozenset().union(*undo.groups)]
            standing = {e: row["resolves_to"] or e for e, row in entities.items()}
            for group, entity in undo.ids.items():
                # An id that a returning founding record took back in the meantime is not to be had.
                if standing[entity] == whole:
                    assert after[group] == entity
        members = replayed(members, outcome.history)
        assert members == dict(outcome.members.select("record_id", "entity_id").iter_rows())
        states = states_replayed(states, outcome.history)
        assert states == {entity: entity if s == "live" else t for entity, (s, t) in state.items()}
        if before == after:
            assert outcome.history.is_empty()
    assert history["event_id"].is_unique().all()
    assert undone > 20
    assert {"created", "merged", "split", "joined", "left", "retired", "revived"} <= set(history["event"])


def test_a_record_that_returns_alone_revives_the_id_its_group_had() -> None:
    random = Random(0)
    first = register("person", frame_of([frozenset({"a", "b"})], random), Register.empty(), NIGHT)
    gone = register(
        "person", frame_of([], random), Register(first.members, first.entities, first.history), NIGHT
    )
    history = pl.concat([first.history, gone.history])
    back = register(
        "person",
        frame_of([frozenset({"b"})], random),
        Register(gone.members, gone.entities, history),
        NIGHT + timedelta(days=2),
    )
    assert ids_of(back)[frozenset({"b"})] == ids_of(first)[frozenset({"a", "b"})]


def test_an_undone_merge_restores_an_id_whose_founding_record_is_gone() -> None:
    random = Random(0)
    older = register("person", frame_of([frozenset({"z"})], random), Register.empty(), NIGHT)
    two = [frozenset({"z"}), frozenset({"a", "b", "c"})]
    outcome, history = older, older.history
    for day, groups in enumerate(
        [two, [frozenset("zabc")], [frozenset("zbc")], [frozenset({"z"}), frozenset({"b", "c"})]], 1
    ):
        outcome = register(
            "person",
            frame_of(groups, random),
            Register(outcome.members, outcome.entities, history),
            NIGHT + timedelta(days=day),
        )
        history = pl.concat([history, outcome.history])
        if day == 1:
            apart = ids_of(outcome)
    restored = ids_of(outcome)
    assert restored[frozenset({"z"})] == apart[frozenset({"z"})]
    assert restored[frozenset({"b", "c"})] == apart[frozenset({"a", "b", "c"})]

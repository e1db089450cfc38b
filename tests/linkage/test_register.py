from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.contract import contract_of
from crm_hygiene.linkage.entity_ids import new_id
from crm_hygiene.linkage.register import Register, Registration, register

NIGHT = datetime(2026, 1, 1, tzinfo=UTC)

# A partition of up to eight records: each record's cluster, or None for a deleted record.
partitions = st.lists(st.one_of(st.none(), st.integers(0, 4)), min_size=8, max_size=8)


def clusters(groups: dict[str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [("s", record, number) for record, number in groups.items()],
        schema={"source": pl.String, "record_id": pl.String, "cluster": pl.Int64},
        orient="row",
    )


def night(groups: dict[str, int], before: Registration | None, day: int) -> Registration:
    previous = Register.empty() if before is None else Register(before.members, before.entities)
    return register("person", clusters(groups), previous, NIGHT + timedelta(days=day))


def ids(outcome: Registration) -> dict[str, str]:
    return dict(outcome.members.select("record_id", "entity_id").iter_rows())


def states(outcome: Registration) -> dict[str, tuple[str, str | None]]:
    return {
        row[0]: (row[1], row[2])
        for row in outcome.entities.select("entity_id", "status", "resolves_to").iter_rows()
    }


def as_groups(partition: list[int | None]) -> dict[str, int]:
    return {f"r{i}": number for i, number in enumerate(partition) if number is not None}


def check_invariants(outcome: Registration, groups: dict[str, int], published: set[str]) -> None:
    state = states(outcome)
    live = {entity for entity, (status, _) in state.items() if status == "live"}
    assert published <= set(state)
    assert set(ids(outcome)) == set(groups)
    assert set(ids(outcome).values()) == live
    by_id: dict[str, set[int]] = {}
    for record, entity in ids(outcome).items():
        by_id.setdefault(entity, set()).add(groups[record])
    assert all(len(numbers) == 1 for numbers in by_id.values())
    assert len(by_id) == len(set(groups.values()))
    for status, target in state.values():
        assert (target in live) if status == "alias" else target is None
    assert outcome.entities["entity_id"].n_unique() == outcome.entities.height
    assert outcome.history["event_id"].n_unique() == outcome.history.height
    for part, table in (
        (outcome.members, "members"),
        (outcome.entities, "entities"),
        (outcome.history, "history"),
    ):
        assert part.schema == contract_of(f"linked.person_{table}").schema


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(partitions, min_size=1, max_size=5))
def test_every_published_id_resolves_whatever_happens(sequence: list[list[int | None]]) -> None:
    before = None
    published: set[str] = set()
    for day, partition in enumerate(sequence):
        groups = as_groups(partition)
        before = night(groups, before, day)
        published |= set(before.entities["entity_id"])
        check_invariants(before, groups, published)


@settings(max_examples=examples(30), deadline=None)
@given(partitions, partitions)
def test_the_same_partition_again_changes_nothing(first: list[int | None], second: list[int | None]) -> None:
    one = night(as_groups(second), night(as_groups(first), None, 0), 1)
    renumbered = {record: 10 - number for record, number in reversed(as_groups(second).items())}
    again = night(renumbered, one, 2)
    assert again.history.is_empty()
    assert again.members.equals(one.members)
    assert again.entities.equals(one.entities)


@settings(max_examples=examples(40), deadline=None)
@given(partitions, st.data())
def test_undoing_a_merge_restores_every_id(partition: list[int | None], data: st.DataObject) -> None:
    groups = as_groups(partition)
    apart = night(groups, None, 0)
    merge = data.draw(st.dictionaries(st.integers(0, 4), st.integers(0, 4)))
    together = night({record: merge.get(number, number) for record, number in groups.items()}, apart, 1)
    back = night(groups, together, 2)
    assert ids(back) == ids(apart)
    assert states(back) == states(apart)


@settings(max_examples=examples(30), deadline=None)
@given(partitions)
def test_deleted_records_that_return_find_their_id(partition: list[int | None]) -> None:
    groups = as_groups(partition)
    before = night(groups, None, 0)
    emptied = night({}, before, 1)
    assert {status for status, _ in states(emptied).values()} <= {"tombstone"}
    assert ids(night(groups, emptied, 2)) == ids(before)


def test_a_merge_keeps_the_oldest_id_and_untouched_entities_theirs() -> None:
    first = night({"b": 1, "z": 2}, None, 0)
    second = night({"a": 1, "b": 2, "z": 3}, first, 1)
    merged = night({"a": 1, "b": 1, "z": 3}, second, 2)
    assert ids(merged) == {"a": ids(first)["b"], "b": ids(first)["b"], "z": ids(first)["z"]}
    assert states(merged)[ids(second)["a"]] == ("alias", ids(first)["b"])
    assert merged.history.select("event", "related_entity_id").rows() == [("merged", ids(first)["b"])]


def test_a_split_leaves_the_id_with_the_largest_part() -> None:
    before = night({"a": 1, "b": 1, "c": 1}, None, 0)
    after = night({"a": 1, "b": 2, "c": 2}, before, 1)
    assert ids(after)["b"] == ids(before)["a"]
    assert ids(after)["a"] == new_id("person", ("s", "a"), 1)
    assert {"split", "created", "left"} <= set(after.history["event"])


def test_a_tie_leaves_the_id_with_the_founding_record() -> None:
    before = night({"a": 1, "b": 1}, None, 0)
    after = night({"a": 2, "b": 1}, before, 1)
    assert ids(after)["a"] == ids(before)["a"]


def test_undo_restores_both_ids_when_the_absorbed_part_is_larger() -> None:
    first = night({"a": 1}, None, 0)
    second = night({"a": 1, "b": 2, "c": 2, "d": 2}, first, 1)
    merged = night(dict.fromkeys("abcd", 1), second, 2)
    assert set(ids(merged).values()) == {ids(first)["a"]}
    back = night({"a": 1, "b": 2, "c": 2, "d": 2}, merged, 3)
    assert ids(back) == ids(second)
    assert "revived" in set(back.history["event"])

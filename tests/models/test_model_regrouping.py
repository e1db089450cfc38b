"""Merged, split and moved, against a count by hand."""

from __future__ import annotations

from itertools import combinations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.models.regrouping import regrouping


def _members(groups: dict[int, str]) -> pl.DataFrame:
    return pl.DataFrame(
        [("crm", str(record), entity) for record, entity in groups.items()],
        schema={"source": pl.String, "record_id": pl.String, "entity_id": pl.String},
        orient="row",
    )


def _together(groups: dict[int, str], records: set[int]) -> set[tuple[int, int]]:
    return {(a, b) for a, b in combinations(sorted(records), 2) if groups[a] == groups[b]}


def test_a_merge_is_told_with_what_it_joins() -> None:
    found = regrouping(_members({1: "A", 2: "A", 3: "B"}), _members({1: "A", 2: "A", 3: "A"}))
    assert (found.merged_entities, found.split_entities, found.moved_records) == (2, 0, 1)
    assert (found.created_ids, found.retired_ids) == (0, 1)
    assert (found.gained_pairs, found.lost_pairs) == (2, 0)
    assert (found.largest_before, found.largest_after) == (2, 3)
    assert found.merges == [{"entity": "A", "parts": {"A": 2, "B": 1}}]


def test_a_split_is_told_with_its_parts() -> None:
    found = regrouping(_members({1: "A", 2: "A", 3: "A"}), _members({1: "A", 2: "A", 3: "C"}))
    assert (found.merged_entities, found.split_entities, found.moved_records) == (0, 1, 1)
    assert (found.gained_pairs, found.lost_pairs) == (0, 2)
    assert found.splits == [{"entity": "A", "parts": {"A": 2, "C": 1}}]


def test_before_the_first_night_there_is_nothing_to_differ_from() -> None:
    found = regrouping(_members({}), _members({1: "A"}))
    assert (found.record_count, found.entity_count, found.new_records) == (0, 0, 1)
    assert (found.merged_entities, found.moved_records, found.gained_pairs) == (0, 0, 0)


_GROUPS = st.dictionaries(st.integers(0, 11), st.sampled_from("ABCDE"), max_size=12)


@given(_GROUPS, _GROUPS)
def test_counts_are_those_of_the_definitions(old: dict[int, str], new: dict[int, str]) -> None:
    found = regrouping(_members(old), _members(new))
    both = old.keys() & new.keys()
    before, after = _together(old, both), _together(new, both)
    assert (found.gained_pairs, found.lost_pairs) == (len(after - before), len(before - after))
    assert found.moved_records == sum(old[r] != new[r] for r in both)
    assert found.merged_entities == len({old[r] for a, b in after - before for r in (a, b)})
    assert found.split_entities == len({old[a] for a, _ in before - after})
    assert (found.new_records, found.gone_records) == (len(new.keys() - both), len(old.keys() - both))
    assert found.created_ids == len(set(new.values()) - set(old.values()))
    assert found.retired_ids == len(set(old.values()) - set(new.values()))


@given(_GROUPS)
def test_nothing_differs_from_itself(groups: dict[int, str]) -> None:
    found = regrouping(_members(groups), _members(groups))
    assert (found.merged_entities, found.split_entities, found.moved_records) == (0, 0, 0)
    assert found.merges == found.splits == []

"""Parents, tops and circles of any graph of stated parents."""

from __future__ import annotations

from typing import Any

import polars as pl
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from crm_hygiene.golden.hierarchy import climb, find_circles

from .night import build
from .records import days_ago

SCHEMA = {
    "entity_id": pl.String,
    "parent_entity_id": pl.String,
    "employee_count": pl.Int64,
    "first_seen_at": pl.Datetime("us", "UTC"),
}


@st.composite
def stated_parents(draw: st.DrawFn) -> pl.DataFrame:
    count = draw(st.integers(0, 12))
    return pl.DataFrame(
        [
            (
                f"O{n}",
                draw(st.none() | st.integers(0, count).map(lambda k: f"O{k}")),
                draw(st.sampled_from([None, 1, 5])),
                days_ago(draw(st.integers(0, 2))),
            )
            for n in range(count)
        ],
        schema=SCHEMA,
        orient="row",
    )


def cut(frame: pl.DataFrame) -> pl.DataFrame:
    problems = find_circles(frame)
    is_cut = pl.col("entity_id").is_in(problems["entity_id"].implode())
    return frame.with_columns(parent_entity_id=pl.when(~is_cut).then("parent_entity_id"))


@given(stated_parents())
@settings(max_examples=examples(200), deadline=None)
def test_after_the_cut_every_walk_upwards_ends(frame: pl.DataFrame) -> None:
    clear = cut(frame)
    assert find_circles(clear).is_empty()
    parents = dict(clear.select("entity_id", "parent_entity_id").iter_rows())
    for entity, top, depth in climb(clear).iter_rows():
        steps = 0
        while parents.get(entity) in parents and parents[entity] != entity:
            entity, steps = parents[entity], steps + 1
            assert steps <= len(parents)
        assert (entity, steps) == (top, depth)


@given(stated_parents(), st.integers(0, 100))
@settings(max_examples=examples(50), deadline=None)
def test_the_order_of_rows_decides_nothing(frame: pl.DataFrame, seed: int) -> None:
    shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
    assert_frame_equal(find_circles(frame), find_circles(shuffled))
    assert_frame_equal(climb(cut(frame)), climb(cut(shuffled)))


def organisation(record_id: str, entity: str, **values: Any) -> dict[str, Any]:
    return {"source": "salesforce_accounts", "record_id": record_id, "entity": entity, **values}


def test_a_circle_is_cut_at_its_largest_account_and_told() -> None:
    golden = build(
        [],
        [
            organisation("1", "O1", parent_record_id="2", employee_count=10),
            organisation("2", "O2", parent_record_id="3", employee_count=900),
            organisation("3", "O3", parent_record_id="1", employee_count=20),
            organisation("4", "O4", parent_record_id="1"),
        ],
    )
    shown = golden.accounts.select(
        "entity_id", "parent_entity_id", "ultimate_parent_entity_id", "hierarchy_depth"
    )
    assert shown.rows() == [
        ("O1", "O2", "O2", 1),
        ("O2", None, "O2", 0),
        ("O3", "O1", "O2", 2),
        ("O4", "O1", "O2", 2),
    ]
    told = "the stated parents go round: O2 under O3 under O1 under O2; O2 is taken as the top"
    assert golden.accounts["hierarchy_problem"].to_list() == [None, told, None, None]
    assert f"accounts: {told}" in golden.notes
    traced = golden.provenance.collect().filter(pl.col("column_name") == "parent_entity_id")
    assert traced["entity_id"].to_list() == ["O1", "O3", "O4"]


def test_a_parent_that_merged_into_its_child_hands_on_its_own_parent() -> None:
    accounts = build(
        [],
        [
            organisation("1", "O1"),
            organisation("2", "O2", parent_record_id="1"),
            organisation("3", "O2", parent_record_id="2"),
            organisation("4", "O4", parent_record_id="3"),
        ],
    ).accounts
    rows = accounts.select("entity_id", "parent_entity_id", "ultimate_parent_entity_id").rows()
    assert rows == [("O1", None, "O1"), ("O2", "O1", "O1"), ("O4", "O2", "O1")]

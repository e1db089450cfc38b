"""What holds of every golden layer, whatever the sources say."""

from __future__ import annotations

from typing import Any
from unittest import mock

import polars as pl
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from crm_hygiene.contract import contract_of
from crm_hygiene.golden import Golden, activities
from crm_hygiene.survivorship.rules import survivorship_columns

from . import records as r
from .night import build, nights

TABLES = ["contacts", "accounts", "leads", "lead_states", "relationships", "activities"]


def cells(golden: Golden, table: str) -> pl.DataFrame:
    """Filled survivorship cells as (entity_id, column_name, value)."""
    frame = golden.table(table)
    columns = survivorship_columns(table)
    return (
        frame.select("entity_id", *(pl.col(c).cast(pl.String) for c in columns))
        .unpivot(columns, index="entity_id", variable_name="column_name")
        .drop_nulls("value")
    )


def the_order_of_rows_changes_nothing(straight: Golden, shuffled: Golden) -> None:
    for table in TABLES:
        assert_frame_equal(straight.table(table), shuffled.table(table))
    assert_frame_equal(straight.provenance.collect(), shuffled.provenance.collect())


def tables_have_the_shape_and_key_of_their_contract(golden: Golden) -> None:
    frames = {t: golden.table(t) for t in TABLES} | {"provenance": golden.provenance.collect()}
    for table, frame in frames.items():
        contract = contract_of(f"golden.{table}")
        assert frame.schema == contract.schema
        assert frame.select(contract.key).is_duplicated().sum() == 0
        assert_frame_equal(frame, frame.sort(contract.key))
        for column in (*contract.key, *contract.required):
            assert frame[column].null_count() == 0, (table, column)
    for column in (
        "quality_score",
        "completeness_score",
        "validity_score",
        "consistency_score",
        "uniqueness_score",
    ):
        assert golden.contacts[column].is_between(0, 1).all()


def every_cell_has_one_provenance_row_that_says_its_value(golden: Golden) -> None:
    traced = golden.provenance.collect()
    for table in ("contacts", "accounts"):
        rows = traced.filter(
            (pl.col("table_name") == f"golden.{table}") & ~pl.col("column_name").str.ends_with("_consent")
        ).select("entity_id", "column_name", "value")
        assert_frame_equal(cells(golden, table), rows, check_row_order=False)


def every_value_occurs_in_the_record_that_provenance_names(night: dict[str, Any], golden: Golden) -> None:
    people = r.people(night["people"]).join(r.members(night["people"]), on=["source", "record_id"])
    traced = golden.provenance.collect().filter(pl.col("table_name") == "golden.contacts")
    for row in traced.iter_rows(named=True):
        if row["column_name"].endswith("_consent") or row["column_name"] == "account_entity_id":
            continue
        record = people.filter(pl.col("source") == row["source"], pl.col("record_id") == row["record_id"])
        assert record["entity_id"].to_list() == [row["entity_id"]]
        assert record[row["column_name"]].cast(pl.String).to_list() == [row["value"]]
        assert record["row_number"].to_list() == [row["row_number"]]
        assert not record["is_deleted"][0]
        assert row["runner_up"] != row["value"]


def no_record_and_no_merge_turns_an_opt_out_off(
    night: dict[str, Any], golden: Golden, more: dict[str, Any], merge: bool
) -> None:
    before = golden.contacts
    grown = {name: [*rows] for name, rows in night.items()}
    for name in ("people", "organisations"):
        grown[name] += [{**row, "record_id": f"more-{row['record_id']}"} for row in more[name]]
    for name in ("consents", "interactions"):
        grown[name] += [{**row, "record_id": f"{row['record_id']}-more"} for row in more[name]]
    if merge:
        grown["people"] = [
            {**row, "entity": "P0" if row["entity"] in ("P1", "P2") else row["entity"]}
            for row in grown["people"]
        ]
    after = {row["entity_id"]: row for row in build(**grown).contacts.iter_rows(named=True)}
    for row in before.iter_rows(named=True):
        now = after["P0" if merge and row["entity_id"] in ("P1", "P2") else row["entity_id"]]
        for column in ("email_consent", "phone_consent"):
            assert row[column] != "opt_out" or now[column] == "opt_out"
        assert now["is_suppressed"] or not row["is_suppressed"]


def a_person_has_at_most_one_current_relationship_and_none_ends_before_it_begins(golden: Golden) -> None:
    rows = golden.relationships
    current = rows.filter("is_current")
    assert current["person_entity_id"].is_duplicated().sum() == 0
    assert current["valid_to"].null_count() == current.height
    assert rows.filter(~pl.col("is_current"))["valid_to"].null_count() == 0
    assert rows.filter(pl.col("valid_to") < pl.col("valid_from")).is_empty()
    accounts = golden.contacts.select(person_entity_id="entity_id", account="account_entity_id")
    joined = current.join(accounts, on="person_entity_id")
    assert joined.height == current.height
    assert (joined["account"] == joined["account_entity_id"]).all()


def test_nothing_in_gives_empty_tables_of_the_right_shape() -> None:
    golden = build([])
    for table in TABLES:
        assert golden.table(table).is_empty()
        assert golden.table(table).schema == contract_of(f"golden.{table}").schema
    assert golden.provenance.collect().is_empty()


def every_interaction_is_in_golden_activities_exactly_once(night: dict[str, Any], golden: Golden) -> None:
    told = golden.activities.collect()
    keys = ["source", "record_id"]
    expected = r.interactions(night["interactions"]).select(keys).sort(keys)
    assert_frame_equal(told.select(keys), expected)


def the_size_of_parts_changes_nothing(night: dict[str, Any], golden: Golden, size: int) -> None:
    with mock.patch.object(activities, "PART_ROWS", 1):
        one_by_one = build(**night)
        assert len(one_by_one.activities.tied.ties) == len(night["interactions"])
        for table in ("activities", "leads"):
            assert_frame_equal(one_by_one.table(table), golden.table(table))
        assert one_by_one.notes == golden.notes
    bucketed = build(**night, size=size)
    assert len(bucketed.persons.rows) == max(1, -(-golden.contacts.height // size))
    for table in TABLES:
        assert_frame_equal(bucketed.table(table), golden.table(table))
    traced = golden.provenance.collect()
    for _ in range(2):
        assert_frame_equal(bucketed.provenance.collect(), traced)
    assert bucketed.notes == golden.notes


def every_lead_has_one_person_at_most_one_account_and_one_present_state(
    night: dict[str, Any], golden: Golden
) -> None:
    keys = ["source", "record_id"]
    live = [
        (p["source"], p["record_id"])
        for p in night["people"]
        if p["person_kind"] in ("lead", "inquiry") and not p["is_deleted"]
    ]
    assert golden.leads.select(keys).rows() == sorted(live)
    assert golden.leads["person_entity_id"].is_in(golden.contacts["entity_id"].implode()).all()
    matched = golden.leads["account_entity_id"].drop_nulls()
    assert matched.is_in(golden.accounts["entity_id"].implode()).all()
    unmatched = golden.leads.filter(pl.col("account_entity_id").is_null())
    assert unmatched["account_rule"].str.starts_with("none").all()
    states = golden.lead_states
    assert_frame_equal(states.filter("is_current").select(keys), golden.leads.select(keys))
    assert states.filter(~pl.col("is_current") & pl.col("valid_to").is_null()).is_empty()
    assert states.filter(pl.col("valid_to") <= pl.col("valid_from")).is_empty()


def accounts_form_trees_whose_top_is_a_root(golden: Golden) -> None:
    accounts = golden.accounts
    parents = dict(accounts.select("entity_id", "parent_entity_id").iter_rows())
    for entity, top, depth in accounts.select(
        "entity_id", "ultimate_parent_entity_id", "hierarchy_depth"
    ).iter_rows():
        steps = 0
        while parents[entity] is not None:
            entity, steps = parents[entity], steps + 1
            assert steps <= len(parents), "the parents go round"
        assert (entity, steps) == (top, depth)


@given(nights(), nights(), st.booleans(), st.integers(0, 1000), st.sampled_from([1, 2]))
@settings(max_examples=examples(25), deadline=None)
def test_what_holds_of_every_golden_layer(
    night: dict[str, Any], more: dict[str, Any], merge: bool, seed: int, size: int
) -> None:
    """Building a layer takes longest by far, so one layer is asked for everything."""
    golden = build(**night)
    the_order_of_rows_changes_nothing(golden, build(**night, seed=seed))
    the_size_of_parts_changes_nothing(night, golden, size)
    tables_have_the_shape_and_key_of_their_contract(golden)
    every_cell_has_one_provenance_row_that_says_its_value(golden)
    every_value_occurs_in_the_record_that_provenance_names(night, golden)
    no_record_and_no_merge_turns_an_opt_out_off(night, golden, more, merge)
    a_person_has_at_most_one_current_relationship_and_none_ends_before_it_begins(golden)
    every_interaction_is_in_golden_activities_exactly_once(night, golden)
    every_lead_has_one_person_at_most_one_account_and_one_present_state(night, golden)
    accounts_form_trees_whose_top_is_a_root(golden)

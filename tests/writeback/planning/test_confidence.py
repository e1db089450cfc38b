"""Confidence: the strongest link of the record times the share of records behind the golden value."""

from __future__ import annotations

import polars as pl
import pytest

from crm_hygiene.writeback.planning.confidence import link_doubts

from .worlds import CONTACTS, World, contact, everything, only, person


def test_support_is_the_share_of_stating_records_that_agree_and_a_pin_is_certain() -> None:
    people = [
        person("1", "e", phone="+491"),
        person("2", "e", "hubspot_contacts", phone="+492"),
        person("3", "e", "hubspot_contacts", phone="+492"),
        person("4", "e", "hubspot_contacts"),
        person("5", "e", "hubspot_contacts", phone="+499", is_deleted=True),
    ]
    here = World(people, contacts=[contact("e", phone="+492")])
    assert here.plan(only(default_winner="golden"))["confidence"].to_list() == [
        pytest.approx(2 / 3, abs=1e-4)
    ]
    pinned = World(
        people,
        contacts=[contact("e", phone="+490")],
        provenance=[
            {
                "table_name": "golden.contacts", "entity_id": "e", "column_name": "phone", "value": "+490",
                "source": "stewardship.pins", "record_id": "p", "rule": "pinned",
            }
        ],
    )  # fmt: skip
    assert pinned.plan(only(default_winner="golden"))["confidence"].to_list() == [1.0]


def test_a_doubtful_link_lowers_it_and_a_merge_has_two() -> None:
    here = World(
        [person("1", "e"), person("2", "e")],
        contacts=[contact("e", given_name="Jon")],
        doubts={(CONTACTS.source, "1"): 0.9, (CONTACTS.source, "2"): 0.8},
    )
    update = here.plan(only(default_winner="golden")).sort("record_id")
    assert update["confidence"].to_list() == [0.9, 0.8]
    merge = here.plan(everything()).filter(pl.col("change_kind") == "merge")
    assert merge["confidence"].to_list() == [pytest.approx(0.72)]


def test_the_strongest_link_counts_and_certain_records_are_not_listed() -> None:
    def pair(left: str, right: str, probability: float | None, is_link: bool = True) -> dict[str, object]:
        return {
            "source_l": "a", "record_id_l": left, "source_r": "b", "record_id_r": right,
            "match_probability": probability, "is_link": is_link,
        }  # fmt: skip

    pairs = pl.LazyFrame(
        [
            pair("1", "1", 0.7),
            pair("1", "2", 0.9),
            pair("2", "3", 0.99999),
            pair("3", "4", 0.5, False),
            pair("4", "5", None),
        ]
    )
    assert link_doubts(pairs, ["a"]).rows() == [("a", "1", 0.9)]
    assert link_doubts(pairs, ["b"]).rows() == [("b", "1", 0.7), ("b", "2", 0.9)]

"""Merges: the oldest record survives, the others go, and what points at them follows."""

from __future__ import annotations

import pytest

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.mapping_file import load_mappings
from crm_hygiene.night import BUILT_IN_SOURCES
from crm_hygiene.writeback import TargetPolicy, mapped_objects
from crm_hygiene.writeback.planning.merges import child_columns

from .worlds import LEADS, Row, World, changes, contact, day, everything, kinds, only, organisation, person


def deal(record_id: str, **more: str | bool | None) -> Row:
    return {"source": "salesforce_opportunities", "record_id": record_id, "is_deleted": False, **more}


def test_the_oldest_record_survives_and_only_it_is_updated() -> None:
    here = World(
        [
            person("1", "e", created_at=day(3)),
            person("2", "e", created_at=day(2), phone="+491"),
            person("3", "e"),
            person("4", "e", LEADS.source, created_at=day(1)),
            person("5", "other", created_at=day(1)),
            person("6", "e", created_at=day(1), is_deleted=True),
        ],
        contacts=[contact("e", phone="+492"), contact("other")],
    )
    plan = here.plan(only(default_winner="golden", merges=True))
    assert changes(plan) == {
        ("1", "merged_into", "merge", None, "2"),
        ("3", "merged_into", "merge", None, "2"),
        ("2", "Phone", "update", "+491", "+492"),
    }
    assert kinds(here.plan(only(default_winner="golden")), "merge") == set()


def test_of_equally_old_records_the_least_id_survives() -> None:
    here = World([person("b", "e"), person("a", "e")], contacts=[contact("e")])
    assert changes(here.plan(only(merges=True))) == {("b", "merged_into", "merge", None, "a")}


def test_suppressed_people_and_converted_leads_are_not_merged() -> None:
    here = World(
        [person("1", "e"), person("2", "e"), person("3", "f"), person("4", "f", is_converted=True)],
        contacts=[contact("e", is_suppressed=True), contact("f")],
    )
    assert here.plan(only(merges=True)).is_empty()


def test_children_of_losers_follow() -> None:
    here = World(
        [
            person("c1", "e", organisation_record_id="A2"),
            person("c2", "e", organisation_record_id="A2", created_at=day(5)),
            person("c3", "s", organisation_record_id="A2"),
            person("c4", "f", organisation_record_id="A1"),
        ],
        [organisation("A1", "o", created_at=day(1)), organisation("A2", "o", created_at=day(2))],
        [contact("e"), contact("s", is_suppressed=True), contact("f")],
        [{"entity_id": "o"}],
        opportunities=[
            deal("d1", person_record_id="c1", organisation_record_id="A2"),
            deal("d2", person_record_id="c2", organisation_record_id="A1"),
            deal("d3", organisation_record_id="A2", is_deleted=True),
        ],
    )
    plan = here.plan(everything())
    assert kinds(plan, "merge") == {
        ("A2", "merged_into", "merge", None, "A1"),
        ("c1", "merged_into", "merge", None, "c2"),
    }
    assert kinds(plan, "reparent") == {
        ("d1", "AccountId", "reparent", "A2", "A1"),
        ("d1", "ContactId", "reparent", "c1", "c2"),
        ("c2", "AccountId", "reparent", "A2", "A1"),
    }
    assert set(plan.filter(plan["change_kind"] == "reparent")["object"]) == {"Opportunity", "Contact"}


def test_a_parked_merge_keeps_its_children_and_its_loser_is_not_written() -> None:
    here = World(
        [person("1", "e", created_at=day(1)), person("2", "e", created_at=day(2))],
        contacts=[contact("e", given_name="Jon")],
        opportunities=[deal("d", person_record_id="2")],
    )
    policy = everything()
    parked = (
        here.plan(policy)
        .filter(column_name="merged_into")
        .select("target", "object", "record_id", "column_name")
    )
    assert changes(here.plan(policy, parked)) == {("1", "FirstName", "update", None, "Jon")}


def test_children_are_found_through_the_source_mappings() -> None:
    mappings = load_mappings([BUILT_IN_SOURCES])
    objects = mapped_objects(mappings, ["salesforce"])

    def found(*children: Row) -> list[tuple[str, str]]:
        policy = TargetPolicy.model_validate(
            {"target": "salesforce", "objects": {"Contact": {"merges": True, "children": children}}}
        )
        return [(c.table, c.column) for c in child_columns(mappings, {"salesforce": policy}, objects)]

    assert found({"object": "Opportunity", "field": "ContactId"}) == [("opportunities", "person_record_id")]
    assert found({"object": "Task", "field": "WhoId"}) == [("interactions", "person_record_id")]
    assert found({"object": "Nowhere", "field": "Id"}) == []
    with pytest.raises(ConfigurationError, match="did you mean 'ContactId'"):
        found({"object": "Opportunity", "field": "ContactIds"})

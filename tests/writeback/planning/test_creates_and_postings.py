"""Creates and postings: what the target lacks, under an id by which it is found again."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback import TargetPolicy

from .worlds import (
    CONTACTS,
    LEADS,
    Row,
    World,
    changes,
    contact,
    everything,
    kinds,
    only,
    organisation,
    person,
)

CREATES = only(
    default_winner="golden", creates=True, external_id="Hygiene_Id__c", links="AccountId", owner="OwnerId"
)


def test_an_entity_without_a_record_is_created_with_its_id_account_and_owner() -> None:
    here = World(
        organisations=[organisation("A1", "o")],
        contacts=[contact("e", given_name="Jon", account_entity_id="o", owner_id="77")],
        accounts=[{"entity_id": "o"}],
    )
    plan = here.plan(CREATES)
    assert changes(plan) == {
        ("e", "FirstName", "create", None, "Jon"),
        ("e", "AccountId", "create", None, "A1"),
        ("e", "OwnerId", "create", None, "005B"),
        ("e", "Hygiene_Id__c", "create", None, "e"),
    }
    assert set(plan["source"]) == {CONTACTS.source}


@pytest.mark.parametrize(
    ("people", "more"),
    [
        ([person("1", "e")], {}),
        ([person("1", "e", LEADS.source)], {}),
        ([person("1", "e", is_deleted=True)], {}),
        ([person("1", "new", external_id="e")], {}),
        ([], {"is_suppressed": True}),
        ([], {"given_name": None}),
    ],
    ids=["held", "held as a lead", "deleted there", "created before", "suppressed", "nothing to say"],
)
def test_not_created(people: list[Row], more: Row) -> None:
    here = World(people, contacts=[contact("e", **{"given_name": "Jon", **more})])
    assert kinds(here.plan(CREATES), "create") == set()


def test_fields_the_target_needs_must_be_there() -> None:
    needs = CREATES.objects["Contact"].model_copy(update={"needs": ("Phone",)})
    policy = CREATES.model_copy(update={"objects": {"Contact": needs}})
    here = World(contacts=[contact("e", given_name="Jon"), contact("f", given_name="Ann", phone="+491")])
    assert set(here.plan(policy)["record_id"]) == {"f"}


def test_an_open_question_of_a_duplicate_lowers_the_confidence() -> None:
    here = World(contacts=[contact("e", given_name="Jon", uniqueness_score=0.4)])
    assert here.plan(CREATES)["confidence"].to_list() == [0.4, 0.4]


def test_two_objects_for_one_entity_are_refused() -> None:
    both = {"creates": True, "external_id": "X"}
    policy = TargetPolicy.model_validate({"target": "salesforce", "objects": {"Contact": both, "Lead": both}})
    with pytest.raises(ConfigurationError, match="Contact and Lead would both be created"):
        World().plan(policy)


def line(allocation_id: str, amount: str, **more: str) -> Row:
    return {
        "allocation_id": allocation_id,
        "payment_record_id": "P1",
        "invoice_source": "erp_invoices",
        "invoice_record_id": "I1",
        "allocation_kind": "payment",
        "allocated_amount": Decimal(amount),
        "currency": "EUR",
        "evidence": "exact reference",
        **more,
    }


def test_every_line_is_a_record_of_its_own_contra_lines_too() -> None:
    here = World(
        allocations=[
            line("a", "12.5000"),
            line("b", "-12.5000", allocation_kind="reversal", reverses_allocation_id="a"),
            line("c", "100.0000", allocation_kind="fee"),
            line("d", "-100.0000", allocation_kind="reversal", reverses_allocation_id="c"),
            line("e", "7", invoice_source="elsewhere"),
        ]
    )
    plan = here.plan(everything())
    assert kinds(plan, "posting") == {
        (i, field, "posting", None, value)
        for i, amount in (("a", "12.5"), ("b", "-12.5"))
        for field, value in (
            ("Bank__c", "P1"), ("Invoice__c", "I1"), ("Amount__c", amount), ("Hygiene_Id__c", i)
        )
    }  # fmt: skip
    reasons = dict(plan.select("record_id", "reason").unique().iter_rows())
    assert reasons["a"] == "reconciled.allocations a: posted: exact reference"
    assert reasons["b"] == "reconciled.allocations b: takes back a: exact reference"
    assert plan["confidence"].unique().to_list() == [1.0]
    assert set(plan["object"]) == {"Payment__c"}


def test_without_named_sources_the_invoices_of_the_targets_own_system_are_meant() -> None:
    policy = TargetPolicy.model_validate(
        {
            "target": "salesforce",
            "postings": {"object": "P", "fields": {"amount": "A"}, "external_id": "X"},
        }
    )
    here = World(allocations=[line("a", "1"), line("b", "2", invoice_source="salesforce_accounts")])
    plan = here.plan(policy)
    assert set(plan.filter(pl.col("column_name") == "X")["after"]) == {"b"}

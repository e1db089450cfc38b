"""Plans as a whole: stable, empty once applied, nothing of suppressed people, nothing that is withheld."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.privacy import suppressed_rows
from crm_hygiene.writeback import MappedObject, TargetPolicy
from crm_hygiene.writeback.planning.changes import FIELD_KEY

from .planning.worlds import (
    ACCOUNTS,
    CONTACTS,
    LEADS,
    OBJECTS,
    Row,
    World,
    applied,
    changes,
    contact,
    day,
    everything,
    only,
    organisation,
    person,
)


def test_deleted_and_unlinked_records_are_left_alone() -> None:
    here = World(
        [person("1", "e", is_deleted=True), person("2", None)], contacts=[contact("e", given_name="J")]
    )
    assert here.plan().is_empty()
    assert here.plan().schema == contract_of("writeback.changes").schema


def test_a_target_without_a_policy_and_an_object_it_does_not_name_get_nothing() -> None:
    here = World([person("1", "e")], contacts=[contact("e", given_name="Jon")])
    assert here.plan(TargetPolicy(target="hubspot")).is_empty()
    assert here.plan(TargetPolicy(target="salesforce")).is_empty()
    assert here.plan(only()).is_empty()
    assert not here.plan(only(default_winner="golden")).is_empty()


def test_change_ids_are_stable_and_tell_empty_from_filled() -> None:
    golden = [contact("e", given_name="Jon")]
    policy = only(default_winner="golden")
    empty = World([person("1", "e")], contacts=golden).plan(policy)
    filled = World([person("1", "e", given_name="J")], contacts=golden).plan(policy)
    assert empty["change_id"][0] != filled["change_id"][0]
    assert empty["change_id"].str.contains("^[0-9a-f]{32}$").all()
    assert empty.equals(World([person("1", "e")], contacts=golden).plan(policy))


def test_withheld_fields_are_left_out_and_creates_and_postings_only_go_whole() -> None:
    here = World(
        [person("1", "e")],
        contacts=[
            contact("e", given_name="Jon", phone="+491"),
            contact("new", given_name="Ann", phone="+492"),
        ],
        allocations=[
            {
                "allocation_id": "a",
                "payment_record_id": "p",
                "invoice_source": "erp_invoices",
                "invoice_record_id": "i",
                "allocation_kind": "payment",
                "allocated_amount": Decimal("12.50"),
                "currency": "EUR",
            }
        ],
    )
    plan = here.plan(everything())
    assert {"update", "create", "posting"} <= set(plan["change_kind"])
    parked = plan.filter(pl.col("column_name").is_in(["FirstName", "Bank__c"])).select(FIELD_KEY)
    left = here.plan(everything(), parked)
    assert changes(left) == {("1", "Phone", "update", None, "+491")}


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([{"columns": {"given_nam": "FirstName"}}], "given_name"),
        ([{"columns": {"owner_id": "OwnerId"}}], "id of one system"),
        ([{"columns": {"given_name": "Name", "family_name": "Name"}}], "two columns"),
        ([{"columns": {"given_name": "N"}}, {"columns": {"full_name": "N"}}], "by 2 mappings"),
        ([{"columns": {"emails": "E"}}], "emails"),
        ([{"subject": "organisations", "consent": {"email": "X"}}], "person's"),
    ],
)
def test_mappings_that_cannot_be_right_are_refused(objects: list[Row], message: str) -> None:
    here = World([person("1", "e")], contacts=[contact("e")])
    base = {"source": CONTACTS.source, "target": "salesforce", "object": "Contact"}
    with pytest.raises(ConfigurationError, match=message):
        here.plan(only(), objects=[MappedObject(**base, **o) for o in objects])


@pytest.mark.parametrize(
    ("contact_policy", "message"),
    [
        ({"fields": {"FirstNam": "golden"}}, "no source mapping writes 'FirstNam'; did you mean 'FirstName'"),
        ({"links": "Phone"}, "'Phone' is written by the source mapping, too"),
        ({"creates": True, "external_id": "X", "needs": ["Birthdat"]}, "Birthdate"),
    ],
)  # fmt: skip
def test_policies_that_name_what_nothing_writes_are_refused(contact_policy: Row, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        World().plan(only(**contact_policy))


def test_a_misspelt_object_is_refused_and_a_source_that_is_switched_off_is_not() -> None:
    wrong = TargetPolicy.model_validate({"target": "salesforce", "objects": {"Contct": {}}})
    with pytest.raises(ConfigurationError, match="did you mean 'Contact'"):
        World().plan(wrong)
    assert World().plan(everything(), objects=[CONTACTS]).is_empty()


_NAMES = st.sampled_from([None, "", "Jon", "John", " Jon", "Ann"])
_PHONES = st.sampled_from([None, "+491", "+492"])
_DATES = st.sampled_from([None, date(1980, 1, 2)])
_STATES = st.sampled_from(["opt_in", "unknown", "unknown", "unknown", "opt_out"])
_SELDOM = st.sampled_from([False, False, False, True])
_OWNERS = st.sampled_from([None, "005A", "005B", "005X", "77", "Bob", "queue"])
_ACCOUNT_KEYS = st.sampled_from([None, "A0", "A1", "A2", "A3", "unknown"])
_CREATED = st.sampled_from([None, day(1), day(2), day(3)])
_FIELDS = {"given_name": _NAMES, "phone": _PHONES, "birth_date": _DATES}


@st.composite
def worlds(draw: st.DrawFn) -> World:
    accounts = [
        {"entity_id": f"o{k}", "organisation_name": draw(_NAMES), "owner_id": draw(_OWNERS)} for k in range(2)
    ]
    organisations = [
        organisation(
            f"A{k}",
            f"o{draw(st.integers(0, 1))}",
            organisation_name=draw(_NAMES),
            is_deleted=draw(_SELDOM),
            created_at=draw(_CREATED),
            owner_id=draw(_OWNERS),
        )
        for k in range(draw(st.sampled_from([4, 3, 1, 0])))
    ]
    contacts = []
    for k in range(draw(st.integers(1, 4))):
        email, phone = draw(_STATES), draw(_STATES)
        suppressed = "opt_out" in (email, phone) or draw(_SELDOM)
        state = {"email_consent": email, "phone_consent": phone, "is_suppressed": suppressed}
        values = {c: draw(v) for c, v in _FIELDS.items()}
        account = draw(st.sampled_from(["o0", "o1", "o2", None]))
        contacts.append(
            contact(f"e{k}", **values, **state, account_entity_id=account, owner_id=draw(_OWNERS))
        )
    people, consents, leads, opportunities = [], [], [], []
    for k in range(draw(st.sampled_from([7, 5, 3, 2, 1, 0]))):
        source = draw(st.sampled_from([CONTACTS.source, CONTACTS.source, LEADS.source, "hubspot_contacts"]))
        people.append(
            person(
                str(k),
                f"e{draw(st.integers(0, 4))}",
                source,
                **{c: draw(v) for c, v in _FIELDS.items()},
                is_deleted=draw(_SELDOM),
                is_converted=draw(st.sampled_from([None, False, False, True])),
                organisation_record_id=draw(_ACCOUNT_KEYS),
                owner_id=draw(_OWNERS),
                created_at=draw(_CREATED),
            )
        )
        if source == LEADS.source:
            leads.append(
                {"source": source, "record_id": str(k), "owner_id": draw(_OWNERS), "owner_rule": "stated"}
            )
        if draw(st.booleans()):
            channel, state = (
                draw(st.sampled_from(["email", "phone", "any"])),
                draw(st.sampled_from(["opt_in", "opt_out"])),
            )
            consents.append(
                {
                    "source": source,
                    "record_id": str(k),
                    "purpose": "any",
                    "channel": channel,
                    "consent_state": state,
                }
            )
        opportunities.append(
            {
                "source": "salesforce_opportunities",
                "record_id": f"d{k}",
                "is_deleted": draw(_SELDOM),
                "person_record_id": str(draw(st.integers(0, k))),
                "organisation_record_id": draw(_ACCOUNT_KEYS),
            }
        )
    allocations = [
        {
            "allocation_id": f"a{k}",
            "payment_record_id": "p",
            "invoice_source": draw(st.sampled_from(["erp_invoices", "other"])),
            "invoice_record_id": "i",
            "allocation_kind": draw(st.sampled_from(["payment", "fee"])),
            "allocated_amount": Decimal("1.00"),
            "currency": "EUR",
        }
        for k in range(draw(st.integers(0, 2)))
    ]
    return World(people, organisations, contacts, accounts, leads, consents, opportunities, allocations)


POLICIES = [
    everything(),
    everything(fields={"AccountId": "golden", "OwnerId": "golden", "Phone": "fill_empty"}),
]
QUICK = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(worlds(), st.sampled_from(POLICIES))
def test_a_plan_that_was_applied_leaves_nothing_to_plan(here: World, policy: TargetPolicy) -> None:
    plan = here.plan(policy)
    assert plan["change_id"].is_unique().all()
    assert plan.select(FIELD_KEY).is_unique().all()
    assert applied(here, plan).plan(policy).is_empty()


@QUICK
@given(worlds(), st.integers(0, 2**32))
def test_row_order_changes_nothing(here: World, seed: int) -> None:
    plan = here.plan()
    other = replace(here, seed=seed).plan(objects=[LEADS, ACCOUNTS, CONTACTS])
    assert other.equals(plan)


@QUICK
@given(worlds())
def test_nothing_goes_out_about_suppressed_people_nor_to_deleted_records(here: World) -> None:
    plan, inputs = here.plan(), here.inputs()
    assert suppressed_rows(plan, inputs.contacts, inputs.person_members).is_empty()
    assert (plan.filter(pl.col("change_kind") == "suppress")["after"] == "true").all()
    gone = pl.concat(
        f.filter("is_deleted").select("source", "record_id")
        for f in (inputs.people, inputs.organisations, inputs.opportunities)
    )
    assert plan.join(gone, on=["source", "record_id"], how="semi").is_empty()
    assert plan["confidence"].is_between(0, 1).all()
    assert set(plan["source"]) <= {m.source for m in OBJECTS} | {"salesforce_opportunities", "erp_invoices"}

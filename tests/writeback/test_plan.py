"""The plan carries real differences, nothing of suppressed people, and nothing twice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.writeback import WritebackPolicy, plan_changes

AS_OF = date(2024, 6, 1)
NOW = datetime(2024, 6, 1, tzinfo=UTC)
Row = dict[str, Any]
COLUMNS = {"given_name": "FirstName", "phone": "Phone", "birth_date": "Birthdate"}
POLICY = WritebackPolicy(
    source="salesforce_contacts",
    target="salesforce",
    object="Contact",
    columns=COLUMNS,
    consent={"email": "HasOptedOutOfEmail", "phone": "DoNotCall"},
)
LEADS = WritebackPolicy(
    source="dynamics_leads", target="dynamics", object="lead", columns={"given_name": "firstname"}
)


def table(name: str, rows: list[Row]) -> pl.DataFrame:
    contract = contract_of(name)
    return pl.DataFrame([{**dict.fromkeys(contract.column_names), **r} for r in rows], schema=contract.schema)


def person(record_id: str, source: str = POLICY.source, **more: Any) -> Row:
    return {"source": source, "record_id": record_id, "is_deleted": False, **more}


def contact(entity_id: str, **more: Any) -> Row:
    consent = {"email_consent": "unknown", "phone_consent": "unknown", "is_suppressed": False}
    return {"entity_id": entity_id, "record_count": 1, "source_count": 1, **consent, **more}


@dataclass(frozen=True)
class World:
    people: pl.DataFrame
    members: pl.DataFrame
    contacts: pl.DataFrame
    consents: pl.DataFrame

    def plan(self, *policies: WritebackPolicy, provenance: pl.DataFrame | None = None) -> pl.DataFrame:
        return plan_changes(
            self.people,
            contract_of("conformed.organisations").empty(),
            self.members,
            contract_of("linked.organisation_members").empty(),
            self.contacts,
            contract_of("golden.accounts").empty(),
            policies or [POLICY],
            AS_OF,
            provenance,
            self.consents,
        )


def world(
    people: list[Row], contacts: list[Row], members: dict[str, str], consents: list[Row] | None = None
) -> World:
    tied = [
        {"source": p["source"], "record_id": p["record_id"], "entity_id": members[p["record_id"]]}
        for p in people
    ]
    return World(
        table("conformed.people", people),
        table("linked.person_members", tied),
        table("golden.contacts", contacts),
        table("conformed.consents", consents or []),
    )


def changes(plan: pl.DataFrame) -> set[tuple[str | None, ...]]:
    return set(plan.select("record_id", "column_name", "change_kind", "before", "after").iter_rows())


def test_only_filled_and_different_values_are_changes() -> None:
    here = world(
        [
            person("1", given_name="Jon", phone="+491", birth_date=date(1980, 1, 2)),
            person("2", given_name=" Jon "),
        ],
        [contact("e", given_name="Jon", phone="+492")],
        {"1": "e", "2": "e"},
    )
    assert changes(here.plan()) == {
        ("1", "Phone", "update", "+491", "+492"),
        ("2", "Phone", "update", None, "+492"),
    }


def test_values_of_any_type_are_compared_as_standardised_text() -> None:
    here = world([person("1")], [contact("e", birth_date=date(1980, 1, 2))], {"1": "e"})
    assert changes(here.plan()) == {("1", "Birthdate", "update", None, "1980-01-02")}


def test_organisations_have_their_own_golden_table() -> None:
    policy = WritebackPolicy(
        source="erp",
        target="erp",
        object="customer",
        columns={"employee_count": "staff", "annual_revenue_amount": "r"},
    )
    plan = plan_changes(
        contract_of("conformed.people").empty(),
        table("conformed.organisations", [{**person("A", "erp"), "employee_count": 5}]),
        contract_of("linked.person_members").empty(),
        table("linked.organisation_members", [{"source": "erp", "record_id": "A", "entity_id": "o"}]),
        contract_of("golden.contacts").empty(),
        table("golden.accounts", [{"entity_id": "o", "employee_count": 7}]),
        [policy],
        AS_OF,
    )
    assert changes(plan) == {("A", "staff", "update", "5", "7")}


def test_deleted_and_unlinked_records_are_left_alone() -> None:
    here = world(
        [person("1", is_deleted=True), person("2")], [contact("e", given_name="Jon")], {"1": "e", "2": "x"}
    )
    assert here.plan().is_empty()
    assert here.plan().schema == contract_of("writeback.changes").schema


def test_suppressed_people_get_their_suppression_and_nothing_else() -> None:
    out = contact("e", given_name="Jon", is_suppressed=True, email_consent="opt_out", phone_consent="opt_in")
    here = world([person("1", given_name="John")], [out], {"1": "e"})
    assert changes(here.plan()) == {("1", "HasOptedOutOfEmail", "suppress", None, "true")}


def test_a_source_that_states_the_opt_out_itself_is_not_told_again() -> None:
    said = {"source": POLICY.source, "record_id": "c1", "person_record_id": "1", "consent_state": "opt_out"}
    out = contact("e", is_suppressed=True, email_consent="opt_out", phone_consent="opt_out")
    here = world([person("1")], [out], {"1": "e"}, [{**said, "channel": "email", "purpose": "marketing"}])
    assert changes(here.plan()) == {("1", "DoNotCall", "suppress", None, "true")}
    everywhere = world([person("1")], [out], {"1": "e"}, [{**said, "channel": "any", "purpose": "any"}])
    assert everywhere.plan().is_empty()


def test_reasons_name_the_origin_where_it_is_known() -> None:
    here = world([person("1")], [contact("e", given_name="Jon")], {"1": "e"})
    origin = {
        "table_name": "golden.contacts", "entity_id": "e", "column_name": "given_name", "value": "Jon",
        "source": "hubspot_contacts", "record_id": "77", "rule": "recency",
    }  # fmt: skip
    reason = here.plan(provenance=table("golden.provenance", [origin]))["reason"][0]
    assert reason == (
        "golden.contacts.given_name from hubspot_contacts 77 by rule recency; "
        "the field was empty when read on 2024-06-01"
    )
    assert "Jon" not in here.plan()["reason"][0]


def test_change_ids_are_stable_and_tell_empty_from_filled() -> None:
    golden = [contact("e", given_name="Jon")]
    empty = world([person("1")], golden, {"1": "e"}).plan()
    filled = world([person("1", given_name="J")], golden, {"1": "e"}).plan()
    assert empty["change_id"][0] != filled["change_id"][0]
    assert empty["change_id"].str.contains("^[0-9a-f]{32}$").all()
    assert empty.equals(world([person("1")], golden, {"1": "e"}).plan())


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ([{"columns": {"given_nam": "FirstName"}}], "given_name"),
        ([{"columns": {"owner_id": "OwnerId"}}], "id of one system"),
        ([{"columns": {"given_name": "Name", "family_name": "Name"}}], "two columns"),
        ([{"columns": {"given_name": "N"}}, {"columns": {"full_name": "N"}}], "by 2 policies"),
        ([{"columns": {"emails": "E"}}], "emails"),
        ([{"subject": "organisations", "consent": {"email": "X"}}], "person's"),
    ],
)
def test_policies_that_cannot_be_right_are_refused(policies: list[Row], message: str) -> None:
    here = world([person("1")], [contact("e")], {"1": "e"})
    base = {"source": POLICY.source, "target": "salesforce", "object": "Contact"}
    with pytest.raises(ConfigurationError, match=message):
        here.plan(*(WritebackPolicy(**base, **p) for p in policies))


_NAMES = st.sampled_from([None, "", "Jon", "John", " Jon", "Ann"])
_PHONES = st.sampled_from([None, "+491", "+492"])
_DATES = st.sampled_from([None, date(1980, 1, 2)])
_STATES = st.sampled_from(["opt_in", "opt_out", "unknown"])
_FIELDS = {"given_name": _NAMES, "phone": _PHONES, "birth_date": _DATES}


@st.composite
def worlds(draw: st.DrawFn) -> World:
    contacts = []
    for k in range(draw(st.integers(1, 4))):
        email, phone = draw(_STATES), draw(_STATES)
        suppressed = "opt_out" in (email, phone) or draw(st.booleans())
        state = {"email_consent": email, "phone_consent": phone, "is_suppressed": suppressed}
        contacts.append(contact(f"e{k}", **{c: draw(v) for c, v in _FIELDS.items()}, **state))
    people, members, consents = [], {}, []
    for k in range(draw(st.integers(0, 8))):
        source = draw(st.sampled_from([POLICY.source, LEADS.source]))
        values = {c: draw(v) for c, v in _FIELDS.items()}
        people.append(person(str(k), source, **values, is_deleted=draw(st.booleans())))
        members[str(k)] = f"e{draw(st.integers(0, 4))}"
        if draw(st.booleans()):
            consents.append(
                {"source": source, "record_id": str(k), "purpose": "any",
                 "channel": draw(st.sampled_from(["email", "phone", "any"])),
                 "consent_state": draw(st.sampled_from(["opt_in", "opt_out"]))}
            )  # fmt: skip
    return world(people, contacts, members, consents)


def applied(here: World, plan: pl.DataFrame) -> World:
    """The world after every change of the plan was made in its target and read again."""
    conformed = {(p.source, vendor): column for p in (POLICY, LEADS) for column, vendor in p.columns.items()}
    rows = {(r["source"], r["record_id"]): r for r in here.people.to_dicts()}
    consents = here.consents.to_dicts()
    for change in plan.to_dicts():
        key = (change["source"], change["column_name"])
        if change["change_kind"] == "suppress":
            channel = "email" if change["column_name"] == POLICY.consent["email"] else "phone"
            consents.append(
                {"source": change["source"], "record_id": change["record_id"], "channel": channel,
                 "purpose": "any", "consent_state": "opt_out"}
            )  # fmt: skip
            continue
        value = change["after"]
        if conformed[key] == "birth_date":
            value = date.fromisoformat(value)
        rows[change["source"], change["record_id"]][conformed[key]] = value
    return replace(
        here,
        people=table("conformed.people", list(rows.values())),
        consents=table("conformed.consents", consents),
    )


QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(worlds())
def test_a_plan_that_was_applied_leaves_nothing_to_plan(here: World) -> None:
    plan = here.plan(POLICY, LEADS)
    assert plan["change_id"].is_unique().all()
    assert applied(here, plan).plan(POLICY, LEADS).is_empty()


@QUICK
@given(worlds(), st.integers(0, 2**32))
def test_row_order_changes_nothing(here: World, seed: int) -> None:
    def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.sample(fraction=1, shuffle=True, seed=seed)

    other = World(
        shuffled(here.people), shuffled(here.members), shuffled(here.contacts), shuffled(here.consents)
    )
    assert other.plan(LEADS, POLICY).equals(here.plan(POLICY, LEADS))


@QUICK
@given(worlds())
def test_suppressed_people_are_never_updated_and_opt_ins_never_carried(here: World) -> None:
    plan = here.plan(POLICY, LEADS)
    suppressed = here.contacts.filter("is_suppressed")["entity_id"]
    updates = plan.filter(pl.col("change_kind") == "update")
    assert not updates["entity_id"].is_in(suppressed.implode()).any()
    assert (plan.filter(pl.col("change_kind") == "suppress")["after"] == "true").all()
    deleted = here.people.filter("is_deleted").select("source", "record_id")
    assert plan.join(deleted, on=["source", "record_id"], how="semi").is_empty()

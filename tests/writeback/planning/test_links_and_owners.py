"""Links and owners: the target's own account and user, and nothing overwritten that is unknown here."""

from __future__ import annotations

import pytest

from .worlds import LEADS, World, changes, contact, day, kinds, only, organisation, person

ACCOUNTS_OF_TWO = [
    organisation("A1", "o", created_at=day(2)),
    organisation("A2", "p"),
    organisation("A3", "p", is_deleted=True),
    organisation("A0", "o", created_at=day(1), is_deleted=True),
    organisation("H9", "q", "hubspot_companies"),
]


def linked(account: str | None, current: str | None, **policy: object) -> set[tuple[str | None, ...]]:
    here = World(
        [person("1", "e", organisation_record_id=current)],
        ACCOUNTS_OF_TWO,
        [contact("e", account_entity_id=account)],
        [{"entity_id": "o"}, {"entity_id": "p"}, {"entity_id": "q"}],
    )
    return changes(here.plan(only(links="AccountId", **policy)))


@pytest.mark.parametrize(
    ("account", "current", "winner", "expected"),
    [
        ("o", None, "fill_empty", "A1"),
        ("o", "A1", "golden", None),
        ("o", "A2", "fill_empty", None),
        ("o", "A2", "golden", "A1"),
        ("o", "A3", "fill_empty", "A1"),
        ("o", "elsewhere", "golden", None),
        ("o", None, "never", None),
        ("q", None, "golden", None),
        (None, "A1", "golden", None),
    ],
    ids=lambda v: str(v),
)
def test_links(account: str | None, current: str | None, winner: str, expected: str | None) -> None:
    found = linked(account, current, fields={"AccountId": winner})
    assert found == ({("1", "AccountId", "link", current, expected)} if expected else set())


def test_an_unnamed_link_field_only_fills() -> None:
    assert linked("o", "A2") == set()
    assert linked("o", None) == {("1", "AccountId", "link", None, "A1")}


def test_links_say_which_account_it_is() -> None:
    people = [person("1", "e", landed_at=day(9))]
    here = World(people, ACCOUNTS_OF_TWO, [contact("e", account_entity_id="o")], [{"entity_id": "o"}])
    (reason,) = here.plan(only(links="AccountId"))["reason"]
    assert reason == (
        "golden.contacts.account_entity_id has a value; A1 is the account o here; "
        "it pointed at no account when read on 2020-01-09"
    )


@pytest.mark.parametrize(
    ("golden", "current", "winner", "expected"),
    [
        ("005A", None, "fill_empty", "005A"),
        ("77", None, "fill_empty", "005B"),
        ("Bob", "005X", "fill_empty", "005B"),
        ("bob@us.example", "005A", "fill_empty", None),
        ("bob@us.example", "005A", "golden", "005B"),
        ("77", "Bob", "golden", None),
        ("005X", None, "golden", None),
        ("77", "queue", "golden", None),
        ("nobody", "005X", "golden", None),
        ("77", None, "never", None),
    ],
    ids=lambda v: str(v),
)
def test_owners(golden: str, current: str | None, winner: str, expected: str | None) -> None:
    here = World([person("1", "e", owner_id=current)], contacts=[contact("e", owner_id=golden)])
    found = changes(here.plan(only(owner="OwnerId", fields={"OwnerId": winner})))
    assert found == ({("1", "OwnerId", "owner", current, expected)} if expected else set())


def test_a_leads_own_checked_owner_and_account_go_first() -> None:
    of_leads = only().model_copy(
        update={"objects": {"Lead": only(owner="OwnerId", links="Account__c").objects["Contact"]}}
    )
    here = World(
        [person("L", "e", LEADS.source, owner_id="005X", landed_at=day(9))],
        ACCOUNTS_OF_TWO,
        [contact("e", owner_id="005A", account_entity_id="o")],
        [{"entity_id": "o"}, {"entity_id": "p"}],
        [
            {
                "source": LEADS.source, "record_id": "L", "owner_id": "77", "account_entity_id": "p",
                "owner_rule": "account_owner: stated owner inactive",
            }
        ],
    )  # fmt: skip
    plan = here.plan(of_leads)
    assert kinds(plan, "owner") == {("L", "OwnerId", "owner", "005X", "005B")}
    assert kinds(plan, "link") == {("L", "Account__c", "link", None, "A2")}
    (reason,) = plan.filter(change_kind="owner")["reason"]
    assert reason == (
        "golden.leads.owner_id: account_owner: stated owner inactive; "
        "its owner may no longer log in when read on 2020-01-09"
    )

"""Leads: their account, their life, their owner, and what they became."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.golden.lead_rules import LeadRules, load_lead_rules
from crm_hygiene.golden.lead_states import state_of

from .night import build
from .records import days_ago

RULES = load_lead_rules()


def lead(record_id: str, **values: Any) -> dict[str, Any]:
    return {
        "source": "salesforce_leads",
        "record_id": record_id,
        "entity": f"P-{record_id}",
        "person_kind": "lead",
        **values,
    }


def account(record_id: str, **values: Any) -> dict[str, Any]:
    return {"source": "salesforce_accounts", "record_id": record_id, "entity": f"O-{record_id}", **values}


def matches(
    leads: list[dict[str, Any]], accounts: list[dict[str, Any]], **further: Any
) -> dict[str, tuple[str | None, str, str | None]]:
    rows = build(leads, accounts, **further).leads
    columns = ("record_id", "account_entity_id", "account_rule", "account_runner_up")
    return {key: tuple(rest) for key, *rest in rows.select(columns).iter_rows()}  # type: ignore[misc]


# -- accounts


def test_ways_to_find_an_account_are_tried_in_order() -> None:
    accounts = [
        account("1"),
        account("2", website_domain="two.com"),
        account("3", organisation_name_normalised="three"),
        account("4", website_domain="gmail.com"),
    ]
    everything = {"email_domain": "two.com", "email_kind": "person", "organisation_name_normalised": "three"}
    found = matches(
        [
            lead("a", converted_organisation_record_id="1", organisation_record_id="2", **everything),
            lead("b", organisation_record_id="1", **everything),
            lead("c", **everything),
            lead("d", **{**everything, "email_kind": "free"}),
            lead("e", email_domain="gmail.com", email_kind="free"),
        ],
        accounts,
    )
    assert found == {
        "a": ("O-1", "converted_account", None),
        "b": ("O-1", "stated_account", None),
        "c": ("O-2", "email_domain", None),
        "d": ("O-3", "organisation_name", None),
        "e": (None, "none: nothing found", None),
    }


def test_a_persons_contact_record_leads_to_the_account_last_of_all() -> None:
    people = [
        lead("a", entity="P"),
        {"source": "salesforce_contacts", "record_id": "c", "entity": "P", "organisation_record_id": "1"},
    ]
    assert matches(people, [account("1")]) == {"a": ("O-1", "contact_account", None)}


@pytest.mark.parametrize(
    ("better", "worse", "by"),
    [
        ({"country_code": "DE"}, {"country_code": "FR", "employee_count": 9000}, "country"),
        ({"employee_count": 500}, {"employee_count": 200}, "size"),
        ({"created_at": days_ago(900)}, {"created_at": days_ago(800)}, "age"),
    ],
)
def test_the_first_standard_that_tells_accounts_apart_decides(
    better: dict[str, Any], worse: dict[str, Any], by: str
) -> None:
    shared = {"website_domain": "x.com", "created_at": days_ago(500)}
    found = matches(
        [lead("a", email_domain="x.com", email_kind="person", country_code="DE")],
        [account("2", **{**shared, **better}), account("1", **{**shared, **worse})],
    )
    assert found == {"a": ("O-2", f"email_domain, then {by}", "O-1")}


def test_the_account_something_was_done_with_lately_goes_before_the_larger_one() -> None:
    shared = {"website_domain": "x.com"}
    found = matches(
        [lead("a", email_domain="x.com", email_kind="person")],
        [account("1", **shared, employee_count=5000), account("2", **shared)],
        opportunities=[
            {
                "source": "salesforce_opportunities",
                "record_id": "d",
                "organisation_record_id": "2",
                "observed_at": days_ago(3),
            }
        ],
    )
    assert found == {"a": ("O-2", "email_domain, then activity", "O-1")}


def test_accounts_within_every_margin_leave_the_lead_without_one() -> None:
    shared = {"website_domain": "x.com", "country_code": "DE", "created_at": days_ago(100)}
    row = build(
        [lead("a", email_domain="x.com", email_kind="person", country_code="DE")],
        [account("2", **shared, employee_count=100), account("1", **shared, employee_count=60)],
    ).leads.row(0, named=True)
    assert (row["account_entity_id"], row["account_rule"]) == (None, "none: 2 accounts by email_domain")
    assert row["account_candidates"] == ["O-1", "O-2"]


def test_a_name_that_too_many_bear_says_nothing() -> None:
    rules = RULES.model_copy(update={"matching": RULES.matching.model_copy(update={"max_candidates": 1})})
    accounts = [account(n, organisation_name_normalised="acme") for n in ("1", "2")]
    found = matches([lead("a", organisation_name_normalised="acme")], accounts, lead_rules=rules)
    assert found == {"a": (None, "none: nothing found", None)}


# -- states


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("Open - Not Contacted", "new"),
        ("  working -  CONTACTED ", "working"),
        ("Nurturing", "working"),
        ("Sales Qualified Lead", "qualified"),
        ("Unqualified", "disqualified"),
        ("Closed - Not Converted", "disqualified"),
        ("Closed - Converted", "converted"),
        ("Zurückgestellt", None),
    ],
)
def test_a_status_means_a_state_whatever_its_case(status: str, state: str | None) -> None:
    assert state_of(status, RULES) == state


def version(record_id: str, status: str, days: float, source: str = "salesforce_leads") -> dict[str, Any]:
    return {
        "source": source,
        "record_id": f"{source}:{record_id}:{days}",
        "person_record_id": record_id,
        "lead_status": status,
        "observed_at": days_ago(days),
    }


def lives(leads: list[dict[str, Any]], versions: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    states = build(leads, versions=versions).lead_states
    return states.select("lead_state", "lead_status", "valid_from", "valid_to", "is_current").rows()


def test_a_life_is_told_in_order_whoever_tells_it_and_however_late() -> None:
    present = lead("a", lead_status="Qualified", observed_at=days_ago(5))
    told = [
        version("a", "Working", 20),
        version("a", "Open", 40),
        version("a", "Open", 30),
        # The history object tells of the same change.
        version("a", "Working", 20, "salesforce_lead_history"),
    ]
    expected = [
        ("new", "Open", days_ago(40), days_ago(20), False),
        ("working", "Working", days_ago(20), days_ago(5), False),
        ("qualified", "Qualified", days_ago(5), None, True),
    ]
    assert lives([present], told) == expected
    assert lives([present], [*told[::-1], told[0]][:4]) == expected


def test_a_converted_lead_is_converted_when_it_says_so_and_stays_it() -> None:
    converted = lead(
        "a", lead_status="Working", is_converted=True, converted_at=days_ago(7), observed_at=days_ago(1)
    )
    assert lives([converted], [version("a", "Working", 9)]) == [
        ("working", "Working", days_ago(9), days_ago(7), False),
        ("converted", "Working", days_ago(7), None, True),
    ]


def test_an_inquiry_without_a_status_is_new_and_unknown_words_are_told() -> None:
    golden = build([lead("a"), lead("b", lead_status="Zurückgestellt")])
    assert golden.leads.select("lead_state", "lead_status").rows() == [
        ("new", None),
        (None, "Zurückgestellt"),
    ]
    assert golden.notes == (
        "leads: the status 'Zurückgestellt' of 1 leads has no state; "
        "name it under `states` in your rules of leads",
    )


def test_a_conversion_is_followed_to_contact_account_and_opportunity() -> None:
    people = [
        lead(
            "a",
            entity="P1",
            is_converted=True,
            converted_at=days_ago(3),
            converted_person_record_id="c",
            converted_organisation_record_id="1",
            converted_opportunity_record_id="d",
        ),
        {"source": "salesforce_contacts", "record_id": "c", "entity": "P2"},
        lead("b", entity="P1"),
    ]
    golden = build(
        people,
        [account("1")],
        opportunities=[{"source": "salesforce_opportunities", "record_id": "d"}],
    )
    row = golden.leads.row(0, named=True)
    assert (row["lead_state"], row["converted_at"], row["is_converted"]) == ("converted", days_ago(3), True)
    assert (row["person_entity_id"], row["converted_person_entity_id"]) == ("P1", "P2")
    assert (row["opportunity_source"], row["opportunity_record_id"]) == ("salesforce_opportunities", "d")
    assert row["account_entity_id"] == "O-1"
    assert golden.leads["person_entity_id"].to_list() == ["P1", "P1"], "two inquiries, two leads"
    assert any("held for another person" in note for note in golden.notes)


# -- owners


def user(record_id: str, is_active: bool, **values: Any) -> dict[str, Any]:
    return {"source": "salesforce_users", "record_id": record_id, "is_active": is_active, **values}


def owners(people: list[dict[str, Any]], **further: Any) -> dict[str, tuple[str | None, str, str | None]]:
    rows = build(people, **further).leads
    columns = ("record_id", "owner_id", "owner_rule", "stated_owner_id")
    return {key: tuple(rest) for key, *rest in rows.select(columns).iter_rows()}  # type: ignore[misc]


def test_owners_are_taken_as_they_are_where_no_users_were_delivered() -> None:
    assert owners([lead("a", owner_id="u1"), lead("b")]) == {
        "a": ("u1", "stated, no users of salesforce delivered", "u1"),
        "b": (None, "none stated, no users delivered", None),
    }


def test_a_lead_of_someone_who_left_goes_to_the_accounts_owner_then_to_the_contacts_then_to_the_queue() -> (
    None
):
    people = [
        lead("a", owner_id="gone", organisation_record_id="1"),
        lead("b", owner_id="gone", organisation_record_id="2", entity="P"),
        lead("c", owner_id="gone"),
        lead("d", owner_id="here"),
        lead("e", owner_id="00G5g000001"),
        lead("f", owner_id="never heard of"),
        lead("g", organisation_record_id="1"),
        {"source": "salesforce_contacts", "record_id": "c", "entity": "P", "owner_id": "also here"},
    ]
    found = owners(
        people,
        organisations=[account("1", owner_id="here"), account("2", owner_id="gone")],
        users=[user("here", True), user("also here", True), user("gone", False)],
    )
    assert found == {
        "a": ("here", "account_owner: stated owner inactive", "gone"),
        "b": ("also here", "contact_owner: stated owner inactive", "gone"),
        "c": ("unassigned", "queue: stated owner inactive", "gone"),
        "d": ("here", "stated", "here"),
        "e": ("00G5g000001", "stated, a queue", "00G5g000001"),
        "f": ("unassigned", "queue: stated owner not among the users", "never heard of"),
        "g": ("here", "account_owner: no owner stated", None),
    }


def test_an_owner_is_known_by_name_and_a_vendors_mark_of_leaving_counts() -> None:
    people = [
        lead("a", owner_id="Ann Lee (Deactivated User)"),
        lead("b", owner_id="bob ray"),
        lead("c", owner_id="bob@x.com"),
    ]
    users = [user("1", True, user_name="Ann Lee"), user("2", True, user_name="Bob Ray", email="bob@x.com")]
    rules = [rule for _, rule, _ in owners(people, users=users).values()]
    assert rules == ["queue: stated owner inactive", "stated", "stated"]


def test_a_web_inquiry_is_given_to_the_accounts_owner_of_any_system() -> None:
    inquiry = {"source": "form_submissions", "record_id": "s", "entity": "P", "person_kind": "inquiry"}
    inquiry |= {"email_domain": "x.com", "email_kind": "person"}
    found = owners(
        [inquiry],
        organisations=[account("1", owner_id="here", website_domain="x.com")],
        users=[user("here", True)],
    )
    assert found == {"s": ("here", "account_owner: no owner stated", None)}


def with_defaults(tmp_path: Path, *lines: str) -> LeadRules:
    path = tmp_path / "leads.yaml"
    path.write_text("owners:\n  defaults:\n" + "".join(f"    - {line}\n" for line in lines), encoding="utf-8")
    return load_lead_rules(path)


def test_default_owners_go_by_country_and_segment_and_have_to_be_active(tmp_path: Path) -> None:
    rules = with_defaults(
        tmp_path,
        "{country_code: DE, owner_id: gone}",
        '{industry: "bank*", min_employee_count: 100, owner_id: banker}',
        "{country_code: DE, owner_id: german}",
    )
    people = [
        lead("a", owner_id="gone", country_code="DE"),
        lead("b", owner_id="gone", country_code="DE", organisation_record_id="1"),
        lead("c", owner_id="gone", country_code="FR", organisation_record_id="2"),
    ]
    found = owners(
        people,
        organisations=[
            account("1", industry="Banking", employee_count=500),
            account("2", industry="Banking", employee_count=5),
        ],
        users=[user("gone", False), user("banker", True), user("german", True)],
        lead_rules=rules,
    )
    assert [owner for owner, _, _ in found.values()] == ["german", "banker", "unassigned"]


# -- rules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "matching:\n  find: [email_domian]\n",
            "leads.yaml:2: matching.find.0: Input should be 'converted_account'",
        ),
        (
            "matching:\n  find: [email_domian]\n",
            "or 'contact_account'; did you mean 'email_domain'?",
        ),
        ("# mine\nownrs: {}\n", ":2: unknown key 'ownrs'; did you mean 'owners'?"),
        (
            "matching:\n  tie_breakers:\n    - {by: contry}\n",
            "; did you mean 'country'?",
        ),
        ("matching:\n  tie_breakers:\n    - {by: country, margin: 3}\n", "'country' has no margin"),
        ("states:\n  wrking: [busy]\n", "; did you mean 'working'?"),
        ("states:\n  new: [x]\n  qualified: [X]\n", "'X' is both new and qualified"),
        ("owners: [\n", "not readable as YAML"),
        (
            "owners:\n  defaults:\n    - {country_code: Germany, owner_id: a}\n",
            ":3: owners.defaults.0.country_code",
        ),
    ],
)
def test_a_wrong_rule_is_refused_with_its_line_and_the_nearest_word(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "leads.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        load_lead_rules(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_a_users_word_moves_a_status_to_another_state(tmp_path: Path) -> None:
    path = tmp_path / "leads.yaml"
    path.write_text("states:\n  qualified: [Connected]\nmatching: {max_candidates: 3}\n", encoding="utf-8")
    rules = load_lead_rules(path)
    assert state_of("connected", rules) == "qualified"
    assert state_of("Contacted", rules) == "working"
    assert rules.matching.find == RULES.matching.find

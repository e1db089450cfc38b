from __future__ import annotations

from typing import Any

import pytest

from crm_hygiene.golden.consent import ConsentMemory, effective_consent
from crm_hygiene.golden.consent_anchors import former_members
from crm_hygiene.golden.consent_rules import load_consent_rules

from .night import build
from .records import SYSTEMS, consents, days_ago, frame, interactions, members, people

ANN: dict[str, Any] = {
    "source": "salesforce_contacts",
    "record_id": "1",
    "entity": "P1",
    "email": "ann@acme.com",
    "email_normalised": "ann@acme.com",
    "mobile_phone": "+4917012345678",
}


def states(*consents: dict[str, Any], interactions: list[dict[str, Any]] | None = None) -> tuple[Any, ...]:
    row = build([ANN], consents=list(consents), interactions=interactions).contacts.row(0, named=True)
    return row["email_consent"], row["phone_consent"], row["is_suppressed"]


def said(state: str, channel: str = "email", **values: Any) -> dict[str, Any]:
    return {
        "source": "marketing_events",
        "record_id": f"c-{state}-{channel}",
        "channel": channel,
        "consent_state": state,
        **values,
    }


@pytest.mark.parametrize(
    "tie",
    [
        {"email_normalised": "ann@acme.com"},
        {"email": "Ann@Acme.com"},
        {"phone": "+4917012345678"},
        {"source": "salesforce_leads", "person_record_id": "1"},
        {"source": "salesforce_contacts", "record_id": "1:email"},
        {"source": "salesforce_contacts", "record_id": "1"},
    ],
)
def test_a_statement_finds_its_person(tie: dict[str, Any]) -> None:
    assert states(said("opt_out", **tie)) == ("opt_out", "unknown", True)


@pytest.mark.parametrize(
    "tie",
    [
        {"email_normalised": "bob@acme.com"},
        {"source": "hubspot_contacts", "person_record_id": "1"},
        {"source": "salesforce_contacts", "record_id": "12:email"},
    ],
)
def test_a_statement_of_another_is_not_theirs(tie: dict[str, Any]) -> None:
    assert states(said("opt_out", **tie)) == ("unknown", "unknown", False)


def test_any_speaks_for_every_channel_and_a_newer_opt_in_does_not_undo_it() -> None:
    mail = {"email_normalised": "ann@acme.com"}
    out = said("opt_out", "any", stated_at=days_ago(900), **mail)
    assert states(out, said("opt_in", "phone", stated_at=days_ago(1), **mail)) == ("opt_out", "opt_out", True)
    assert states(said("opt_in", "any", **mail)) == ("opt_in", "opt_in", False)
    assert states(said("opt_out", "phone", **mail)) == ("unknown", "opt_out", False)
    assert states(said("opt_out", "sms", **mail)) == ("unknown", "unknown", False)


def test_an_unsubscribe_is_an_opt_out_and_named_in_provenance() -> None:
    event = {
        "source": "marketing_events",
        "record_id": "e1",
        "interaction_kind": "unsubscribe",
        "email_normalised": "ann@acme.com",
        "occurred_at": days_ago(3),
    }
    golden = build([ANN], interactions=[event])
    assert golden.contacts["email_consent"].to_list() == ["opt_out"]
    row = golden.provenance.collect().filter(column_name="email_consent").row(0, named=True)
    assert (row["value"], row["source"], row["record_id"]) == ("opt_out", "marketing_events", "e1")
    assert row["rule"] == "any opt-out holds, of 1 statements"


BY_MAIL: dict[str, Any] = {"email": "ann@acme.com", "email_normalised": "ann@acme.com"}
NO: dict[str, Any] = {**said("opt_out", **BY_MAIL), "stated_at": days_ago(20)}
YES: dict[str, Any] = {
    **said("opt_in", **BY_MAIL),
    "stated_at": days_ago(10),
    "evidence_kind": "Double Opt-In",
}


def test_a_later_confirmed_opt_in_of_the_same_address_lifts_an_opt_out() -> None:
    golden = build([ANN], consents=[NO, YES])
    assert golden.contacts.select("email_consent", "is_suppressed").row(0) == ("opt_in", False)
    events = {row["consent_state"]: row for row in golden.consent_events.iter_rows(named=True)}
    assert not events["opt_out"]["is_in_force"]
    assert events["opt_out"]["lifted_by"] == events["opt_in"]["statement_id"]
    rule = golden.provenance.collect().filter(column_name="email_consent")["rule"].to_list()
    assert rule == ["opt-in, 1 earlier opt-outs lifted by it, of 1 statements"]


@pytest.mark.parametrize(
    ("no", "yes"),
    [
        ({}, {"evidence_kind": "checkbox"}),
        ({}, {"evidence_kind": None}),
        ({}, {"stated_at": days_ago(20)}),
        ({}, {"stated_at": None}),
        ({}, {"stated_at": days_ago(-1)}),
        ({"stated_at": None}, {}),
        ({"channel": "any"}, {}),
        ({"purpose": "any"}, {}),
        ({}, {"channel": "any"}),
        ({}, {"purpose": "any"}),
        ({"channel": "telegraph"}, {"channel": "any"}),
        ({}, {"purpose": "profiling"}),
        ({}, {"email": "other@acme.com", "email_normalised": "other@acme.com"}),
        ({"source": "salesforce_contacts", "person_record_id": "1"}, {}),
    ],
)
def test_anything_less_does_not(no: dict[str, Any], yes: dict[str, Any]) -> None:
    other = {**ANN, "record_id": "2", "email": "other@acme.com", "email_normalised": "other@acme.com"}
    golden = build([ANN, other], consents=[{**NO, **no}, {**YES, **yes}])
    assert golden.contacts["email_consent"].to_list() == ["opt_out"]
    assert golden.contacts["is_suppressed"].to_list() == [True]


def test_words_nobody_knows_are_taken_at_their_worst_and_said() -> None:
    golden = build(
        [ANN],
        consents=[
            said("opt_out", "telegraph", **BY_MAIL),
            said("opt_in", "pigeon", source="form_submissions", **BY_MAIL),
        ],
    )
    assert set(golden.consents["effective_consent"]) == {"opt_out"}
    assert golden.consents["channel"].n_unique() == 6
    notes = [note for note in golden.notes if note.startswith("consent")]
    assert len(notes) == 2
    assert "'telegraph' is in no rule: taken for every one" in notes[1]
    assert "'pigeon' is in no rule: counts for nothing" in notes[0]


def test_a_bounce_is_no_statement_and_a_delivery_clears_it() -> None:
    bounce = {
        "source": "marketing_events",
        "record_id": "e1",
        "interaction_kind": "bounce",
        "occurred_at": days_ago(5),
        **BY_MAIL,
    }
    rows = build([ANN], interactions=[bounce]).consents
    assert set(rows["effective_consent"]) == {"unknown"}
    assert set(rows["channel"]) == {"email"}
    assert rows["is_undeliverable"].all()
    later = {**bounce, "record_id": "e2", "interaction_kind": "delivered", "occurred_at": days_ago(1)}
    assert build([ANN], interactions=[bounce, later]).consents.is_empty()


def test_a_deleted_record_speaks_for_the_person_it_left() -> None:
    left = {"event": "left", "source": "hubspot_contacts", "record_id": "9"}
    history = frame(
        "linked.person_history",
        [
            {**left, "event_id": "a", "entity_id": "P0", "event_at": days_ago(9)},
            {**left, "event_id": "b", "entity_id": "P2", "event_at": days_ago(2)},
            {**left, "event_id": "c", "record_id": "1", "entity_id": "P3", "event_at": days_ago(2)},
            {**left, "event_id": "d", "record_id": "8", "entity_id": "P4", "event_at": days_ago(2)},
        ],
    )
    register = frame(
        "linked.person_entities",
        [
            {"entity_id": "P0", "status": "live"},
            {"entity_id": "P2", "status": "alias", "resolves_to": "P1"},
            {"entity_id": "P3", "status": "live"},
            {"entity_id": "P4", "status": "tombstone"},
        ],
    )
    still_there = members([{"source": "hubspot_contacts", "record_id": "1", "entity": "P3"}])
    former = former_members(still_there, history, register)
    assert former.rows() == [("hubspot_contacts", "9", "P1")]
    gone = {"source": "hubspot_contacts", "record_id": "9", "is_deleted": True}
    stated = consents([said("opt_out", source="hubspot_contacts", person_record_id="9")])
    found = effective_consent(
        people([ANN, gone]),
        members([ANN]),
        stated,
        interactions([]).lazy(),
        SYSTEMS,
        memory=ConsentMemory(load_consent_rules(), former),
    )
    assert found.contacts.rows() == [("P1", "opt_out", "unknown", True)]


def test_a_record_that_the_vendor_merged_away_still_speaks() -> None:
    master = {**ANN, "merged_record_ids": ["77"]}
    golden = build([master], consents=[said("opt_out", source="salesforce_leads", person_record_id="77")])
    assert golden.contacts["is_suppressed"].to_list() == [True]


def test_a_statement_of_nobody_known_stays_in_the_ledger() -> None:
    events = build([ANN], consents=[said("opt_out", email_normalised="nobody@acme.com")]).consent_events
    assert events.select("entity_id", "tied_by", "is_in_force").rows() == [(None, None, True)]


def test_an_unsubscribe_that_is_also_a_consent_is_one_statement() -> None:
    event = {"source": "marketing_events", "record_id": "e1", **BY_MAIL}
    unsubscribed = {**event, "interaction_kind": "unsubscribe", "occurred_at": days_ago(3)}
    stated = {**event, "record_id": "e1:unsubscribe", "consent_state": "opt_out", "stated_at": days_ago(3)}
    assert build([ANN], consents=[stated], interactions=[unsubscribed]).consent_events.height == 1
    # Another address would be another anchor, and none is lost.
    nameless = {**stated, "email": None, "email_normalised": None}
    assert build([ANN], consents=[nameless], interactions=[unsubscribed]).consent_events.height == 2

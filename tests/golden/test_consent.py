from __future__ import annotations

from typing import Any

import pytest

from .night import build
from .records import days_ago

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

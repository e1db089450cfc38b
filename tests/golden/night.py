"""One call from rows to golden tables, and the strategies that make such rows."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from crm_hygiene.golden import Golden, build_golden
from crm_hygiene.golden.lead_rules import LeadRules
from crm_hygiene.survivorship import Rules, load_rules

from . import records as r


def build(
    people: list[dict[str, Any]],
    organisations: list[dict[str, Any]] | None = None,
    consents: list[dict[str, Any]] | None = None,
    interactions: list[dict[str, Any]] | None = None,
    rules: Rules | None = None,
    seed: int | None = None,
    users: list[dict[str, Any]] | None = None,
    opportunities: list[dict[str, Any]] | None = None,
    versions: list[dict[str, Any]] | None = None,
    lead_rules: LeadRules | None = None,
    size: int = 100,
) -> Golden:
    """Golden tables; `seed` shuffles every input, `size` is how many entities are held at a time."""
    organisations = organisations or []
    inputs = [
        r.people(people),
        r.members(people),
        r.organisations(organisations),
        r.members(organisations, "linked.organisation_members"),
        r.consents(consents or []),
        r.interactions(interactions or []),
    ]
    further = {
        "users": r.frame("conformed.users", users or [], is_active=True),
        "opportunities": r.frame("conformed.opportunities", opportunities or []),
        "versions": r.frame("conformed.person_versions", versions or []),
    }
    if seed is not None:
        inputs = [f.sample(fraction=1, shuffle=True, seed=seed) for f in inputs]
        further = {n: f.sample(fraction=1, shuffle=True, seed=seed) for n, f in further.items()}
    records, members, firms, firm_members, statements, events = inputs
    return build_golden(
        records.lazy(),
        members,
        firms.lazy(),
        firm_members,
        statements,
        events.lazy(),
        rules or load_rules(),
        r.AS_OF,
        r.SYSTEMS,
        lead_rules=lead_rules,
        size=size,
        **further,
    )


_text = st.sampled_from([None, None, "a", "A", "b", "long text"])
_mail = st.sampled_from([None, "x@one.com", "y@two.com", "info@two.com"])
_days = st.sampled_from([0, 1, 400, 900])
_PEOPLE_SOURCES = ["salesforce_contacts", "salesforce_leads", "hubspot_contacts"]


@st.composite
def nights(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """People, organisations, consents and interactions that refer to each other now and then."""
    people = []
    for number in range(draw(st.integers(1, 8))):
        mail = draw(_mail)
        people.append(
            {
                "source": draw(st.sampled_from(_PEOPLE_SOURCES)),
                "record_id": f"p{number}",
                "entity": f"P{draw(st.integers(0, 3))}",
                "person_kind": draw(st.sampled_from(["contact", "lead", "inquiry"])),
                "is_deleted": draw(st.integers(0, 9)) == 0,
                "given_name": draw(_text),
                "family_name": draw(_text),
                "email": mail,
                "email_normalised": mail,
                "email_domain": mail.split("@")[1] if mail else None,
                "email_kind": draw(st.sampled_from(["person", "role"])) if mail else None,
                "phone": draw(st.sampled_from([None, "+4930123456", "+4930654321"])),
                "job_title": draw(_text),
                "city": draw(_text),
                "postal_code": draw(_text),
                "organisation_record_id": draw(st.sampled_from([None, "o0", "o1"])),
                "organisation_name_normalised": draw(st.sampled_from([None, "acme", "other"])),
                "lead_source": draw(_text),
                "lead_status": draw(st.sampled_from([None, "Open", "Working", "?"])),
                "is_converted": draw(st.sampled_from([None, True])),
                "converted_organisation_record_id": draw(st.sampled_from([None, "o0"])),
                "owner_id": draw(st.sampled_from([None, "u0", "u1"])),
                "problems": draw(st.sampled_from([[], ["phone: too short"]])),
                "created_at": r.days_ago(draw(_days) + 5),
                "observed_at": r.days_ago(draw(_days)),
            }
        )
    organisations = [
        {
            "source": draw(st.sampled_from(["salesforce_accounts", "hubspot_companies"])),
            "record_id": f"o{number}",
            "entity": f"O{draw(st.integers(0, 1))}",
            "organisation_name": draw(st.sampled_from(["Acme", "Other"])),
            "organisation_name_normalised": draw(st.sampled_from(["acme", "other"])),
            "website_domain": draw(st.sampled_from([None, "one.com", "two.com"])),
            "parent_record_id": draw(st.sampled_from([None, "o0", "o1"])),
            "observed_at": r.days_ago(draw(_days)),
        }
        for number in range(draw(st.integers(0, 3)))
    ]
    consents = [
        {
            "source": draw(st.sampled_from([*_PEOPLE_SOURCES, "marketing_events"])),
            "record_id": f"p{draw(st.integers(0, 7))}:{number}",
            "person_record_id": draw(st.sampled_from([None, "p0", "p1"])),
            "email_normalised": draw(_mail),
            "phone": draw(st.sampled_from([None, "+4930123456"])),
            "channel": draw(st.sampled_from(["email", "phone", "any", "sms"])),
            "consent_state": draw(st.sampled_from(["opt_in", "opt_out"])),
            "stated_at": r.days_ago(draw(_days)),
        }
        for number in range(draw(st.integers(0, 4)))
    ]
    interactions = [
        {
            "source": draw(st.sampled_from(["marketing_events", "salesforce_contacts"])),
            "record_id": draw(st.sampled_from([f"i{number}", f"p{number}"])),
            "person_record_id": draw(st.sampled_from([None, "p0", "p1"])),
            "email_normalised": draw(_mail),
            "phone": draw(st.sampled_from([None, "+4930123456", "+4930000000"])),
            "interaction_kind": draw(st.sampled_from(["open", "click", "unsubscribe"])),
            "occurred_at": r.days_ago(draw(_days)),
        }
        for number in range(draw(st.integers(0, 4)))
    ]
    users = [
        {"source": "salesforce_users", "record_id": f"u{number}", "is_active": draw(st.booleans())}
        for number in range(draw(st.integers(0, 2)))
    ]
    versions = [
        {
            "source": draw(st.sampled_from(_PEOPLE_SOURCES)),
            "record_id": f"v{number}",
            "person_record_id": f"p{draw(st.integers(0, 3))}",
            "organisation_record_id": draw(st.sampled_from([None, "o0", "o1", "o2"])),
            "lead_status": draw(st.sampled_from([None, "Open", "Working", "Converted"])),
            "observed_at": r.days_ago(draw(_days) + 2),
        }
        for number in range(draw(st.integers(0, 4)))
    ]
    return {
        "users": users,
        "versions": versions,
        "people": people,
        "organisations": organisations,
        "consents": consents,
        "interactions": interactions,
    }

"""Consent over many nights: any order of arrival, any merge and unmerge, records that come back.

The oracle is written from the law of docs/consent.md in plain Python, one statement and one anchor
at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from crm_hygiene.contract import contract_of
from crm_hygiene.golden.consent import Consent, ConsentMemory, effective_consent
from crm_hygiene.golden.consent_anchors import stated_by_all
from crm_hygiene.golden.consent_rules import load_consent_rules
from crm_hygiene.privacy import new_salt, recall_opt_outs, suppress_opt_outs, suppressed_rows
from crm_hygiene.writeback import MappedObject, TargetPolicy, plan_changes
from crm_hygiene.writeback.planning.inputs import PlanInputs

from . import records as r

RULES = load_consent_rules()
SALTS = new_salt(datetime(2026, 1, 1, tzinfo=UTC))
CRM, MAIL = "salesforce_contacts", "marketing_events"
ADDRESSES = ["ann@one.com", "bob@one.com", "cy@two.com"]
NUMBERS = ["+4930111111", "+4930222222"]
quick = settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.too_slow])

Row = dict[str, Any]


@dataclass(frozen=True)
class Story:
    """Person records, what was said, on which night it arrived, and two groupings of people."""

    people: list[Row]
    consents: list[Row]
    arrivals: list[int]
    groups: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    people = []
    for n in range(draw(st.integers(1, 5))):
        mail = draw(st.sampled_from([None, *ADDRESSES]))
        number = draw(st.sampled_from([None, *NUMBERS]))
        people.append(
            {"source": CRM, "record_id": f"r{n}", "email": mail, "email_normalised": mail, "phone": number}
        )
    consents = []
    for n in range(draw(st.integers(1, 8))):
        mail = draw(st.sampled_from([None, *ADDRESSES[:2]]))
        by_record = draw(st.sampled_from([True, False, False]))
        consents.append(
            {
                "source": CRM if by_record else MAIL,
                "record_id": f"s{n}",
                "person_record_id": f"r{draw(st.integers(0, len(people) - 1))}" if by_record else None,
                "email": mail,
                "email_normalised": mail,
                "phone": draw(st.sampled_from([None, None, *NUMBERS])),
                "channel": draw(st.sampled_from([*["email", "E-Mail"] * 4, "phone", "any", "fax", None])),
                "purpose": draw(st.sampled_from([*["marketing"] * 5, "profiling", "any", "bake sale"])),
                "consent_state": draw(st.sampled_from(["opt_out", "opt_in"])),
                "evidence_kind": draw(st.sampled_from(["checkbox", *["double opt-in"] * 4])),
                "stated_at": draw(st.sampled_from([None, *(r.days_ago(d) for d in (10, 10, 20, 20, 30))])),
            }
        )
    size = len(people)
    parts = st.lists(st.integers(0, 2), min_size=size, max_size=size)
    arrivals = draw(st.lists(st.integers(0, 2), min_size=len(consents), max_size=len(consents)))
    return Story(people, consents, arrivals, draw(parts), draw(parts))


def members(story: Story, groups: list[int]) -> pl.DataFrame:
    return r.members([{**p, "entity": f"P{g}"} for p, g in zip(story.people, groups, strict=True)])


def consent_of(
    story: Story, groups: list[int], consents: list[Row] | None = None, listed: pl.DataFrame | None = None
) -> Consent:
    people, said = r.people(story.people), r.consents(story.consents if consents is None else consents)
    none = r.interactions([]).lazy()
    stated = stated_by_all(people, said, none, RULES, r.SYSTEMS)
    remembered = None if listed is None else recall_opt_outs(listed, people, stated, SALTS)
    memory = ConsentMemory(RULES, remembered=remembered, stated=stated)
    return effective_consent(people, members(story, groups), said, none, r.SYSTEMS, memory=memory)


def listed_of(listed: pl.DataFrame, story: Story, consents: list[Row]) -> pl.DataFrame:
    return suppress_opt_outs(
        listed,
        r.people(story.people),
        r.consents(consents),
        r.interactions([]).lazy(),
        RULES,
        r.SYSTEMS,
        SALTS,
    )


EMPTY = contract_of("privacy.suppressions").empty()


def outs(consent: Consent) -> set[tuple[str, str, str]]:
    held = consent.consents.filter(pl.col("effective_consent") == "opt_out")
    return set(held.select("entity_id", "channel", "purpose").iter_rows())


def after_nights(story: Story, arrivals: list[int]) -> Consent:
    """The state after the last of the nights on which the statements arrived."""
    listed = EMPTY
    for night in range(3):
        here = [c for c, arrived in zip(story.consents, arrivals, strict=True) if arrived <= night]
        listed = listed_of(listed, story, here)
        # A night that is run again adds nothing.
        assert_frame_equal(listed_of(listed, story, here), listed)
    return consent_of(story, story.groups, listed=listed)


def words(row: Row) -> tuple[str, str, bool]:
    """Channel and purpose of a statement, and whether one of its words is unknown."""
    channel = {"email": "email", "E-Mail": "email", "phone": "phone", "any": "any"}.get(row["channel"] or "")
    purpose = row["purpose"] if row["purpose"] != "bake sale" else None
    return channel or "any", purpose or "any", channel is None or purpose is None


def anchors_said(row: Row) -> set[tuple[str, str]]:
    found = {("record", row["person_record_id"]), ("mail", row["email"]), ("number", row["phone"])}
    return {(kind, value) for kind, value in found if value is not None}


def expected_outs(story: Story, groups: list[int]) -> set[tuple[str, str, str]]:
    owned: dict[str, set[tuple[str, str]]] = {}
    for person, group in zip(story.people, groups, strict=True):
        anchors = {
            ("record", person["record_id"]), ("mail", person["email"]), ("number", person["phone"])
        }  # fmt: skip
        owned.setdefault(f"P{group}", set()).update(anchors)
    found = set()
    for row in story.consents:
        if row["consent_state"] != "opt_out":
            continue
        channel, purpose, is_vague = words(row)
        held = anchors_said(row)
        for person in story.people:
            if person["record_id"] == row["person_record_id"]:
                held |= {("mail", person["email"])} - {("mail", None)}
                held |= {("number", person["phone"])} - {("number", None)} if channel != "email" else set()
        for anchor in held:
            lifted = not is_vague and any(
                yes["consent_state"] == "opt_in"
                and yes["evidence_kind"] == "double opt-in"
                and words(yes) == (channel, purpose, False)
                and anchor in anchors_said(yes)
                and None not in (yes["stated_at"], row["stated_at"])
                and yes["stated_at"] > row["stated_at"]
                for yes in story.consents
            )
            if lifted:
                continue
            channels = list(RULES.channels) if channel == "any" else [channel]
            purposes = list(RULES.purposes) if purpose == "any" else [purpose]
            found |= {
                (entity, c, p)
                for entity, own in owned.items()
                if anchor in own
                for c in channels
                for p in purposes
            }
    return found


@given(stories())
@quick
def test_out_is_exactly_what_the_law_says(story: Story) -> None:
    assert outs(consent_of(story, story.groups)) == expected_outs(story, story.groups)


@given(stories(), st.randoms(use_true_random=False))
@settings(quick, max_examples=examples(12))
def test_the_order_of_arrival_changes_nothing(story: Story, random: Any) -> None:
    other = [random.randrange(3) for _ in story.consents]
    one, two = after_nights(story, story.arrivals), after_nights(story, other)
    at_once = after_nights(story, [0] * len(story.consents))
    for state in (two, at_once):
        assert_frame_equal(one.consents, state.consents)
        assert_frame_equal(one.events, state.events)
    shuffled = Story(story.people, random.sample(story.consents, len(story.consents)), story.arrivals)
    again = consent_of(shuffled, story.groups)
    assert outs(again) == outs(one)


@given(stories())
@quick
def test_a_merge_is_a_union_and_undoing_it_gives_the_parts_back(story: Story) -> None:
    apart = consent_of(story, story.groups)
    merged = consent_of(story, [0] * len(story.people))
    assert outs(merged) == {("P0", c, p) for _, c, p in outs(apart)}
    allowed = merged.consents.filter(pl.col("effective_consent") == "opt_in")
    for _, c, p in outs(apart):
        assert allowed.filter(pl.col("channel") == c, pl.col("purpose") == p).is_empty()
    # Nights on which the people were grouped otherwise leave no trace.
    between = consent_of(story, story.others)
    assert {out[1:] for out in outs(between)} == {out[1:] for out in outs(apart)}
    assert_frame_equal(consent_of(story, story.groups).consents, apart.consents)


@given(stories())
@quick
def test_another_statement_takes_no_opt_out_away_unless_it_is_an_allowed_opt_in(story: Story) -> None:
    before = outs(consent_of(story, story.groups, story.consents[:-1]))
    last = story.consents[-1]
    may_lift = last["consent_state"] == "opt_in" and last["evidence_kind"] == "double opt-in"
    if not may_lift:
        assert before <= outs(consent_of(story, story.groups))


@given(stories())
@quick
def test_a_record_that_comes_back_under_another_id_is_still_out(story: Story) -> None:
    listed = listed_of(EMPTY, story, story.consents)
    before = consent_of(story, list(range(len(story.people))), listed=listed)
    # Every record and every statement is gone; the people come back as records of another source.
    back = Story(
        [{**p, "source": "hubspot_contacts", "record_id": f"new-{p['record_id']}"} for p in story.people],
        [],
        [],
    )
    after = consent_of(back, list(range(len(back.people))), listed=listed)
    by_address = {
        event["entity_id"]
        for event in before.events.filter(
            (pl.col("consent_state") == "opt_out")
            & pl.col("is_in_force")
            & pl.col("tied_by").is_in(["e-mail address"])
        ).iter_rows(named=True)
    }
    said = {row[0] for row in outs(after)}
    assert by_address <= said
    assert set(after.events["evidence_kind"]) <= {"suppression_list"}


@given(stories())
@quick
def test_nothing_outbound_speaks_of_suppressed_people(story: Story) -> None:
    consent = consent_of(story, story.groups)
    frame = members(story, story.groups)
    entities = frame["entity_id"].unique().sort()
    states = consent.contacts.join(entities.to_frame(), on="entity_id", how="full", coalesce=True)
    contacts = contract_of("golden.contacts").shape(
        states.with_columns(
            pl.col("is_suppressed").fill_null(value=False),
            pl.lit("Ann").alias("given_name"),
            pl.col("email_consent", "phone_consent").fill_null("unknown"),
        )
    )
    mapped = MappedObject(
        source=CRM,
        target="salesforce",
        object="Contact",
        columns={"given_name": "FirstName"},
        consent={"email": "HasOptedOutOfEmail", "phone": "DoNotCall"},
    )
    inputs = PlanInputs(
        people=r.people(story.people),
        person_members=frame,
        contacts=contacts,
        consents=r.consents(story.consents),
    )
    allowed = TargetPolicy.model_validate(
        {"target": "salesforce", "objects": {"Contact": {"default_winner": "golden", "merges": True}}}
    )
    plan = plan_changes(inputs, [mapped], {"salesforce": allowed})
    assert suppressed_rows(plan, contacts, frame).is_empty()
    suppressed = set(contacts.filter("is_suppressed")["entity_id"])
    assert {entity for entity, channel, _ in outs(consent) if channel == "email"} == suppressed

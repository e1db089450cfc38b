"""Suppressions: an opt-out goes where it is not known yet, an opt-in goes nowhere."""

from __future__ import annotations

from .worlds import CONTACTS, World, changes, contact, only, person

GOLDEN = only(default_winner="golden", merges=True)


def test_suppressed_people_get_their_suppression_and_nothing_else() -> None:
    out = contact("e", given_name="Jon", is_suppressed=True, email_consent="opt_out", phone_consent="opt_in")
    here = World([person("1", "e", given_name="John"), person("2", "e")], contacts=[out])
    assert changes(here.plan(GOLDEN)) == {
        ("1", "HasOptedOutOfEmail", "suppress", None, "true"),
        ("2", "HasOptedOutOfEmail", "suppress", None, "true"),
    }
    assert here.plan(only(suppressions=False)).is_empty()


def test_a_source_that_states_the_opt_out_itself_is_not_told_again() -> None:
    said = {
        "source": CONTACTS.source, "record_id": "c1", "person_record_id": "1", "consent_state": "opt_out"
    }  # fmt: skip
    out = contact("e", is_suppressed=True, email_consent="opt_out", phone_consent="opt_out")
    here = World(
        [person("1", "e")], contacts=[out], consents=[{**said, "channel": "email", "purpose": "marketing"}]
    )
    assert changes(here.plan(GOLDEN)) == {("1", "DoNotCall", "suppress", None, "true")}
    everywhere = World(
        [person("1", "e")], contacts=[out], consents=[{**said, "channel": "any", "purpose": "any"}]
    )
    assert everywhere.plan(GOLDEN).is_empty()

"""The suppression list recognises who comes back, keeps no address, and only grows."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from golden import records as r
from polars.testing import assert_frame_equal

from crm_hygiene.contract import contract_of
from crm_hygiene.errors import LakeError
from crm_hygiene.golden.consent import ConsentMemory, effective_consent
from crm_hygiene.golden.consent_anchors import stated_by_all
from crm_hygiene.golden.consent_rules import ConsentRules, load_consent_rules
from crm_hygiene.privacy import new_salt, recall_opt_outs, suppress_opt_outs

RULES = load_consent_rules()
SALTS = new_salt(datetime(2026, 1, 1, tzinfo=UTC))
EMPTY = contract_of("privacy.suppressions").empty()
ANN: dict[str, Any] = {
    "source": "salesforce_contacts",
    "record_id": "1",
    "email": "ann+x@acme.com",
    "email_normalised": "ann@acme.com",
    "phone": "+4917012345678",
    "entity": "P1",
}
NO: dict[str, Any] = {
    "source": "salesforce_contacts",
    "record_id": "1:email",
    "person_record_id": "1",
    "consent_state": "opt_out",
    "stated_at": r.days_ago(20),
}
BACK = {**ANN, "source": "hubspot_contacts", "record_id": "new", "email": "ann@acme.com", "phone": None}


def listed(
    *consents: dict[str, Any], before: pl.DataFrame = EMPTY, people: list[dict[str, Any]] | None = None
) -> pl.DataFrame:
    given = r.people([ANN] if people is None else people)
    return suppress_opt_outs(
        before, given, r.consents(list(consents)), r.interactions([]).lazy(), RULES, r.SYSTEMS, SALTS
    )


def states(
    people: list[dict[str, Any]],
    suppressions: pl.DataFrame,
    consents: list[dict[str, Any]] | None = None,
    rules: ConsentRules = RULES,
) -> set[tuple[str, str, str]]:
    """(channel, purpose, state) of the one person."""
    given = (r.people(people), r.consents(consents or []), r.interactions([]).lazy())
    stated = stated_by_all(*given, rules, r.SYSTEMS)
    remembered = recall_opt_outs(suppressions, given[0], stated, SALTS)
    found = effective_consent(
        given[0],
        r.members(people),
        *given[1:],
        r.SYSTEMS,
        memory=ConsentMemory(rules, remembered=remembered, stated=stated),
    )
    return set(found.consents.select("channel", "purpose", "effective_consent").iter_rows())


def test_the_address_of_the_record_is_listed_though_the_statement_names_none() -> None:
    table = listed(NO)
    assert table["address_kind"].to_list() == ["email", "email"]
    assert states([BACK], table) == {("email", "marketing", "opt_out")}


def test_a_number_is_listed_unless_the_statement_is_about_mail() -> None:
    table = listed({**NO, "channel": "phone", "purpose": "any"})
    assert sorted(table["address_kind"]) == ["email", "email", "phone"]
    by_number = {**BACK, "email": None, "email_normalised": None, "mobile_phone": ANN["phone"]}
    assert {c for c, _, s in states([by_number], table) if s == "opt_out"} == {"phone"}


def test_no_address_and_no_plain_hash_of_one_is_kept() -> None:
    table = listed({**NO, "channel": "phone"})
    text = table.write_json()
    assert "ann@" not in text
    assert "4917012345678" not in text
    assert hashlib.sha256(b"ann@acme.com").hexdigest() not in text
    assert hashlib.sha256(b"email:ann@acme.com").hexdigest() not in text
    other = suppress_opt_outs(
        EMPTY,
        r.people([ANN]),
        r.consents([{**NO, "channel": "phone"}]),
        r.interactions([]).lazy(),
        RULES,
        r.SYSTEMS,
        new_salt(datetime(2026, 1, 1, tzinfo=UTC)),
    )
    assert not set(other["address_hash"]) & set(table["address_hash"])


def test_the_list_only_grows_and_a_night_run_again_adds_nothing() -> None:
    first = listed(NO)
    assert_frame_equal(listed(NO, before=first), first)
    assert_frame_equal(listed(before=first, people=[]), first)
    later = listed(NO, {**NO, "stated_at": r.days_ago(2)}, before=first)
    assert later.height == 2 * first.height
    assert set(first["suppression_id"]) <= set(later["suppression_id"])


def test_a_confirmed_opt_in_of_the_returned_address_lifts_only_what_is_older() -> None:
    yes = {
        "source": "form_submissions",
        "record_id": "f1",
        "email": "ann@acme.com",
        "email_normalised": "ann@acme.com",
        "consent_state": "opt_in",
        "evidence_kind": "double_opt_in",
        "stated_at": r.days_ago(10),
    }
    back = {**BACK, "email": "ann@acme.com"}
    assert states([back], listed(NO), [yes]) == {("email", "marketing", "opt_in")}
    newer = listed(NO, {**NO, "stated_at": r.days_ago(5)})
    assert states([back], newer, [yes]) == {("email", "marketing", "opt_out")}
    undated = listed(NO, {**NO, "stated_at": None})
    assert states([back], undated, [yes]) == {("email", "marketing", "opt_out")}


def test_a_word_explained_later_means_then_what_the_rules_say() -> None:
    table = listed({**NO, "channel": "telegraph"})
    assert states([BACK], table) == {(channel, "marketing", "opt_out") for channel in RULES.channels}
    taught = ConsentRules(**{**RULES.model_dump(), "channels": {**RULES.channels, "telegraph": ()}})
    assert states([BACK], table, rules=taught) == {("telegraph", "marketing", "opt_out")}


def test_a_list_without_its_salt_stops_the_night() -> None:
    with pytest.raises(LakeError, match=r"privacy.salts: 0 salts.*restore"):
        suppress_opt_outs(
            listed(NO),
            r.people([ANN]),
            r.consents([NO]),
            r.interactions([]).lazy(),
            RULES,
            r.SYSTEMS,
            SALTS.clear(),
        )

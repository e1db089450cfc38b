from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.contract import contract_of
from crm_hygiene.survivorship.deliverability import undeliverable
from crm_hygiene.survivorship.rules import BounceRule

LANDED = datetime(2026, 1, 1, tzinfo=UTC)
SYSTEMS = {"marketo_leads": "marketo", "marketo_activities": "marketo", "mail": "mail"}


def events(rows: list[dict[str, Any]]) -> pl.DataFrame:
    contract = contract_of("conformed.interactions")
    filled = [
        {
            "source": "mail",
            "record_id": str(n),
            "channel": "email",
            "email_normalised": "a@b.de",
            "landed_at": LANDED,
            "occurred_at": LANDED - timedelta(days=row.get("age", 0)),
            **{name: value for name, value in row.items() if name != "age"},
        }
        for n, row in enumerate(rows)
    ]
    return (
        contract.shape(pl.DataFrame(filled, schema_overrides=dict(contract.schema)))
        if filled
        else contract.empty()
    )


def people(rows: list[tuple[str, str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["source", "record_id", "email_normalised"], orient="row")


def bounced(rows: list[dict[str, Any]], known: list[tuple[str, str, str]] | None = None) -> list[str]:
    known = known or [("crm", "1", "a@b.de")]
    found = undeliverable(events(rows).lazy(), people(known), "email_normalised", BounceRule(), SYSTEMS)
    return found.to_list()


def test_a_bounce_counts_until_mail_arrives_again() -> None:
    bounce = {"interaction_kind": "bounce", "age": 5}
    assert bounced([bounce]) == ["a@b.de"]
    assert bounced([bounce, {"interaction_kind": "delivered", "age": 9}]) == ["a@b.de"]
    assert bounced([bounce, {"interaction_kind": "sent", "age": 1}]) == ["a@b.de"]
    assert bounced([bounce, {"interaction_kind": "open", "age": 1}]) == []
    again = [{**bounce, "age": 5}, {"interaction_kind": "click", "age": 3}, {**bounce, "age": 1}]
    assert bounced(again) == ["a@b.de"]


def test_an_event_from_the_future_is_of_its_landing() -> None:
    late = {"interaction_kind": "delivered", "age": -900}
    assert bounced([late, {"interaction_kind": "bounce", "age": 0}]) == ["a@b.de"]
    assert bounced([late, {"interaction_kind": "bounce", "age": 1}]) == []


def test_an_event_without_an_address_is_about_its_records_address_in_the_same_system() -> None:
    event = {
        "interaction_kind": "bounce",
        "source": "marketo_activities",
        "person_record_id": "7",
        "email_normalised": None,
    }
    assert bounced([event], [("marketo_leads", "7", "x@y.de"), ("crm", "7", "other@y.de")]) == ["x@y.de"]
    assert bounced([{**event, "person_record_id": "8"}], [("marketo_leads", "7", "x@y.de")]) == []


@pytest.mark.parametrize("kind", ["bounce"])
def test_calls_do_not_bounce(kind: str) -> None:
    assert bounced([{"interaction_kind": kind, "channel": "phone"}]) == []


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "interaction_kind": st.sampled_from(["bounce", "open", "sent"]),
                "age": st.integers(-1, 3),
                "email_normalised": st.sampled_from(["a@b.de", "c@d.de", None]),
            }
        ),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=examples(30), deadline=None)
def test_the_order_of_events_does_not_matter(rows: list[dict[str, Any]], random: Any) -> None:
    shuffled = [dict(row) for row in rows]
    random.shuffle(shuffled)
    assert bounced([dict(row) for row in rows]) == bounced(shuffled)

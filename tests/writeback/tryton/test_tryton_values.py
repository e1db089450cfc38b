"""Values as text and back: what is written reads back as `normal_text` said it would. No server is needed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.writeback.targets.tryton_parties import (
    MECHANISMS,
    PartyDialect,
    comparable,
    exported,
    new_party,
)
from crm_hygiene.writeback.targets.tryton_rpc import _decoded, _encoded
from crm_hygiene.writeback.targets.tryton_values import Unfit, as_text, normal_text, text_of, value_of


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9))
def test_amounts_read_back_as_normalised(amount: Decimal) -> None:
    description = {"type": "numeric"}
    text = text_of(description, value_of("amount", description, str(amount)))
    assert text == normal_text("amount", description, str(amount)) == as_text(amount)
    assert Decimal(text or "") == amount


@given(st.text(max_size=20))
def test_texts_read_back_as_normalised(text: str) -> None:
    for description in ({"type": "char", "strip": True}, {"type": "char", "strip": False}, {"type": "text"}):
        normal = normal_text("name", description, text)
        assert normal == text_of(description, value_of("name", description, text))
        assert normal == normal_text("name", description, normal)


@given(st.sampled_from(["float", "numeric", "integer", "date", "datetime", "many2one"]), st.text(max_size=8))
def test_a_text_is_the_field_s_type_or_unfit(kind: str, text: str) -> None:
    words = ""
    value = None
    try:
        value = value_of("f", {"type": kind}, text)
    except Unfit as unfit:
        words = str(unfit)
    assert len(text) < 6 or text not in words
    assert value is None or text_of({"type": kind}, value) is not None


def test_booleans_come_as_numbers_from_sqlite() -> None:
    assert [text_of({"type": "boolean"}, v) for v in (1, 0, True, False, None)] == [
        "true", "false", "true", "false", "false"
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["one2many", "many2many", "binary", "dict"])
def test_records_are_not_written_as_text(kind: str) -> None:
    with pytest.raises(Unfit):
        value_of("f", {"type": kind}, "1")


def test_dates_and_decimals_cross_the_wire() -> None:
    for value in (date(2025, 4, 1), Decimal("12.50")):
        assert _decoded(_encoded(value)) == value


@given(st.sampled_from([*MECHANISMS, "tax_identifier", "street", "email_opt_out"]), st.text(max_size=20))
def test_comparing_twice_is_comparing_once(field: str, text: str) -> None:
    once = comparable(field, text)
    assert comparable(field, once) == once


def test_telephone_numbers_compare_whatever_their_format() -> None:
    assert (
        comparable("phone", "+49 (761) 45 678-90") == comparable("phone", "+497614567890") == "+497614567890"
    )
    assert comparable("phone", "0761 4567890") == "0761 4567890"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+49 761 4567890", "+497614567890"),
        ("+497614567890", "+497614567890"),
        ("+49 (761) 456 78 90", "+49 (761) 456 78 90"),
        ("0761 4567890", "0761 4567890"),
        (None, None),
    ],
)
def test_only_the_server_s_own_format_is_exported_as_e164(text: str | None, shown: str | None) -> None:
    assert exported("phone", text) == shown
    assert exported("email", text) == text
    assert comparable("phone", exported("phone", text)) == comparable("phone", text)


def test_a_new_party_needs_only_what_is_filled() -> None:
    party = new_party(PartyDialect({"email_opt_out": "No e-mail"}, {"No e-mail": 7}, {"DE": 3}))
    assert party.commands({"email": "a@x.example", "country": "DE", "email_opt_out": "true"}) == {
        "contact_mechanisms": [["create", [{"type": "email", "value": "a@x.example"}]]],
        "addresses": [["create", [{"country": 3}]]],
        "categories": [["add", [7]]],
    }
    with pytest.raises(Unfit, match="prefix of an EU country"):
        party.commands({"tax_identifier": "12345"})

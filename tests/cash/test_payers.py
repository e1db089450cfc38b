"""Who paid: account, tax number, relation, legal form and name, one rule per test."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

from crm_hygiene.cash.books import RELATIONS
from crm_hygiene.cash.entries import numbered_invoices, numbered_payments
from crm_hygiene.cash.payer_names import similar_parties
from crm_hygiene.cash.payers import identify_payers
from crm_hygiene.contract import contract_of
from crm_hygiene.standardise.organisations import standardise_organisation_names

from .books import RULES, Row, invoice_table, payment_table

ACME: Row = {
    "record_id": "I1", "invoice_number": "X-1", "amount": "10", "customer_record_id": "C1", "iban": "DE01",
    "tax_id": "DE111", "organisation_name_normalised": "acme weaving", "customer_name": "Acme Weaving GmbH",
}  # fmt: skip
BOLT: Row = {
    "record_id": "I2", "invoice_number": "X-2", "amount": "10", "customer_record_id": "C2", "iban": "DE02",
    "tax_id": "DE222", "organisation_name_normalised": "bolt tools", "customer_name": "Bolt Tools Ltd",
}  # fmt: skip
ACME_PARTY, BOLT_PARTY = "customer:erp_invoices/C1", "customer:erp_invoices/C2"


LEARNED = pl.Schema({"key": pl.String(), "party": pl.String()})


def who(
    payment: Row, *more: Row, relations: list[Row] | None = None, learned: tuple[tuple[str, str], ...] = ()
) -> dict[str, Any]:
    """What is known of the payer of one payment, where Acme, Bolt and `more` are billed."""
    none = contract_of("reconciled.allocations").empty()
    members = contract_of("linked.organisation_members").empty()
    claims = numbered_invoices(invoice_table([ACME, BOLT, *more]), members, none, RULES)
    paid = numbered_payments(payment_table([{"record_id": "P1", "amount": "10", **payment}]), none, RULES)
    told = [{**dict.fromkeys(RELATIONS.names()), "source": "relations", "record_id": str(n), **row}
            for n, row in enumerate(relations or [])]  # fmt: skip
    organisations = contract_of("conformed.organisations").empty()
    related = pl.DataFrame(told, schema=RELATIONS)
    before = pl.DataFrame(list(learned), schema=LEARNED, orient="row")
    found = identify_payers(paid, claims, organisations, members, related, before, RULES)
    return found.payment_parties.row(0, named=True)


@pytest.mark.parametrize(
    ("payment", "by"),
    [
        ({"payer_iban": "DE01"}, "account"),
        ({"payer_iban": "de 01"}, "account"),
        ({"payer_tax_id": "DE111"}, "tax number"),
        ({"organisation_name_normalised": "acme weaving"}, "name"),
        ({"organisation_name_normalised": "acme weavnig"}, "similar name"),
    ],
)
def test_a_payer_is_known_by(payment: Row, by: str) -> None:
    found = who(payment)
    assert (found["payer"], found["payer_by"], found["is_payer_unclear"]) == (ACME_PARTY, by, False)


def test_an_account_goes_before_a_tax_number() -> None:
    assert who({"payer_iban": "DE01", "payer_tax_id": "DE111"})["payer_by"] == "account"


def test_an_account_beside_anothers_name_is_unclear() -> None:
    found = who({"payer_iban": "DE01", "organisation_name_normalised": "bolt tools"})
    assert (found["payer"], found["is_payer_unclear"]) == (ACME_PARTY, True)


def test_a_relation_explains_anothers_name() -> None:
    relation = {"payer_iban": "DE99", "customer_record_id": "C1"}
    payment = {"payer_iban": "DE99", "organisation_name_normalised": "bolt tools"}
    found = who(payment, relations=[relation])
    assert (found["payer"], found["payer_by"], found["is_payer_unclear"]) == (ACME_PARTY, "relation", False)


@pytest.mark.parametrize(("day", "party"), [(date(2024, 5, 31), ACME_PARTY), (date(2024, 6, 1), None)])
def test_a_relation_holds_on_its_days(day: date, party: str | None) -> None:
    relation = {"payer_iban": "DE99", "customer_record_id": "C1", "valid_to": date(2024, 5, 31)}
    assert who({"payer_iban": "DE99", "booked_date": day}, relations=[relation])["payer"] == party


def test_a_virtual_account_goes_before_everything() -> None:
    relation = {"virtual_account": "V7", "customer_record_id": "C2"}
    found = who({"virtual_account": "V7"}, relations=[relation])
    assert (found["payer"], found["payer_by"]) == (BOLT_PARTY, "virtual account")


@pytest.mark.parametrize(
    ("stated", "is_unclear"),
    [
        ("Acme Weaving GmbH", False),
        ("ACME WEAVING Gesellschaft mit beschränkter Haftung", False),
        ("Acme Weaving", False),
        ("Acme Weaving Ltd", True),
    ],
)
def test_another_legal_form_is_another_company(stated: str, is_unclear: bool) -> None:
    payment = {"payer_name": stated, "organisation_name_normalised": "acme weaving"}
    assert who(payment)["is_payer_unclear"] is is_unclear


@pytest.mark.parametrize(
    ("stated", "payer", "is_unclear"),
    [
        ("SOFARMA TREYDING AD", True, False),
        ("Софарма Трейдинг АД", True, False),
        ("SOFARMA TREYDING", True, False),
        ("SOFARMA TREYDING EOOD", True, True),
        ("SOFIA TREYDING AD", False, False),
    ],
)
def test_a_bank_without_cyrillic_letters_names_a_customer_all_the_same(
    stated: str, payer: bool, is_unclear: bool
) -> None:
    def named(raw: str) -> Row:
        row = standardise_organisation_names(pl.DataFrame({"raw": [raw]})).row(0, named=True)
        return {"organisation_name_normalised": row["organisation_name_normalised"]}

    customer = {"record_id": "I3", "invoice_number": "X-3", "amount": "10", "customer_record_id": "C3"}
    own = {**customer, **named("Софарма Трейдинг АД"), "customer_name": "Софарма Трейдинг АД"}
    found = who({"payer_name": stated, **named(stated)}, own)
    assert found["payer"] == ("customer:erp_invoices/C3" if payer else None)
    assert found["is_payer_unclear"] is is_unclear


def test_an_account_stands_whatever_legal_form_is_stated() -> None:
    payment = {"payer_name": "Acme Weaving Ltd", "organisation_name_normalised": "acme weaving"}
    assert who({**payment, "payer_iban": "DE01"})["is_payer_unclear"] is False


def test_a_name_from_another_account_than_those_on_file_is_unclear() -> None:
    payment = {"organisation_name_normalised": "acme weaving", "payer_iban": "DE77"}
    found = who(payment)
    assert (found["payer"], found["payer_by"], found["is_payer_unclear"]) == (ACME_PARTY, "name", True)


def test_a_name_without_an_account_on_file_is_clear_from_any() -> None:
    other = {"record_id": "I3", "invoice_number": "X-3", "amount": "10", "customer_record_id": "C3",
             "organisation_name_normalised": "carpet mill"}  # fmt: skip
    found = who({"organisation_name_normalised": "carpet mill", "payer_iban": "DE77"}, other)
    assert (found["payer_by"], found["is_payer_unclear"]) == ("name", False)


def test_two_customers_of_one_name_are_several_customers() -> None:
    twin = {**ACME, "record_id": "I3", "customer_record_id": "C3", "iban": None, "tax_id": None}
    found = who({"organisation_name_normalised": "acme weaving"}, twin)
    assert (found["payer"], found["is_payer_unclear"], found["customers"]) == (None, False, 2)


def test_an_account_that_stands_for_a_crowd_names_nobody() -> None:
    crowd = [
        {**ACME, "record_id": f"I{k}", "customer_record_id": f"C{k}", "tax_id": None} for k in range(3, 9)
    ]
    assert who({"payer_iban": "DE01"}, *crowd)["payer"] is None


@pytest.mark.parametrize(
    ("name", "party", "is_clear"),
    [
        ("weberei zimmermann", "a", True),
        ("zimmermann weberei", "a", True),
        ("weberei zimmerman 2", None, None),
        ("spinnerei gruber", None, None),
        ("muster werke nord", None, False),
    ],
)
def test_a_similar_name_must_beat_every_other(name: str, party: str | None, is_clear: bool | None) -> None:
    known = pl.DataFrame(
        {"name": ["weberei zimmerman", "muster werke nor", "muster werke nort"], "party": ["a", "b", "c"]}
    )
    rows = similar_parties(pl.DataFrame({"name": [name]}), known, RULES.names).rows()
    assert rows == ([] if is_clear is None else [(name, party, is_clear)])


def compared(name: str) -> str:
    told = standardise_organisation_names(pl.DataFrame({"raw": [name]}))
    return str(told["organisation_name_normalised"].item())


@pytest.mark.parametrize(
    ("customer", "payer", "by"),
    [
        ("Bäckerei Müller & Söhne GmbH", "BAECKEREI MUELLER U. SOEHNE", "name"),
        ("Bäckerei Müller & Söhne GmbH", "Baeckerei Mueller und Soehne GmbH", "name"),
        ("Bäckerei Müller & Söhne GmbH", "BACKEREI MULLER SOHNE", "name"),
        ("Løvås og Sønner AS", "LOEVAAS OG SOENNER AS", "name"),
        ("García y Hijos SL", "GARCIA HIJOS S.L.", "name"),
        # A single letter between names is an initial, not a word for "and".
        ("Hans E. Kolb", "Hans I. Kolb", None),
    ],
)
def test_a_name_is_the_same_however_a_bank_spells_it(customer: str, payer: str, by: str | None) -> None:
    billed = {
        **ACME,
        "record_id": "I3",
        "customer_record_id": "C3",
        "customer_name": customer,
        "organisation_name_normalised": compared(customer),
    }
    found = who({"payer_name": payer, "organisation_name_normalised": compared(payer)}, billed)
    assert (found["payer"], found["payer_by"]) == ("customer:erp_invoices/C3" if by else None, by)


def test_an_account_that_paid_before_is_known_by_it() -> None:
    found = who({"payer_iban": "DE77"}, learned=(("iban:DE77", ACME_PARTY),))
    assert (found["payer"], found["payer_by"], found["customers"]) == (ACME_PARTY, "earlier payments", 1)


def test_who_pays_under_another_name_may_pay_for_more() -> None:
    payment = {"payer_iban": "DE77", "payer_name": "Holding", "organisation_name_normalised": "holding"}
    found = who(payment, learned=(("iban:DE77", ACME_PARTY),))
    assert (found["payers"], found["customers"]) == ([ACME_PARTY], 2)


def test_what_is_on_file_goes_before_what_was_learned() -> None:
    assert who({"payer_iban": "DE02"}, learned=(("iban:DE02", ACME_PARTY),))["payer"] == BOLT_PARTY

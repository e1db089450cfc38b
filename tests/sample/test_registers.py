"""Check digits, keys and telephone numbers against independent implementations."""

from __future__ import annotations

import numpy as np
import phonenumbers
import polars as pl
import pytest
import stdnum.eu.vat
import stdnum.gb.vat
import stdnum.iban

from crm_hygiene.sample.draws import fill, stream
from crm_hygiene.sample.identifiers import guids, hubspot_ids, long_forms, salesforce_ids
from crm_hygiene.sample.registers import ibans, vat_numbers
from crm_hygiene.sample.telephone import written
from crm_hygiene.sample.vocabulary import load_vocabulary, slug

VOCABULARY = load_vocabulary()
COUNTRIES = range(len(VOCABULARY.codes))


@pytest.mark.parametrize("country", COUNTRIES)
def test_ibans_and_tax_numbers_of_each_country(country: int) -> None:
    rng = stream(country, "registers")
    rows = np.full(300, country, dtype=np.int64)
    accounts = ibans(rng, VOCABULARY, rows).drop_nulls()
    assert (len(accounts) > 0) == bool(VOCABULARY.countries[country].iban)
    assert [a for a in accounts if not stdnum.iban.is_valid(a)] == []
    for number in vat_numbers(rng, VOCABULARY, rows).drop_nulls():
        assert stdnum.gb.vat.is_valid(number) if number.startswith("GB") else stdnum.eu.vat.is_valid(number)


@pytest.mark.parametrize("country", COUNTRIES)
def test_numbers_are_plausible_in_every_way_of_writing_them(country: int) -> None:
    rng = stream(country, "telephone")
    facts = VOCABULARY.countries[country]
    templates = [*facts.mobile, *(c[3] for c in facts.cities)]
    numbers = fill(rng, templates, rng.integers(0, len(templates), 400))
    typed = written(VOCABULARY, rng, numbers, np.full(400, country, dtype=np.int64))
    right = 0
    for number, text in zip(numbers, typed, strict=True):
        parsed = phonenumbers.parse(text, VOCABULARY.codes[country])
        digits = "".join(c for c in number if c.isdigit())
        shown = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        right += phonenumbers.is_valid_number(parsed) and shown == f"+{facts.dial}{digits}"
    # 00 is no international prefix in the Americas and Japan: real people type it there all the same.
    assert right >= 400 * (0.85 if facts.dial in ("1", "81") else 0.97)


def test_keys_are_distinct_and_of_their_form() -> None:
    rng = stream(1, "keys")
    short, long = salesforce_ids(rng, "003", 5000)
    assert short.n_unique() == long.n_unique() == 5000
    assert (long.str.slice(0, 15) == short).all()
    assert long.str.to_lowercase().n_unique() == 5000, "the long form survives the loss of case"
    assert short.str.contains("^0035g[0-9A-Za-z]{10}$").all()
    assert (
        guids(rng, 500)
        .str.contains("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        .all()
    )
    assert hubspot_ids(rng, 100, 500).n_unique() == 500


def test_known_salesforce_key() -> None:
    # 001A0000006Vm9r has the long form 001A0000006Vm9rIAC in Salesforce's own documentation.
    assert long_forms(pl.Series(["001A0000006Vm9r"])).to_list() == ["001A0000006Vm9rIAC"]


def test_slugs_are_what_mail_addresses_can_carry() -> None:
    names = pl.Series(["Müller-Lüdenscheidt", "Łukasz", "O'Brien", "Ångström", "Weiß", "Yılmaz", "Sørensen"])
    expected = ["muellerluedenscheidt", "lukasz", "obrien", "angstroem", "weiss", "yilmaz", "sorensen"]
    assert slug(names).to_list() == expected


def test_every_name_of_the_vocabulary_has_a_slug() -> None:
    for pools in (VOCABULARY.female, VOCABULARY.male, VOCABULARY.family):
        assert (slug(pools.values).str.len_chars() > 0).all()

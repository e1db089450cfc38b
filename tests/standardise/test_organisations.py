from __future__ import annotations

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.standardise import standardise_organisation_names

from .conftest import Raw


@pytest.mark.parametrize(
    ("written", "normalised", "form"),
    [
        ("Acme GmbH", "acme", "GmbH"),
        ("ACME G.m.b.H.", "acme", "G.m.b.H."),
        ("Müller & Söhne GmbH & Co. KG", "muller and sohne", "GmbH & Co. KG"),
        ("MUELLER & SOEHNE GMBH", "muller and sohne", "GMBH"),
        ("Aero Blue Michael GmbH", "aro blue michael", "GmbH"),
        ("The Coca-Cola Company", "coca cola", "Company"),
        ("Acme, Inc.", "acme", "Inc."),
        ("Acme Pty Ltd", "acme", "Pty Ltd"),
        ("Fiat S.p.A.", "fiat", "S.p.A."),
        ("Foo S.à r.l.", "foo", "S.à r.l."),
        ("Straßenbau AG", "strassenbau", "AG"),
        ("Danske Bank A/S", "danske bank", "A/S"),
        ("Spotify AB (publ)", "spotify", "AB (publ)"),
        ("Acme (GmbH)", "acme", "GmbH"),
        ("ООО Ромашка", "romashka", "ООО"),
        ('ООО"Ромашка"', "romashka", "ООО"),
        (
            'Общество с ограниченной ответственностью "Ромашка"',
            "romashka",
            "Общество с ограниченной ответственностью",
        ),
        ("ТОВ «Зелена Гора»", "zelena gora", "ТОВ"),
        ("Софарма АД", "sofarma", "АД"),
        ("Sopharma AD", "sopharma", "AD"),
        ("Мегатрон д.о.о.", "megatron", "д.о.о."),
        ("Δημητρίου Α.Ε.", "dimitriou", "Α.Ε."),
        ("ООО", "ooo", None),
        ("株式会社トヨタ", "トヨタ", "株式会社"),
        ("Acme Sp. z o.o.", "acme", "Sp. z o.o."),
        ("Mercado Libre S. A. de C. V.", "mercado libre", "S. A. de C. V."),
        ("U.S. Steel Corp.", "us steel", "Corp."),
        ("AT&T Inc", "at and t", "Inc"),
        ("Ben & Jerry", "ben and jerry", None),
        ("Vodafone NL", "vodafone nl", None),
        ("Texas", "texas", None),
        ("Limited", "limited", None),
        ("S.p.A.", "spa", None),
    ],
)
def test_names(raw: Raw, written: str, normalised: str, form: str | None) -> None:
    row = standardise_organisation_names(raw(written)).row(0, named=True)
    assert (row["organisation_name"], row["problem"]) == (written, None)
    assert (row["organisation_name_normalised"], row["legal_form"]) == (normalised, form)


@pytest.mark.parametrize("written", ["n/a", "Test", "-", "Unknown", "[[unknown]]", "XXXX"])
def test_placeholders(raw: Raw, written: str) -> None:
    row = standardise_organisation_names(raw(written)).row(0, named=True)
    assert row["organisation_name"] is row["organisation_name_normalised"] is row["legal_form"] is None
    assert row["problem"].endswith("is a placeholder")


@settings(max_examples=examples(60), deadline=None)
@given(st.text(max_size=20), st.sampled_from(["", " Ltd", " GmbH", " & Co", " SA", "株式会社", " the"]))
def test_a_name_never_normalises_to_nothing(raw: Raw, stem: str, form: str) -> None:
    row = standardise_organisation_names(raw(stem + form)).row(0, named=True)
    if row["organisation_name"] is not None:
        assert row["organisation_name_normalised"]

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import polars as pl
import pytest

from crm_hygiene.linkage.comparable import comparable, sound_key, with_block_columns

Rows = Callable[..., pl.DataFrame]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gray", "gyar"),
        ("henderson", "hendreson"),
        ("phillips", "fillips"),
        ("schmidt", "schmitt"),
        ("jon", "john"),
    ],
)
def test_spellings_of_one_name_share_a_sound_key(one: str, other: str) -> None:
    keys = pl.DataFrame({"name": [one, other]}).select(sound_key(pl.col("name")))["name"].to_list()
    assert keys[0][1:] == keys[1][1:]


def test_names_of_different_sound_do_not() -> None:
    names = pl.DataFrame({"name": ["miller", "walker", "smith", None]})
    keys = names.select(sound_key(pl.col("name")))["name"].to_list()
    assert len(set(keys)) == 4
    assert keys[3] is None


@pytest.mark.parametrize(
    ("given", "family", "organisation", "city"),
    [
        ("Jörg", "Müller", "Bäckerei Löwe", "Köln"),
        ("Joerg", "Mueller", "Baeckerei Loewe", "Koeln"),
        ("JOERG", "MUELLER", "BAECKEREI LOEWE", "KOELN"),
        ("Jorg", "Muller", "Backerei Lowe", "Koln"),
    ],
)
def test_umlauts_are_alike_however_they_are_written(
    people: Rows, given: str, family: str, organisation: str, city: str
) -> None:
    rows = people(
        {"given_name": given, "family_name": family, "organisation_name": organisation, "city": city}
    )
    [found] = comparable("person", rows).select("given", "family", "organisation", "city").rows()
    assert found == ("jorg", "muller", "backereilowe", "koln")


def test_two_vowels_are_two_sounds_where_no_umlaut_stands(people: Rows) -> None:
    rows = people(
        {"given_name": "Zoe", "family_name": "Quell"},
        {"given_name": "Ida Else", "family_name": "Coe"},
        {"given_name": "Michael", "family_name": "Manuel-Boell"},
    )
    assert comparable("person", rows).select("given", "family").rows() == [
        ("zoe", "quell"),
        ("idaelse", "coe"),
        ("michael", "manuelboll"),
    ]


def test_a_nickname_is_one_however_its_umlaut_is_written(people: Rows) -> None:
    rows = people(
        {"given_name": "Jörg"}, {"given_name": "Joerg"}, {"given_name": "Mike"}, {"given_name": "Michael"}
    )
    roots = with_block_columns("person", comparable("person", rows))["given_roots"].to_list()
    assert roots[0] == roots[1]
    assert set(roots[2]) & set(roots[3])


def test_titles_and_ordinals_are_no_names(people: Rows) -> None:
    frame = comparable(
        "person", people({"given_name": "Sir", "family_name": "Walker"}, {"given_name": "1st"})
    )
    assert frame["given"].to_list() == [None, None]
    assert frame["family"].to_list() == ["walker", None]


def test_each_of_several_given_names_counts(people: Rows) -> None:
    rows = people(
        {"given_name": "Hans Peter"}, {"given_name": "Peter"}, {"given_name": "Bob", "middle_name": "Lee"}
    )
    roots = with_block_columns("person", comparable("person", rows))["given_roots"].to_list()
    assert set(roots[0]) & set(roots[1])
    assert {"robert", "lee"} <= set(roots[2])


@pytest.mark.parametrize(
    ("family", "email", "is_own"),
    [
        ("Müller", "s.mueller@acme.de", False),
        ("Mueller", "s.muller@acme.de", False),
        ("Erlenmann", "a.erlenmann@acme.de", False),
        ("Åberg", "aaberg@acme.se", False),
        ("Kozłowicz", "kozlowicz@acme.pl", False),
        ("Yılmaz", "u.yilmaz@acme.de", False),
        ("Müller", "s.mueller2@acme.de", False),
        ("Müller", "s.mueller74@acme.de", True),
        ("Müller", "nightowl@acme.de", True),
    ],
)
def test_a_mailbox_that_spells_the_name_is_nobodys_own(
    people: Rows, family: str, email: str, is_own: bool
) -> None:
    frame = comparable("person", people({"given_name": "Ada", "family_name": family, "email": email}))
    assert (frame["email_user"][0] is not None) is is_own


def test_days_between_birth_dates_are_known(people: Rows) -> None:
    frame = comparable("person", people({"birth_date": date(1970, 1, 2)}, {}))
    assert frame["birth_day"].to_list() == [1, None]

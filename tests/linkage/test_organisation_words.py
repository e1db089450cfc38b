from __future__ import annotations

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.linkage.comparable import comparable
from crm_hygiene.linkage.organisation_words import MOST_BITS, bits_of, with_word_bits, word_frequencies

NAMES = ["Nordwind Logistik", "Nordwind Handel", "Sturm Logistik", "Quelle", "Alte Quelle"]


def organisations(*names: str | None, city: str | None = None) -> pl.DataFrame:
    return comparable(
        "organisation",
        pl.DataFrame(
            {
                "source": ["crm_accounts"] * len(names),
                "record_id": [f"{i:03}" for i in range(len(names))],
                "organisation_name": names,
                "city": [city] * len(names),
            },
            schema_overrides={"organisation_name": pl.String, "city": pl.String},
        ),
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("International Business Machines Corp.", "Intl. Business Machines"),
        ("Saint Mary School of Law", "School of Law, St. Mary"),
        ("The Procter & Gamble Company", "Procter and Gamble"),
        ("Limited Liability Company Krasota", "Krasota"),
        ("Three Rivers Bank", "3 Rivers Bank"),
        ("Gebrüder Storm", "Gebr. Storm"),
        ("Gebrüder Storm & Söhne", "GEBRUEDER STORM UND SOEHNE"),
        ("World Labour Organisation", "World Labor Organization"),
    ],
)
def test_ways_of_writing_one_name_have_one_key(one: str, other: str) -> None:
    assert organisations(one, other)["name_key"].n_unique() == 1


def test_a_name_of_fillers_and_legal_words_alone_keeps_them() -> None:
    assert organisations("The Company", "Limited")["name_key"].to_list() == ["company the", "limited"]


def test_numbers_and_acronyms_are_found() -> None:
    frame = organisations("Store 12 Downtown", "Fund Partners III", "International Business Machines", None)
    assert frame["word_numbers"].to_list() == [["12"], ["iii"], None, None]
    assert frame["acronym"].to_list()[2] == "ibm"
    assert frame["own_name"].to_list() == [
        "12 downtown store",
        "fund iii partners",
        "business international machines",
        None,
    ]
    assert organisations("United Bank", "Quelle")["own_name"].to_list() == [None, None]


def test_frequencies_count_names_and_not_records() -> None:
    once, often = organisations(*NAMES), organisations(*NAMES, *["Nordwind Handel"] * 30)
    assert word_frequencies(once, 100) == word_frequencies(often, 100)
    assert word_frequencies(once, 100)["values"] == {"logistik": 2, "nordwind": 2, "quelle": 2}


def test_a_rare_word_says_more_than_a_common_one_and_the_own_city_nearly_nothing() -> None:
    names = [f"Club {chr(97 + i)}{chr(97 + j)}lan" for i in range(26) for j in range(10)]
    frequencies = word_frequencies(organisations(*names), 1000)
    assert bits_of("unseen", frequencies) > bits_of("club", frequencies) + 5
    at_home = with_word_bits(organisations("Ritz Hamburg", city="Hamburg"), frequencies)
    elsewhere = with_word_bits(organisations("Ritz Hamburg", city="Bremen"), frequencies)
    assert at_home["name_bits"][0] < elsewhere["name_bits"][0] - 5


def test_a_name_is_weighed_by_itself_and_the_model_alone() -> None:
    frequencies = word_frequencies(organisations(*NAMES), 100)
    columns = ["name_key", "word_bits", "name_bits", "rare_word", "rare_word_2", "new_word"]
    together = with_word_bits(organisations(*NAMES), frequencies).select(columns)
    alone = pl.concat(with_word_bits(organisations(n), frequencies).select(columns) for n in NAMES)
    assert together.equals(alone)
    assert together["rare_word"].to_list()[:2] == ["logistik", "nordwind"]
    assert together["new_word"].to_list()[1] == "handel"


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=25)), min_size=1, max_size=8))
def test_any_text_gives_one_row_per_record_and_bounded_bits(names: list[str | None]) -> None:
    frame = organisations(*names)
    weighed = with_word_bits(frame, word_frequencies(frame, 100))
    assert weighed["unique_id"].to_list() == list(range(len(names)))
    bits = weighed.select(pl.col("word_bits").explode().struct.field("bits")).to_series().drop_nulls()
    assert bits.is_between(-MOST_BITS, MOST_BITS).all()
    assert (weighed["name_bits"].is_null() == weighed["word_list"].is_null()).all()

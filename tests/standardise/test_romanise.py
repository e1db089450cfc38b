"""Letters of other alphabets in Latin ones: as passports and laws write them, and nothing else touched."""

from __future__ import annotations

import unicodedata

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.standardise.romanise import LETTERS
from crm_hygiene.standardise.text import fold, folded, latinised

_FOREIGN = st.text(
    st.sampled_from(
        "абвгдежзийклмнопрстуфхцчшщъыьэюяёѓђєїјљњќћўџґ"
        "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩάέήίόύώϊϋΐΰς"
        "աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆև"
        "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ"
    ),
    min_size=1,
)


def _latin(text: str) -> str:
    return pl.DataFrame({"c": [text]}).select(latinised("c")).item()


@pytest.mark.parametrize(
    ("written", "latin"),
    [
        ("Γεώργιος Παπαδόπουλος", "georgios papadopoulos"),
        ("Ευάγγελος Σταύρου", "evangelos stavrou"),
        ("ΕΥΘΥΜΙΟΥ ΑΥΓΗ", "efthymiou avgi"),
        ("Μπάμπης Καμπέρος", "bampis kamperos"),
        ("Άγχος Σφίγγα", "anchos sfinga"),
        ("Προϋπολογισμός", "proypologismos"),
        ("Сергей Хрущёв", "sergey khrushchev"),
        ("Велико Търново", "veliko tarnovo"),
        ("Подъезд", "podezd"),
        ("Тетяна Щербак", "tetyana shcherbak"),
        ("Љубиша Њежић", "ljubisa njezic"),
        ("Ђорђе Џајић", "dorde dzajic"),
        ("Володимир Гнатів", "volodymyr hnativ"),
        ("Қасым Ғали", "qasym ghali"),
        ("Բարակ Օբամա", "barak obama"),
        ("თბილისი", "tbilisi"),
        ("Müller Łódź", "muller lodz"),
        ("محمد 习近平 김정은 バラク", "محمد 习近平 김정은 バラク"),
    ],
)
def test_as_passports_have_it(written: str, latin: str) -> None:
    assert _latin(written) == unicodedata.normalize("NFC", latin)


@given(_FOREIGN)
def test_letters_of_these_alphabets_become_latin_ones(text: str) -> None:
    found = _latin(text)
    assert found.isascii()
    assert all(c.isalpha() for c in found)
    assert _latin(found) == found
    assert _latin(text.upper()) == _latin(text.upper().lower())


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_other_texts_are_folded_only(texts: list[str | None]) -> None:
    frame = pl.DataFrame({"c": texts}, schema={"c": pl.String})
    rows = frame.with_columns(latin=latinised("c"), plain=folded("c"))
    others = rows.filter(~pl.col("c").str.contains(LETTERS).fill_null(value=False))
    assert others["latin"].equals(others["plain"], null_equal=True)
    assert rows["latin"].null_count() == rows["plain"].null_count()


@pytest.mark.parametrize(
    ("one", "other"), [("モディ", "モテイ"), ("मोदी", "मादी"), ("เด็ก", "เดก"), ("Андрей", "Андреи")]
)
def test_marks_that_make_another_letter_stay(one: str, other: str) -> None:
    assert fold(one) != fold(other)
    assert pl.DataFrame({"c": [one]}).select(folded("c")).item() == fold(one)


@pytest.mark.parametrize(
    ("one", "other"), [("مُحَمَّد", "محمد"), ("שָׁלוֹם", "שלום"), ("José", "Jose"), ("Семён", "Семен")]
)
def test_marks_that_are_left_out_as_often_go(one: str, other: str) -> None:
    assert fold(one) == fold(other)

"""Marks bound DuckDB's measures of likeness, whatever the texts."""

from __future__ import annotations

import polars as pl
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.linkage.connection import connection, fetch, load
from crm_hygiene.linkage.letter_marks import letter_marks, list_marks
from crm_hygiene.linkage.settings import LinkageSettings

# Few letters make near texts likely; ł and ø have two bytes of which one is the same in å.
_TEXTS = st.lists(st.text("abcz019øåł@. ", min_size=0, max_size=9), min_size=2, max_size=12)


@given(_TEXTS)
@settings(max_examples=examples(40), deadline=None)
def test_marks_are_never_stricter_than_the_measures(texts: list[str]) -> None:
    frame = pl.DataFrame({"t": texts}, schema={"t": pl.String})
    with connection(LinkageSettings(threads=1)) as con:
        load(con, "texts", pl.concat([frame, letter_marks(frame["t"])], how="horizontal"))
        found = fetch(
            con,
            """
            SELECT levenshtein(a.t, b.t) AS edits, jaro_winkler_similarity(a.t, b.t) AS likeness,
                abs(a.size - b.size) AS difference, may_be_near(a.marks, b.marks, edits) AS is_near,
                jaro_winkler_bound(a.size, a.marks, b.size, b.marks, a.start = b.start) AS bound
            FROM texts a, texts b WHERE a.t <> '' AND b.t <> ''
            """,
        )
    assert found["is_near"].all()
    assert (found["difference"] <= found["edits"]).all()
    assert (found["bound"] + 1e-6 >= found["likeness"]).all()


def test_missing_texts_have_no_marks() -> None:
    assert letter_marks(pl.Series(["ab", None, "", "ba1"])).rows() == [
        (3, 2, ord("a")),
        (None, None, None),
        (0, 0, 0),
        (3 | 1 << 27, 3, ord("b")),
    ]
    assert letter_marks(pl.Series([None, None], dtype=pl.String))["marks"].null_count() == 2


def test_digits_that_come_twice_have_a_bit_of_their_own() -> None:
    once, twice = letter_marks(pl.Series(["12", "112"]))["marks"]
    assert (twice & ~once).bit_count() == 1


@given(
    st.lists(st.none() | st.text("0179a-ø", max_size=80) | st.sampled_from(["1" * 63, "9" * 64, "00" * 99]))
)
@settings(max_examples=examples(60), deadline=None)
def test_digits_are_counted_however_often_they_come(texts: list[str | None]) -> None:
    first = 26 + 10
    for text, marks in zip(texts, letter_marks(pl.Series(texts, dtype=pl.String))["marks"], strict=True):
        if text is None:
            assert marks is None
        else:
            assert {d for d in "0123456789" if marks >> (first + int(d)) & 1} == {
                d for d in "0123456789" if text.count(d) > 1
            }


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=3), min_size=2, max_size=6))
@settings(max_examples=examples(30), deadline=None)
def test_lists_with_a_common_element_share_a_bit(lists: list[list[str]]) -> None:
    marks = list_marks(pl.Series(lists, dtype=pl.List(pl.String))).to_list()
    for a, mine in zip(lists, marks, strict=True):
        for b, theirs in zip(lists, marks, strict=True):
            if set(a) & set(b):
                assert mine & theirs
    assert all((mark is None) == (not held) for held, mark in zip(lists, marks, strict=True))

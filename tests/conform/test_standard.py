"""Plain text, by its quick way and by its meaning."""

from __future__ import annotations

import polars as pl
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.conform.standard import plain

_LETTERS = "ab é中\t\n\r\x00\x1f\x7f\x85\u00a0\u00ad\u1680\u180e\u200b\u2003\u2028\u3000\ufeff"


@settings(max_examples=examples(200), deadline=None, derandomize=True)
@given(
    st.lists(st.one_of(st.none(), st.text(alphabet=_LETTERS, max_size=6), st.text(max_size=6)), max_size=8)
)
def test_plain_text_has_single_blanks_and_no_control_characters(texts: list[str | None]) -> None:
    frame = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    folded = pl.col("text").str.replace_all(r"[\p{Cc}\p{Cf}]+", " ").str.replace_all(r"\s+", " ")
    meant = folded.str.strip_chars().replace("", None)
    assert frame.select(plain(pl.col("text"))).equals(frame.select(meant))

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iso11649

from crm_hygiene.standardise import standardise_creditor_references


def standardised(raw: str | None, remittance: str | None = None) -> tuple[str | None, str | None]:
    frame = pl.DataFrame(
        {"raw": [raw], "remittance": [remittance]}, schema={"raw": pl.String, "remittance": pl.String}
    )
    row = standardise_creditor_references(frame).row(0, named=True)
    return row["creditor_reference"], row["problem"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("RF18 5390 0754 7034", "RF18539007547034"),
        ("rf18539007547034", "RF18539007547034"),
        ("21 00000 00003 13947 14300 09017", "210000000003139471430009017"),
        ("+++090/9337/55493+++", "090933755493"),
        ("INV-2026/7", "INV-2026/7"),
        ("NOTPROVIDED", None),
        ("000000", None),
        (None, None),
    ],
)
def test_stated_references(raw: str | None, expected: str | None) -> None:
    assert standardised(raw) == (expected, None)


@pytest.mark.parametrize(
    "raw", ["RF19 5390 0754 7034", "210000000003139471430009018", "+++090/9337/55494+++"]
)
def test_wrong_check_digits_are_a_problem(raw: str) -> None:
    reference, problem = standardised(raw)
    assert reference is None
    assert problem is not None
    assert "check digits" in problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Invoice RF18 5390 0754 7034 thank you", "RF18539007547034"),
        ("ref ***090/9337/55493***.", "090933755493"),
        ("QRR 210000000003139471430009017", "210000000003139471430009017"),
        ("RF19 5390 0754 7034", None),
        ("090/9337/55493", None),
        ("RF18539007547034 and +++090/9337/55493+++", None),
    ],
)
def test_a_reference_in_text_counts_if_its_check_digits_hold(text: str, expected: str | None) -> None:
    assert standardised(None, text) == (expected, None)


@given(st.text("ABCDEFGHIJ0123456789", min_size=1, max_size=21), st.booleans())
def test_every_valid_reference_is_found(body: str, spaced: bool) -> None:
    number = iso11649.validate(f"RF{_check(body)}{body}")
    shown = iso11649.format(number) if spaced else number
    assert standardised(shown) == (number, None)


def _check(body: str) -> str:
    digits = "".join(str(int(c, 36)) for c in f"{body}RF00")
    return f"{98 - int(digits) % 97:02d}"

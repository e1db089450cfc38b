from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.readers.documents.payment_terms import Discount, read_terms


@pytest.mark.parametrize(
    ("said", "percent", "days"),
    [
        ("#SKONTO#TAGE=14#PROZENT=2.00#", "2.00", 14),
        ("#SKONTO#TAGE=7#PROZENT=3,5#BASISBETRAG=100.00#", "3.5", 7),
        ("2 % discount if paid within 2 days", "2", 2),
        ("Zahlbar innerhalb 30 Tagen netto, 3% Skonto innerhalb 10 Tagen", "3", 10),
    ],
)
def test_a_discount_is_read(said: str, percent: str, days: int) -> None:
    assert read_terms(said).discount == Discount(Decimal(percent), days)


@pytest.mark.parametrize(
    "said", ["", "30 days net", "Penalty percentage 10% from due date", "#SKONTO#TAGE=14#PROZENT=200.00#"]
)
def test_silence_is_no_discount(said: str) -> None:
    assert read_terms(said).discount is None


def test_what_the_syntax_states_comes_before_the_text() -> None:
    stated = Discount(Decimal(1), 5)
    assert read_terms("#SKONTO#TAGE=14#PROZENT=2.00#", [stated]).discount == stated


def test_late_interest_a_year() -> None:
    assert read_terms("30 dagar netto. Dröjsmålsränta:12 %").late_interest_percent == 12
    assert read_terms("#VERZUG#TAGE=30#PROZENT=5.00#").late_interest_percent == 5
    assert read_terms("Penalty percentage 10% from due date").late_interest_percent is None


@given(st.text(max_size=300))
def test_no_text_breaks_it(said: str) -> None:
    discount = read_terms(said * 50).discount
    assert discount is None or 0 < discount.percent <= 100

"""Sums and differences: what is too exact for chance is posted, what chance may explain is asked about."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.cash.coincidence import chance, is_round
from crm_hygiene.cash.ledger import Line

from .books import RULES, Row, match
from .test_reconciliation import INVOICE, doubts, pay, posted

NONE = np.zeros(0, dtype=np.int64)


def invoice(k: int, amount: str, **more: object) -> Row:
    return {**INVOICE, "record_id": f"I{k}", "invoice_number": f"INV-2024-{k:03}", "amount": amount, **more}


def silent(key: str, amount: str, **more: object) -> Row:
    return pay(amount, None, payer_iban="DE01", record_id=key, **more)


def test_chance_is_the_share_of_coins_in_the_neighbourhood() -> None:
    # 1,234.57 has 12,345 cents within five per cent on either side.
    assert chance(12_345_700, NONE, [12_345_700], 100) == pytest.approx(1 / 12_345.7, rel=1e-3)
    crowded = np.full(9, 12_400_000, dtype=np.int64)
    assert chance(12_345_700, crowded, [12_345_700], 100) == pytest.approx(10 / 12_345.7, rel=1e-3)


def test_round_amounts_prove_little() -> None:
    assert chance(12_000_000, NONE, [12_000_000], 100) > 0.5
    assert is_round(14_900_000, 100, RULES.chances.sum)
    assert not is_round(14_901_300, 100, RULES.chances.sum)


@given(st.integers(1, 10**12), st.lists(st.integers(1, 10**12), max_size=5), st.integers(1, 20))
def test_chance_grows_with_what_is_tried(amount: int, values: list[int], ways: int) -> None:
    tried = np.array(values, dtype=np.int64)
    more = np.append(tried, amount)
    assert chance(amount, more, [amount], 100, ways) > chance(amount, tried, [amount], 100, ways) > 0
    assert chance(amount, tried, [amount], 100, ways + 1) > chance(amount, tried, [amount], 100, ways)


def test_several_payments_of_a_payer_close_one_invoice_together() -> None:
    parts = [silent("P1", "4100.33", booked_date=date(2024, 5, 10)), silent("P2", "3021.18")]
    result = match([invoice(1, "7121.51"), invoice(2, "990.10")], parts)
    assert [p[:2] for p in posted(result)] == [("P1", "I1"), ("P2", "I1")]
    assert result.invoices.sort("record_id")["status"].to_list()[0] == "paid"
    assert set(result.allocations["hypothesis_kind"]) == {"many_to_one"}


def test_a_part_as_small_as_a_bank_charge_closes_nothing() -> None:
    parts = [silent("P1", "8588.91"), silent("P2", "20.00")]
    assert posted(match([invoice(1, "8608.91")], parts)) == []


def test_payments_that_could_close_two_invoices_close_none() -> None:
    parts = [silent("P1", "4100.33"), silent("P2", "3021.18")]
    invoices = [invoice(1, "7121.51"), invoice(2, "7121.51", issue_date=date(2024, 5, 2))]
    assert posted(match(invoices, parts)) == []


def test_a_credit_note_that_corrects_an_invoice_says_which_of_equal_ones_is_meant() -> None:
    note = invoice(9, "-120.17", document_kind="credit_note", corrects_invoice_number="INV-2024-002")
    equal = [invoice(1, "4300.55"), invoice(2, "4300.55", due_date=date(2024, 6, 1))]
    result = match([*equal, note], [silent("P1", "4180.38")])
    assert {p[1] for p in posted(result)} == {"I2", "I9"}


def test_a_rounding_difference_needs_an_amount_that_is_fine_enough() -> None:
    assert [p[1] for p in posted(match([invoice(1, "48712.13")], [silent("P1", "48712.11")]))] == ["I1", "I1"]
    assert posted(match([invoice(1, "48.13")], [silent("P1", "48.11")])) == []


def test_a_fee_is_known_once_enough_payments_were_short_by_it() -> None:
    fine = invoice(1, "48712.13")
    assert posted(match([fine], [silent("P1", "48699.63")])) == []
    cited = [
        invoice(k, f"{1000 + 13 * k}.07", customer_record_id=f"C{k}", iban=f"DE9{k}") for k in range(2, 8)
    ]
    short = [
        pay(str(Decimal(row["amount"]) - Decimal("12.50")), f"INV-2024-{k:03}", record_id=f"Q{k}",
            payer_iban=f"DE9{k}")
        for k, row in zip(range(2, 8), cited, strict=True)
    ]  # fmt: skip
    learned = match([fine, *cited], [silent("P1", "48699.63"), *short])
    assert ("P1", "I1") in {p[:2] for p in posted(learned)}


def test_an_amount_instructed_in_another_currency_is_for_an_invoice_in_that_one() -> None:
    own, foreign = invoice(1, "845.37"), invoice(2, "937.31", currency="USD")
    paid = silent("P1", "845.37", instructed_amount=Decimal("937.31"), instructed_currency="USD")
    assert [p[1] for p in posted(match([own, foreign], [paid]))] == ["I2"]


def test_a_round_amount_far_from_its_due_date_is_asked_about() -> None:
    far = silent("P1", "1500.00", booked_date=date(2024, 9, 20))
    assert doubts(match([invoice(1, "1500.00")], [far])) == {"P1": "DATE"}
    near = silent("P1", "1500.00", booked_date=date(2024, 6, 2))
    assert [p[1] for p in posted(match([invoice(1, "1500.00")], [near]))] == ["I1"]


def test_the_serial_of_a_number_counts_from_the_customer_only() -> None:
    long = invoice(1, "100.00", invoice_number="INV-2024-064950")
    mine = pay("100.00", "Rechnung 064950", payer_iban="DE01")
    assert [p[1] for p in posted(match([long], [mine]))] == ["I1"]
    part = pay("40.00", "Rechnung 064950", payer_iban="DE01")
    assert [p[1] for p in posted(match([long], [part]))] == ["I1"]
    stranger = pay("100.00", "Rechnung 064950", payer_name="Somebody Else", payer_iban="DE77")
    assert posted(match([long], [stranger])) == []


def test_a_number_without_its_letters_counts_from_the_customer_only() -> None:
    dated = invoice(1, "100.00", invoice_number="RE-2024-1003")
    for text in ("Rechnung 2024-1003", "inv 20241003", "2024 1003 danke"):
        assert [p[1] for p in posted(match([dated], [pay("100.00", text, payer_iban="DE01")]))] == ["I1"]
        stranger = pay("100.00", text, payer_name="Somebody Else", payer_iban="DE77")
        assert posted(match([dated], [stranger])) == []


def test_a_number_one_slip_away_is_the_payers_own_invoice() -> None:
    own = invoice(1, "4312.34", invoice_number="INV-2024-064950")
    others = invoice(2, "77.10", invoice_number="INV-2024-064960", customer_record_id="C2", iban="DE02")
    slip = pay("4312.34", "INV-2024-064960", payer_iban="DE01")
    result = match([own, others], [slip])
    assert [p[1] for p in posted(result)] == ["I1"]
    assert "mistyped as INV2024064960" in result.allocations["evidence"][0]
    equal = {**others, "amount": "4312.34"}
    assert posted(match([own, equal], [slip])) == []


def test_words_that_say_it_is_for_something_else_are_heard() -> None:
    deposit = pay("4312.34", "Kaution", payer_iban="DE01")
    assert doubts(match([invoice(1, "4312.34")], [deposit])) == {"P1": "UNKNOWN"}


@pytest.mark.parametrize("n", [2, 5, 12])
def test_every_choice_is_tried_once(n: int) -> None:
    from crm_hygiene.cash.sums import _choices

    rows = _choices(n, 4)
    whole = 1 if n > 4 else 0
    assert len(rows) == sum(comb(n, k) for k in range(2, min(4, n) + 1)) + whole
    assert len({tuple(r) for r in rows.tolist()}) == len(rows)


def test_a_line_of_nothing_is_never_posted() -> None:
    result = match(
        [invoice(1, "4300.55"), invoice(2, "10.13")], [silent("P1", "4310.68"), silent("P2", "10.13")]
    )
    assert all(p[3] != 0 for p in posted(result))
    assert Line(1, "payment", 0, 0) not in posted(result)

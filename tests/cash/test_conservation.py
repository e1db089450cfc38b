"""Invariants of cash: conservation, row order, nights, precision."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import polars as pl
import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_hygiene.cash import Reconciliation
from crm_hygiene.cash.conservation import broken_conservation
from crm_hygiene.contract import contract_of

from .books import Row, generate, invoice_table, match, payment_table

SLOW = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])

_SMALL = st.sampled_from(["10.00", "10.00", "20.00", "30.00", "29.00", "0.05", "60.00"])
_NUMBERS = [f"INV-2024-00{k}" for k in range(6)]


@st.composite
def crowded_books(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Few invoices, few amounts and many payments that cite several: as much conflict as possible."""
    invoices: list[Row] = [
        {
            "record_id": f"I{k}",
            "invoice_number": _NUMBERS[draw(st.integers(0, 5))],
            "amount": draw(st.one_of(_SMALL, st.just("-10.00"))),
            "customer_record_id": f"C{k % 2}",
            "iban": f"DE0{k % 2}",
            "organisation_name_normalised": f"customer {k % 2}",
        }
        for k in range(draw(st.integers(1, 6)))
    ]
    payments: list[Row] = [
        {
            "record_id": f"P{k}",
            "amount": draw(st.one_of(_SMALL, st.just("-10.00"))),
            "remittance_text": " ".join(draw(st.lists(st.sampled_from(_NUMBERS), max_size=3))),
            "payer_iban": draw(st.sampled_from([None, "DE00", "DE01"])),
            "organisation_name_normalised": draw(st.sampled_from([None, "customer 0"])),
            "booked_date": date(2024, 5, 1) + timedelta(days=draw(st.integers(0, 5))),
            "is_reversal": draw(st.sampled_from([False, False, False, True])),
        }
        for k in range(draw(st.integers(1, 8)))
    ]
    return invoice_table(invoices), payment_table(payments)


def assert_conserved(result: Reconciliation, invoices: pl.DataFrame, payments: pl.DataFrame) -> None:
    assert result.allocations["allocation_id"].is_unique().all()
    nothing = contract_of("reconciled.allocations").empty()
    broken = broken_conservation(result.allocations, nothing, result.invoices, result.payments)
    assert broken.is_empty(), broken
    paid = result.payments
    is_waiting = (pl.col("unapplied_amount") > 0) & (pl.col("status") != "reversed")
    unapplied = paid.filter(is_waiting).select("record_id")
    named = result.exceptions.select(pl.col("payment_record_id").alias("record_id")).drop_nulls()
    assert unapplied.join(named, on="record_id", how="anti").is_empty()
    assert named["record_id"].is_unique().all()


@SLOW
@given(crowded_books(), st.integers(0, 2**32))
def test_a_night_conserves_whatever_the_row_order_and_the_same_again_adds_nothing(
    books: tuple[pl.DataFrame, pl.DataFrame], seed: int
) -> None:
    invoices, payments = books
    result = match(invoices, payments)
    assert_conserved(result, invoices, payments)
    shuffled = match(
        invoices.sample(fraction=1, shuffle=True, seed=seed),
        payments.sample(fraction=1, shuffle=True, seed=seed),
    )
    for name in ("allocations", "invoices", "payments", "exceptions"):
        assert getattr(result, name).equals(getattr(shuffled, name))
    again = match(invoices, payments, result.allocations)
    for name in ("allocations", "invoices", "payments"):
        assert getattr(result, name).equals(getattr(again, name))
    assert result.exceptions["payment_record_id"].sort().equals(again.exceptions["payment_record_id"].sort())


@SLOW
@given(crowded_books(), st.data())
def test_conservation_holds_across_nights(
    books: tuple[pl.DataFrame, pl.DataFrame], data: st.DataObject
) -> None:
    invoices, payments = books
    first = match(invoices, payments.head(data.draw(st.integers(0, payments.height))))
    second = match(invoices, payments, first.allocations)
    assert_conserved(second, invoices, payments)
    kept = second.allocations.join(first.allocations, on="allocation_id", how="semi")
    assert kept.equals(first.allocations)


def test_precision_and_recall_on_generated_books() -> None:
    books = generate(seed=7, size=300)
    result = match(books.invoices, books.payments)
    assert_conserved(result, books.invoices, books.payments)
    columns = ["payment_record_id", "invoice_record_id", "allocated_amount"]
    money = result.allocations.filter(pl.col("allocation_kind") == "payment")
    made = {(p, i, a) for p, i, a in money.select(columns).iter_rows()}
    true = {(p, i, Decimal(a)) for p, settles in books.truth.items() for i, a in settles.items()}
    assert made - true == set()
    assert len(made & true) >= 0.97 * len(true)


@pytest.mark.long
def test_twenty_shuffles_post_the_same_lines() -> None:
    books = generate(seed=11, size=120)
    first = match(books.invoices, books.payments).allocations
    for seed in range(20):
        mixed = [f.sample(fraction=1, shuffle=True, seed=seed) for f in (books.invoices, books.payments)]
        assert match(*mixed).allocations.equals(first)

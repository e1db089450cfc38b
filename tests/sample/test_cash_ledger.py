"""Ledgers with truth: money adds up, shares hold, the same seed gives the same ledger."""

from __future__ import annotations

import polars as pl
import pytest
import stdnum.be.ogm_vcs
import stdnum.ch.esr
import stdnum.iso11649
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_hygiene.sample.cash import PROFILES, CashBooks, books_of, build_ledger
from crm_hygiene.sample.cash.structured import belgian_messages, swiss_references
from crm_hygiene.sample.organisations import build_organisations
from crm_hygiene.sample.vocabulary import load_vocabulary
from crm_hygiene.sample.world import World

CASH = ["payment", "interest", "credit_note", "reversal", "overpaid"]


def drawn(invoices: int, profile: str, seed: int) -> CashBooks:
    vocabulary = load_vocabulary()
    world = World(seed, vocabulary, build_organisations(vocabulary, seed, invoices // 6), pl.DataFrame())
    ledger = build_ledger(world, invoices, PROFILES[profile])
    return books_of(world, ledger, PROFILES[profile])


@pytest.fixture(scope="module")
def books() -> CashBooks:
    return drawn(6000, "referenced", 11)


@settings(max_examples=examples(12), deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(PROFILES)), st.integers(60, 400))
def test_money_of_every_entry_and_document_adds_up(seed: int, profile: str, invoices: int) -> None:
    books = drawn(invoices, profile, seed)
    spent = (
        books.truth.filter(pl.col("allocation_kind").is_in(CASH))
        .group_by("payment_record_id")
        .agg(pl.col("amount").sum().alias("spent"))
        .join(books.cases.filter(pl.col("case") != "foreign_currency"), on="payment_record_id")
    )
    assert spent.filter(pl.col("spent") != pl.col("amount")).is_empty()
    settled = (
        books.truth.filter(~pl.col("allocation_kind").is_in(["interest", "overpaid"]))
        .group_by("invoice_record_id")
        .agg(pl.col("amount").sum().alias("settled"))
        .join(books.tables["conformed.invoices"], left_on="invoice_record_id", right_on="record_id")
    )
    assert settled.filter(pl.col("settled").abs() > pl.col("amount").abs()).is_empty()


def test_the_same_seed_gives_the_same_books_and_another_seed_others() -> None:
    one, two, other = (drawn(300, "mixed", seed) for seed in (3, 3, 4))
    for name, frame in one.tables.items():
        assert frame.equals(two.tables[name])
    assert one.truth.equals(two.truth)
    assert not one.truth.equals(other.truth)


def test_every_case_occurs_and_payments_of_nothing_have_no_truth(books: CashBooks) -> None:
    cases = set(books.cases["case"])
    assert cases >= {
        "one_to_one", "together", "instalments", "partial", "overpaid", "bank_fee", "early_discount",
        "late_interest", "foreign_currency", "rounding", "credit_netted", "duplicate", "return", "paid_again",
        "stranger", "own_business", "outgoing", "lookalike_amount", "lookalike_number", "lookalike_name",
    }  # fmt: skip
    nothing = books.cases.filter(
        pl.col("case").str.starts_with("lookalike")
        | pl.col("case").is_in(["duplicate", "stranger", "own_business", "outgoing"])
    )
    assert nothing.join(books.truth, on="payment_record_id", how="semi").is_empty()
    assert set(books.cases["payer_kind"]) >= {0, 1, 2, 3}


def test_references_are_as_frequent_as_their_profile_says(books: CashBooks) -> None:
    usable = books.cases.filter("pays")["is_usable"].cast(pl.Float64).mean()
    assert usable == pytest.approx(0.6, abs=0.06)
    assert not drawn(600, "bare", 5).cases["is_usable"].any()


def test_a_bare_ledger_names_no_number_and_no_advice() -> None:
    books = drawn(600, "bare", 5)
    payments = books.tables["conformed.payments"].join(
        books.cases.filter("pays"), left_on="record_id", right_on="payment_record_id", how="semi"
    )
    assert not payments["remittance_text"].str.contains("INV-").any()
    assert payments["creditor_reference"].null_count() == payments.height
    assert books.tables["conformed.remittance_advices"].is_empty()


def test_record_ids_are_unique(books: CashBooks) -> None:
    for name, frame in books.tables.items():
        assert not frame.select("source", "record_id").is_duplicated().any(), name


def test_parts_of_a_ledger_share_no_record() -> None:
    vocabulary = load_vocabulary()
    world = World(5, vocabulary, build_organisations(vocabulary, 5, 50), pl.DataFrame())
    profile = PROFILES["mixed"]
    parts = [
        books_of(world, build_ledger(world, 200, profile, part=part, first=1 + 200 * part), profile, part)
        for part in range(2)
    ]
    for name in ("conformed.invoices", "conformed.payments", "linked.organisation_members"):
        both = pl.concat([part.tables[name].select("source", "record_id") for part in parts])
        assert not both.is_duplicated().any(), name


@given(st.lists(st.integers(1, 9_999_999), min_size=1, max_size=20))
def test_structured_references_have_true_check_digits(serials: list[int]) -> None:
    numbers = pl.Series(serials).to_numpy()
    assert all(stdnum.ch.esr.is_valid(value) for value in swiss_references(numbers))
    assert all(stdnum.be.ogm_vcs.is_valid(value) for value in belgian_messages(numbers))


def test_references_on_invoices_are_valid(books: CashBooks) -> None:
    found = books.tables["conformed.invoices"]["payment_reference"].drop_nulls()
    assert any(value.startswith("RF") for value in found)
    assert any(value.startswith("+++") for value in found)
    assert all(stdnum.iso11649.is_valid(value) for value in found if value.startswith("RF"))

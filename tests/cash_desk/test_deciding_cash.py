"""What may be decided about a payment, and what is refused before anything is written."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_hygiene.cash_desk.amounts import plain, read_amount
from crm_hygiene.cash_desk.case import printable
from crm_hygiene.cash_desk.deciding import Desk, WriteOffRefused, decide
from crm_hygiene.cash_desk.decision_log import CashLog
from crm_hygiene.cash_desk.proposals import Proposal, Wish, split_of
from crm_hygiene.cash_desk.revocation import revoke
from crm_hygiene.cash_desk.worklist import worklist
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.night import Night

from .conftest import NOW, publish

UNIT = 10_000


def wish(kind: Any, invoice: str | None = None, amount: int | None = None, **more: Any) -> Proposal:
    record = None if invoice is None else ("erp", invoice)
    return Proposal((Wish(kind, record, None if amount is None else amount * UNIT),), **more)


def test_an_apply_takes_what_fits_and_binds_as_a_row(night: Night) -> None:
    done = decide(night, "aaaa", wish("apply", "i2"), "ann", NOW)
    (row,) = done.rows.to_dicts()
    assert (row["decision_kind"], row["amount"], row["currency"]) == ("apply", Decimal(100), "EUR")
    assert (row["payment_record_id"], row["invoice_record_id"]) == ("p1", "i2")
    assert done.notes == ("erp:i2 stays open for 100.00 EUR",)


def test_the_same_decision_twice_adds_nothing(night: Night) -> None:
    first = decide(night, "aaaa", wish("apply", "i1"), "ann", NOW)
    for again in (wish("apply", "i1"), wish("apply", "i1", 100)):
        done = decide(night, "bank:p1", again, "bob", NOW)
        assert done.rows.is_empty()
        assert [r["cash_decision_id"] for r in done.repeated] == list(first.rows["cash_decision_id"])
    assert CashLog.read(night.lake).frame.height == 1


def test_what_was_revoked_can_be_decided_anew(night: Night) -> None:
    first = decide(night, "aaaa", wish("apply", "i1"), "ann", NOW)
    taken = revoke(night, str(first.group), "wrong", "bob", NOW)
    assert taken.rows["revokes_decision_id"].to_list() == first.rows["cash_decision_id"].to_list()
    assert revoke(night, str(first.group), None, "bob", NOW).rows.is_empty()
    second = decide(night, "aaaa", wish("apply", "i1"), "ann", NOW)
    assert second.rows.height == 1
    assert second.rows["cash_decision_id"][0] != first.rows["cash_decision_id"][0]
    states = CashLog.read(night.lake).fates(NOW.date())["state"].to_list()
    assert sorted(states) == ["revocation", "revoked", "waiting"]


@pytest.mark.parametrize(
    ("exception", "proposal", "message"),
    [
        ("aaaa", wish("apply", "i1", 101), "payment bank:p1 has left: 100.00 EUR"),
        ("aaab", wish("apply", "i2", 201), "invoice erp:i2 is open for: 200.00 EUR"),
        ("aaaa", wish("apply", "i4"), "the bank tells no rate: say what it settles"),
        ("aaaa", wish("apply", "i6"), "nothing is owed on it"),
        ("aaaa", wish("park", until=date(2026, 3, 1)), "a day after today"),
        ("aaaa", wish("park", until=date(2036, 3, 1)), "too far away"),
        ("aaaa", wish("write_off", None, 5, reason="x"), "names no invoice"),
        ("dddd", wish("write_off", None, 5), "needs its reason"),
        ("eeee", wish("refund"), "there is nothing to refund"),
        ("zzzz", wish("refund"), "no exception 'zzzz'"),
        ("bank:p9", wish("refund"), "no exception about a payment bank:p9"),
        ("aa", wish("refund"), "no exception 'aa'"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    night: Night, exception: str, proposal: Proposal, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        decide(night, exception, proposal, "ann", NOW)
    assert not night.lake.exists("stewardship.cash_decisions")


def test_decisions_that_wait_count_against_payment_and_invoice(night: Night) -> None:
    decide(night, "aaab", wish("apply", "i1", 60), "ann", NOW)
    with pytest.raises(ConfigurationError, match=r"erp:i1 is open for: 40.00 EUR; decided and waiting"):
        decide(night, "aaaa", wish("apply", "i1", 41), "ann", NOW)
    with pytest.raises(ConfigurationError, match=r"bank:p2 has left: 240.00 EUR"):
        decide(night, "aaab", wish("refund", None, 241), "ann", NOW)
    assert decide(night, "aaab", wish("refund"), "ann", NOW).rows["amount"].to_list() == [Decimal(240)]


def test_a_split_is_taken_whole_or_not_at_all(night: Night) -> None:
    parts = [(("erp", "i1"), 100 * UNIT), (("erp", "i2"), 201 * UNIT)]
    with pytest.raises(
        ConfigurationError, match=r"200.00 EUR; decided and waiting, or in this decision: 100.00"
    ):
        decide(night, "aaab", split_of(parts, None), "ann", NOW)
    assert not night.lake.exists("stewardship.cash_decisions")
    with pytest.raises(ConfigurationError, match="named twice"):
        split_of([parts[0], parts[0]], None)


def test_a_write_off_cut_into_pieces_is_still_one_sum(night: Night) -> None:
    decide(night, "dddd", wish("write_off", None, 30, reason="short"), "ann", NOW)
    with pytest.raises(
        WriteOffRefused, match=r"30.00 EUR was written off.*limit of 50.00 EUR.*nobody is named"
    ):
        decide(night, "eeee", wish("write_off", "i3", 21, reason="short"), "ann", NOW)
    assert decide(night, "eeee", wish("write_off", "i3", 20, reason="short"), "ann", NOW).rows.height == 1


def test_who_may_write_off_more_is_named(night: Night) -> None:
    exception = {
        "exception_id": "dddd4444", "payment_source": "bank", "payment_record_id": "p4",
        "invoice_source": "erp", "invoice_record_id": "i3", "currency": "EUR",
    }  # fmt: skip
    proposal = wish("write_off", "i3", 80, reason="lost case")
    for by, is_taken in (("ann", False), ("cfo", True)):
        desk = Desk.open(night, [("bank", "p4")], [("erp", "i3")], by, NOW)
        desk.rules = desk.rules.model_copy(update={"write_off_approvers": ("cfo",)})
        if is_taken:
            assert desk.consider(exception, proposal)[0] == 1
        else:
            with pytest.raises(WriteOffRefused, match="those who may write off more: cfo"):
                desk.consider(exception, proposal)


def test_a_posted_decision_counts_once(night: Night) -> None:
    done = decide(night, "aaab", wish("apply", "i1", 60), "ann", NOW)
    publish(night, "reconciled.allocations", [
        {"allocation_id": "a", "allocation_kind": "payment", "allocated_amount": Decimal(60),
         "currency": "EUR", "decision_id": done.rows["cash_decision_id"][0]}
    ])  # fmt: skip
    log = CashLog.read(night.lake)
    assert log.waiting.is_empty()
    assert log.fates(NOW.date())["state"].to_list() == ["posted"]
    assert revoke(night, str(done.group), None, "ann", NOW).revoked[0]["is_posted"]


def test_the_worklist_leaves_out_what_is_decided_or_parked(night: Night) -> None:
    first = worklist(night.lake, NOW.date())
    assert first.rows["exception_id"][0] == "aaab2222"
    assert first.rows["exception_id"][-1] == "cccc3333"  # 50,000 yen are no more than an invoice's median
    decide(night, "aaaa", wish("apply", "i1"), "ann", NOW)
    decide(night, "cccc", wish("park", until=date(2026, 3, 20)), "ann", NOW)
    found = worklist(night.lake, NOW.date())
    assert set(found.rows["exception_id"]) == {"aaab2222", "dddd4444", "eeee5555"}
    assert (found.decided, found.parked, found.left_out) == (1, 1, 0)
    assert "cccc3333" in worklist(night.lake, date(2026, 3, 21)).rows["exception_id"]
    assert worklist(night.lake, NOW.date(), "ORDER").rows.height == 1
    assert worklist(night.lake, NOW.date(), min_amount=200 * UNIT).rows["exception_id"].to_list() == [
        "aaab2222"
    ]


def test_a_decision_that_a_night_could_not_carry_out_is_asked_again(night: Night) -> None:
    done = decide(night, "aaaa", wish("apply", "i1"), "ann", NOW)
    row = night.lake.read(contract_of("reconciled.exceptions")).filter(exception_id="aaaa1111").to_dicts()[0]
    row["reason"] = f"decision {done.rows['cash_decision_id'][0]} cannot be carried out: why ever"
    publish(night, "reconciled.exceptions", [row])
    assert worklist(night.lake, NOW.date()).rows.height == 1


WISHES = st.lists(
    st.tuples(
        st.sampled_from(["apply", "refund", "write_off"]),
        st.sampled_from(["i1", "i2", "i3"]),
        st.integers(1, 350),
        st.sampled_from(["p1", "p2", "p4"]),
    ),
    max_size=25,
)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WISHES)
def test_decisions_never_take_more_than_there_is(
    night: Night, wanted: list[tuple[str, str, int, str]]
) -> None:
    payments, invoices = [("bank", p) for p in ("p1", "p2", "p4")], [("erp", i) for i in ("i1", "i2", "i3")]
    desk = Desk.open(night, payments, invoices, "ann", NOW)
    start = {k: desk.balances.unapplied(k) for k in payments}, {k: desk.balances.open(k) for k in invoices}
    for kind, invoice, amount, payment in wanted:
        exception = {
            "exception_id": "x", "payment_source": "bank", "payment_record_id": payment,
            "invoice_source": None, "invoice_record_id": None, "currency": "EUR",
        }  # fmt: skip
        try:
            desk.consider(exception, wish(kind, None if kind == "refund" else invoice, amount, reason="r"))
        except (ConfigurationError, WriteOffRefused):
            continue
    assert all(desk.balances.unapplied(k) >= 0 for k in payments)
    assert all(desk.balances.open(k) >= 0 for k in invoices)
    rows = [row for act in desk.acts for row in act]
    settled = sum(row["amount"] for row in rows if row["invoice_record_id"])
    assert settled == sum(start[1].values()) - sum(desk.balances.open(k) for k in invoices)
    assert len({row["cash_decision_id"] for row in rows}) == len(rows)


@given(st.integers(1, 10**12))
def test_an_amount_reads_back_as_it_was_written(cents: int) -> None:
    assert read_amount(plain(cents * 100), "EUR") == cents * 100


@pytest.mark.parametrize(
    "text", ["-5", "0", "0.00", "1,234", "1.234", "1e3", "NaN", "", "٣", "5 EUR", "1" * 30]
)
def test_what_is_no_plain_amount_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        read_amount(text, "EUR")


def test_a_yen_has_no_cents_and_a_dinar_has_three_decimals() -> None:
    with pytest.raises(ConfigurationError, match="JPY, which has 0"):
        read_amount("5.50", "JPY")
    assert read_amount("1.234", "KWD") == 12_340


@given(st.text(max_size=200))
def test_text_from_outside_moves_no_cursor(text: str) -> None:
    shown = printable(text)
    assert not any(c in shown for c in "\x1b\n\r\x00\u202e\u200f\x9b")

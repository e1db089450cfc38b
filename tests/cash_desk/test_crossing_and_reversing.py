"""Decisions across currencies, on the rest of a payment and on reversals, as a clerk types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crm_hygiene.cash_desk.balances import rows_of
from crm_hygiene.cash_desk.bulk import import_decisions
from crm_hygiene.cash_desk.case import SuggestedLine, Suggestion
from crm_hygiene.cash_desk.deciding import WriteOffRefused, decide
from crm_hygiene.cash_desk.decision_log import CashLog
from crm_hygiene.cash_desk.proposals import Proposal, Wish, proposal_of
from crm_hygiene.cash_desk.reversing import payments_taken_back
from crm_hygiene.cash_desk.revocation import revoke
from crm_hygiene.cash_desk.worklist import worklist
from crm_hygiene.contract import contract_of
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.night import Night

from .conftest import NOW

Door = Callable[..., tuple[int, str, str]]
UNIT = 10_000
I4, P1 = ("erp", "i4"), ("bank", "p1")


def add(night: Night, table: str, *rows: dict[str, Any]) -> None:
    contract = contract_of(table)
    have = night.lake.read(contract)
    new = contract.shape(pl.DataFrame(rows, schema_overrides={k: contract.schema[k] for k in rows[0]}))
    night.lake.publish(contract, pl.concat([have, new]), {"run_id": "test"})


@pytest.fixture
def returned(night: Night) -> Night:
    """The lake with a return of 100 EUR, one of 103 EUR, and the rate of p1."""
    kept = night.lake.read(contract_of("conformed.payments"))
    rate = pl.when(pl.col("record_id") == "p1").then(pl.lit(Decimal("1.4"))).cast(pl.Decimal(38, 10))
    night.lake.publish(
        contract_of("conformed.payments"), kept.with_columns(exchange_rate=rate), {"run_id": "test"}
    )
    for record, amount in (("r1", -100), ("r2", -103), ("r3", -99)):
        add(night, "reconciled.payments", {
            "source": "bank", "record_id": record, "amount": Decimal(amount), "applied_amount": Decimal(0),
            "unapplied_amount": Decimal(amount), "currency": "EUR", "payer_name": "Payer p1",
            "status": "outgoing", "booked_date": date(2026, 2, 20),
        })  # fmt: skip
        add(night, "reconciled.exceptions", {
            "exception_id": f"{record}ff", "exception_type": "REVERSAL", "payment_source": "bank",
            "payment_record_id": record, "currency": "EUR", "amount": Decimal(amount),
            "amount_at_stake": Decimal(-amount), "reason": "takes back", "age_days": 1, "suggestions": [],
        })  # fmt: skip
    return night


def apply(invoice: Any = I4, amount: str | None = None, **more: Any) -> Proposal:
    value = None if amount is None else int(Decimal(amount) * UNIT)
    return Proposal((Wish("apply", invoice, value, **more),))


def crossed(night: Night, proposal: Proposal) -> tuple[Any, ...]:
    (row,) = decide(night, "aaaa", proposal, "ann", NOW).rows.to_dicts()
    return tuple(row[k] for k in ("amount", "currency", "used_amount", "used_currency", "exchange_amount"))


def test_two_amounts_settle_an_invoice_in_another_currency(night: Night) -> None:
    proposal = apply(amount="70", used=64 * UNIT)
    assert crossed(night, proposal) == (Decimal(70), "USD", Decimal(64), "EUR", None)
    row = worklist(night.lake, NOW.date()).rows.filter(exception_id="aaaa1111").to_dicts()[0]
    assert row["left"] == Decimal(36)
    with pytest.raises(ConfigurationError, match="USD is more than invoice erp:i4 is open for: nothing"):
        decide(night, "dddd", apply(amount="1", used=UNIT), "ann", NOW)


def test_the_banks_rate_tells_gain_or_loss(returned: Night) -> None:
    assert crossed(returned, apply(used=50 * UNIT)) == (Decimal(70), "USD", Decimal(50), "EUR", None)


def test_the_clerks_rate_leaves_a_loss(night: Night) -> None:
    proposal = apply(used=50 * UNIT, rate=Decimal("1.38"))
    assert crossed(night, proposal) == (Decimal(70), "USD", Decimal(50), "EUR", Decimal(1))


def test_a_rate_told_the_other_way_round_is_understood(night: Night) -> None:
    proposal = apply(used=50 * UNIT, rate=Decimal("0.71"))
    assert crossed(night, proposal)[-1] == Decimal("-0.42")


def test_beyond_the_rate_there_is_no_gain_and_a_part_stays_a_part(night: Night) -> None:
    with pytest.raises(ConfigurationError, match=r"exchange gain of 2.46 USD, more than 3 %.*--paid"):
        decide(night, "aaaa", apply(amount="70", rate=Decimal("1.38")), "ann", NOW)
    assert crossed(night, apply(used=10 * UNIT, rate=Decimal("1.38")))[:1] == (Decimal("13.8"),)


@pytest.mark.parametrize(
    ("proposal", "message"),
    [
        (apply(amount="70", used=101 * UNIT), "101.00 EUR is more than payment bank:p1 has left: 100.00 EUR"),
        (apply(("erp", "i1"), used=UNIT), "for an invoice in another currency"),
        (
            Proposal((Wish("split", ("erp", "i1"), UNIT), Wish("split", I4, UNIT))),
            "decide it invoice by invoice",
        ),
    ],
)
def test_what_does_not_cross_is_refused(night: Night, proposal: Proposal, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        decide(night, "aaaa", proposal, "ann", NOW)


def test_a_suggestion_with_an_exchange_difference_is_taken_whole(night: Night) -> None:
    lines = tuple(
        SuggestedLine(kind, I4, "R-1003", amount * UNIT, "USD")
        for kind, amount in (("payment", 69), ("exchange", 1))
    )
    proposal = proposal_of(Suggestion(1, "exchange", 90, (), lines), None)
    assert crossed(night, proposal) == (Decimal(70), "USD", Decimal(100), "EUR", Decimal(1))


def test_the_rest_of_a_payment_is_written_off_within_the_limit(night: Night) -> None:
    rest = Proposal((Wish("write_off", is_rest=True),), "overpaid cents")
    with pytest.raises(WriteOffRefused, match=r"95.00 EUR is above the limit"):
        decide(night, "dddd", rest, "ann", NOW)
    decide(night, "dddd", apply(("erp", "i3"), "94.98"), "ann", NOW)
    (row,) = decide(night, "dddd", rest, "ann", NOW).rows.to_dicts()
    assert (row["amount"], row["invoice_record_id"]) == (Decimal("0.02"), None)
    assert "dddd4444" not in worklist(night.lake, NOW.date()).rows["exception_id"]


def test_a_part_of_the_rest_leaves_the_question_open(night: Night) -> None:
    decide(night, "dddd", Proposal((Wish("write_off", None, UNIT, is_rest=True),), "why"), "ann", NOW)
    assert "dddd4444" in worklist(night.lake, NOW.date()).rows["exception_id"]


def test_a_reversal_takes_back_the_named_payment_once(returned: Night) -> None:
    proposal = Proposal((Wish("apply", takes_back=P1),))
    done = decide(returned, "r1ff", proposal, "ann", NOW)
    (row,) = done.rows.to_dicts()
    assert (row["taken_back_record_id"], row["amount"], row["invoice_record_id"]) == (
        "p1",
        Decimal(100),
        None,
    )
    assert decide(returned, "r1ff", proposal, "bob", NOW).rows.is_empty()
    assert "r1ff" not in worklist(returned.lake, NOW.date()).rows["exception_id"]
    with pytest.raises(ConfigurationError, match="was taken back before"):
        decide(returned, "r2ff", Proposal((Wish("apply", takes_back=P1),), "charge"), "ann", NOW)
    revoke(returned, str(done.group), None, "ann", NOW)
    assert decide(returned, "r1ff", proposal, "ann", NOW).rows.height == 1


@pytest.mark.parametrize(
    ("exception", "proposal", "message"),
    [
        ("r2ff", Proposal((Wish("apply", takes_back=P1),)), "3.00 EUR more than the payment is a charge"),
        ("r3ff", Proposal((Wish("apply", takes_back=P1),)), "cannot take that payment back"),
        ("r1ff", Proposal((Wish("apply", takes_back=("bank", "p9")),)), "bank:p9 is not in the books"),
        ("r1ff", Proposal((Wish("apply", takes_back=("bank", "p3")),)), "cannot take that payment back"),
        ("r1ff", apply(("erp", "i1")), "name it with apply --payment"),
        ("aaaa", Proposal((Wish("apply", takes_back=P1),)), "only a reversal takes a payment back"),
    ],
)
def test_what_a_reversal_cannot_be(returned: Night, exception: str, proposal: Proposal, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        decide(returned, exception, proposal, "ann", NOW)


def test_a_return_with_a_charge_needs_its_reason(returned: Night) -> None:
    done = decide(returned, "r2ff", Proposal((Wish("apply", takes_back=P1),), "return fee"), "ann", NOW)
    assert done.rows["amount"].to_list() == [Decimal(100)]


def test_a_reversal_of_nothing_of_ours_is_settled_by_refund(returned: Night) -> None:
    done = decide(returned, "r3ff", Proposal((Wish("refund"),), "before our books"), "ann", NOW)
    assert done.rows["amount"].to_list() == [Decimal(99)]
    assert CashLog.read(returned.lake).fates(NOW.date())["state"].to_list() == ["waiting"]
    kept = returned.lake.read(contract_of("reconciled.exceptions")).filter(pl.col("exception_id") != "r3ff")
    returned.lake.publish(contract_of("reconciled.exceptions"), kept, {"run_id": "test"})
    assert CashLog.read(returned.lake).fates(NOW.date())["state"].to_list() == ["posted"]


def test_payments_of_the_amount_are_shown_with_a_reversal(returned: Night) -> None:
    entry = rows_of(returned.lake, "reconciled.payments", [("bank", "r1")])[("bank", "r1")]
    assert [p.record for p in payments_taken_back(returned.lake, entry)] == [P1]


def test_at_the_terminal(
    returned: Night, folder: Path, front_door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    cash = partial(front_door, "review", "cash", folder=folder)
    assert "apply --payment PAYMENT" in cash("show", "r1ff")[1]
    assert "bank:p1" in cash("show", "r1ff")[1]
    code, out, _ = cash("decide", "r1ff", "apply", "--payment", "bank:p1")
    assert (code, "taking back bank:p1" in out) == (0, True)
    code, out, err = cash(
        "decide", "aaab", "apply", "--invoice", "erp:i4", "--amount", "70", "--paid", "50.5", "--rate", "1.4"
    )
    assert code == 0, err
    assert "apply 70.00 USD of bank:p2 for 50.50 EUR on erp:i4 with an exchange gain of 0.70 USD" in out
    code, out, _ = cash("decide", "dddd", "write-off", "--rest", "--reason", "lost")
    assert code == 1
    named = ["apply", "--payment", "bank:p1", "--amount", "3"]
    for words in (["refund", "--rest"], named, ["split", "--rate", "2"]):
        assert cash("decide", "aaaa", *words)[0] == 2
    assert json.loads(cash("show", "r3ff", "--json")[1])["payments"] == []


def test_in_a_worksheet(returned: Night, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text(
        "decision;exception_id;invoice;amount;paid;rate;takes_back;reason\n"
        "apply;r1ff;;;;;bank:p1;\n"
        "apply;aaab2222;erp:i4;70;50.5;1.4;;\n"
        "write off rest;dddd4444;;3;;;;cents\n"
        "refund;r3ff;;;;;bank:p1;\n",
        encoding="utf-8",
    )
    done = import_decisions(returned, path, "ann", now=NOW)
    assert [line.number for line in done.refused] == [5]
    assert done.rows.height == 3
    again = import_decisions(returned, path, "ann", now=NOW)
    assert (again.rows.height, again.repeated) == (0, (2, 3, 4))

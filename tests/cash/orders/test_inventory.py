"""Reserved goods: released as orders are paid, moved back when they are not, never more than reserved."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import polars as pl
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from .ledgers import (
    NIGHT,
    RULES,
    Row,
    checked,
    invoice_lines,
    invoices,
    moved,
    order_lines,
    orders,
    paid,
    reservations,
)

_KEY = ["reservation_record_id", "item_id", "location"]


def held(key: str, item: str, quantity: object, **more: object) -> Row:
    return {"record_id": key, "purchase_order_number": "PO-1", "item_id": item, "quantity": quantity, **more}


def balances(movements: pl.DataFrame) -> dict[tuple[str, str, str], tuple[Any, Any]]:
    """Reservation -> reserved and released, those of neither left out."""
    is_in = pl.col("movement_kind") == "reserve"
    sums = movements.group_by(_KEY).agg(
        pl.col("moved_quantity").filter(is_in).sum().alias("reserved"),
        (-pl.col("moved_quantity").filter(~is_in).sum()).alias("released"),
    )
    return {(a, b, c): (r, o) for a, b, c, r, o in sums.iter_rows() if r or o}


def bare(rows: list[Row]) -> list[Row]:
    return [{k: v for k, v in row.items() if k != "purchase_order_number"} for row in rows]


class Stock:
    """One order PO-1 of A and B, billed with one invoice of both, night after night."""

    def __init__(self, billed: list[Row] | None = None) -> None:
        self.order: Row = {"record_id": "O1", "purchase_order_number": "PO-1", "amount": 300}
        self.lines = [
            {"record_id": f"O1:{n}", "purchase_order_record_id": "O1", "purchase_order_number": "PO-1",
             "line_number": str(n), "item_id": item, "quantity": quantity, "unit_price": price}
            for n, item, quantity, price in ((1, "A", 10, 10), (2, "B", 5, 40))
        ]  # fmt: skip
        self.bills: list[Row] = [
            {"record_id": "I", "invoice_number": "INV-1", "amount": 300, "purchase_order_number": "PO-1"}
        ]
        self.billed: list[Row] = [
            {"record_id": "I:1", "invoice_record_id": "I", "line_number": "1", "item_id": "A", "quantity": 10,
             "unit_price": 10, "amount": 100},
            {"record_id": "I:2", "invoice_record_id": "I", "line_number": "2", "item_id": "B", "quantity": 5,
             "unit_price": 40, "amount": 200},
        ] if billed is None else billed  # fmt: skip
        self.held = [held("R1", "A", 10), held("R2", "B", 5)]
        self.movements: pl.DataFrame | None = None
        self.nights = 0

    def night(
        self,
        paid_amount: object = 0,
        policy: Literal["none", "lines", "share"] = "lines",
        rebuild: bool = False,
        **state: object,
    ) -> pl.DataFrame:
        rules = RULES.model_copy(update={"partly_paid": policy})
        known, lines = orders(self.order), order_lines(*self.lines)
        checks = checked(invoices(*self.bills), invoice_lines(*self.billed), known, lines)
        charges = bare([bill for bill in self.bills if bill["amount"] > 0])
        states = paid(*({**bill, "paid_amount": paid_amount, **state} for bill in charges))
        previous = None if rebuild else self.movements
        as_of = NIGHT + timedelta(days=self.nights)
        found = moved(reservations(*self.held), known, lines, checks, states, previous, rules, as_of)
        if not rebuild:
            self.movements, self.nights = found, self.nights + 1
        return found


def last_kinds(stock: Stock) -> list[tuple[Any, ...]]:
    assert stock.movements is not None
    tonight = stock.movements.filter(pl.col("posted_at") == pl.col("posted_at").max())
    return sorted(tonight.select("movement_kind", "item_id", "moved_quantity").rows())


@pytest.fixture
def stock() -> Stock:
    return Stock()


def test_a_paid_order_is_released_and_nothing_happens_twice(stock: Stock) -> None:
    first = stock.night()
    assert last_kinds(stock) == [("reserve", "A", 10), ("reserve", "B", 5)]
    assert stock.night().equals(first)
    stock.night(300)
    assert last_kinds(stock) == [("release", "A", -10), ("release", "B", -5)]
    assert stock.movements is not None
    told = stock.movements.filter(pl.col("movement_kind") == "release").row(0, named=True)
    assert told["reason"] == "order PO-1 is paid"
    assert told["evidence"] == "invoice INV-1: 300.00 of 300.00 EUR paid"
    assert stock.night(300).height == 4


@pytest.mark.parametrize(
    ("policy", "paid_amount", "released"),
    [
        ("none", 299, {}),
        ("lines", 99, {}),
        ("lines", 100, {"A": 10}),
        ("lines", 299, {"A": 10}),
        ("share", 150, {"A": 5, "B": 2}),
        ("share", 299, {"A": 9, "B": 4}),
    ],
)
def test_a_partly_paid_invoice_releases_what_the_rules_say(
    stock: Stock, policy: Literal["none", "lines", "share"], paid_amount: int, released: dict[str, int]
) -> None:
    found = balances(stock.night(paid_amount, policy))
    assert {item: out for (_, item, _), (_, out) in found.items() if out} == released


def test_a_payment_that_comes_back_brings_the_goods_back(stock: Stock) -> None:
    stock.night(300)
    stock.night(0)
    assert last_kinds(stock) == [("return", "A", 10), ("return", "B", 5)]
    stock.night(300)
    assert last_kinds(stock) == [("release", "A", -10), ("release", "B", -5)]
    assert stock.movements is not None
    assert stock.movements["movement_id"].is_unique().all()


def test_a_cancelled_order_lets_its_goods_go(stock: Stock) -> None:
    stock.night(100)
    stock.order["document_status"] = "cancelled"
    stock.night(100)
    assert last_kinds(stock) == [("reserve", "A", -10), ("reserve", "B", -5), ("return", "A", 10)]
    assert stock.movements is not None
    assert balances(stock.movements) == {}
    assert set(stock.movements.filter(pl.col("moved_quantity") == -5)["reason"]) == {
        "order PO-1 is cancelled"
    }


def test_what_is_credited_is_neither_paid_nor_released(stock: Stock) -> None:
    assert not any(out for _, out in balances(stock.night(0, credited_amount=300)).values())
    stock.bills.append(
        {"record_id": "N", "invoice_number": "CN-1", "amount": -200, "purchase_order_number": "PO-1",
         "document_kind": "credit_note"}
    )  # fmt: skip
    stock.billed.append(
        {"record_id": "N:1", "invoice_record_id": "N", "line_number": "1", "item_id": "B", "quantity": -5,
         "unit_price": 40, "amount": -200}
    )  # fmt: skip
    found = balances(stock.night(100, credited_amount=200))
    assert {item: out for (_, item, _), (_, out) in found.items()} == {"A": 10, "B": 0}


def test_what_leaves_the_list_was_let_go_by_hand_and_what_moves_is_moved(stock: Stock) -> None:
    stock.night()
    stock.held = [held("R1", "A", 10, location="BER")]
    stock.night()
    assert last_kinds(stock) == [("release", "B", -5), ("reserve", "A", -10), ("reserve", "A", 10)]
    assert stock.movements is not None
    assert balances(stock.movements)["R1", "A", "BER"] == (10, 0)


def test_first_come_first_served(stock: Stock) -> None:
    at = [NIGHT + timedelta(days=k) for k in range(2)]
    stock.held = [held("R1", "A", 8, reserved_at=at[1]), held("R0", "A", 8, reserved_at=at[0])]
    found = balances(stock.night(100))
    assert {key[0]: out for key, (_, out) in found.items()} == {"R0": 8, "R1": 2}


def test_an_order_billed_without_lines_is_released_when_its_total_is_paid() -> None:
    stock = Stock(billed=[])
    assert not any(out for _, out in balances(stock.night(290)).values())
    assert balances(stock.night(150, "share"))["R1", "A", "HAM"] == (10, 5)
    assert all(out == reserved for reserved, out in balances(stock.night(300)).values())


def test_a_reservation_of_an_unknown_order_is_held(stock: Stock) -> None:
    stock.held = [held("R9", "A", 3, purchase_order_number="PO-9")]
    assert balances(stock.night(300)) == {("R9", "A", "HAM"): (3, 0)}


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    return [
        {
            "paid": draw(st.sampled_from([0, 99, 100, 150, 299, 300])),
            "quantities": [draw(st.integers(0, 12)) for _ in range(3)],
            "place": draw(st.sampled_from(["HAM", "HAM", "BER"])),
            "status": draw(st.sampled_from(["open", "open", "open", "cancelled"])),
        }
        for _ in range(draw(st.integers(1, 6)))
    ]


@settings(max_examples=examples(40), deadline=None)
@given(histories(), st.sampled_from(["none", "lines", "share"]), st.integers(0, 2**20))
def test_never_more_out_than_reserved_and_nights_equal_a_rebuild(
    nights: list[Row], policy: Literal["none", "lines", "share"], seed: int
) -> None:
    stock, before = Stock(), None
    for night in nights:
        stock.order["document_status"] = night["status"]
        stock.held = [
            held(f"R{k}", "AAB"[k], q, location=night["place"]) for k, q in enumerate(night["quantities"])
        ]
        found = stock.night(night["paid"], policy)
        for reserved, released in balances(found).values():
            assert 0 <= released <= reserved
        if before is not None:
            assert before.join(found, on=found.columns, how="anti", nulls_equal=True).is_empty()
        assert found["movement_id"].is_unique().all()
        assert (found["moved_quantity"] != 0).all()
        assert balances(found) == balances(stock.night(night["paid"], policy, rebuild=True))
        known, lines = orders(stock.order), order_lines(*stock.lines)
        again = moved(
            reservations(*stock.held).sample(fraction=1, shuffle=True, seed=seed),
            known, lines,
            checked(invoices(*stock.bills), invoice_lines(*stock.billed), known, lines),
            paid(*bare([{**b, "paid_amount": night["paid"]} for b in stock.bills])),
            before, RULES.model_copy(update={"partly_paid": policy}),
            NIGHT + timedelta(days=stock.nights - 1),
        )  # fmt: skip
        assert again.equals(found)
        before = found

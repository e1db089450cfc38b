"""The three-way check of order, receipt and invoice."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from crm_hygiene.cash.orders import order_blocks

from .ledgers import RULES, Row, checked, invoice_lines, invoices, order_lines, orders, receipts

ORDER: Row = {"record_id": "O1", "purchase_order_number": "PO-1", "amount": 300}
LINES: list[Row] = [
    {"record_id": "O1:1", "purchase_order_record_id": "O1", "purchase_order_number": "PO-1",
     "line_number": "1", "item_id": "A", "quantity": 10, "unit_price": 10, "amount": 100},
    {"record_id": "O1:2", "purchase_order_record_id": "O1", "purchase_order_number": "PO-1",
     "line_number": "2", "item_id": "B", "quantity": 5, "unit_price": 40, "amount": 200},
]  # fmt: skip


def bill(key: str, amount: object, **more: object) -> Row:
    return {
        "record_id": key,
        "invoice_number": f"INV-{key}",
        "amount": amount,
        "purchase_order_number": "PO-1",
        **more,
    }


def line(invoice: str, number: int, quantity: object, price: object, **more: object) -> Row:
    amount = Decimal(str(quantity)) * Decimal(str(price))
    return {"record_id": f"{invoice}:{number}", "invoice_record_id": invoice, "line_number": str(number),
            "quantity": quantity, "unit_price": price, "amount": amount, **more}  # fmt: skip


def judged(
    bills: list[Row], lines: list[Row], arrived: list[Row] | None = None, known: Row = ORDER,
    known_lines: list[Row] | None = None,
) -> dict[str, tuple[str, str]]:  # fmt: skip
    found = checked(
        invoices(*bills),
        invoice_lines(*lines),
        orders(known),
        order_lines(*(LINES if known_lines is None else known_lines)),
        receipts(*(arrived or [])),
    )
    return {
        row["record_id"]: (row["order_check_status"], row["reason"]) for row in found.iter_rows(named=True)
    }


@pytest.mark.parametrize(
    "tie",
    [{"purchase_order_line": "1"}, {"purchase_order_line": " 001"}, {"item_id": "a"}, {}],
    ids=["line", "written otherwise", "article", "amount"],
)
def test_a_line_as_ordered_is_in_order(tie: Row) -> None:
    assert judged([bill("I", 100)], [line("I", 1, 10, 10, **tie)])["I:1"][0] == "ok"


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"unit_price": Decimal("10.20")}, "price", "A billed at 10.20, ordered at 10.00 EUR"),
        ({"unit_price": Decimal("9.80")}, "price", "A billed at 9.80, ordered at 10.00 EUR"),
        ({"unit_price": Decimal("10.10")}, "ok", "as ordered"),
        ({"amount": 900}, "price", "A billed with 900.00 for 10, ordered at 10.00 EUR each"),
        ({"quantity": 11, "amount": 110}, "quantity", "11 of A billed up to this line, 10 ordered"),
        ({"quantity": None, "amount": 110}, "quantity", "11 of A billed"),
        ({"currency": "USD"}, "currency", "billed in USD, ordered in EUR"),
        ({"purchase_order_number": "PO-9"}, "unknown_order", "order PO-9 is not known"),
        ({"item_id": "C", "amount": 77}, "quantity", "order PO-1 has no line for C"),
        ({"quantity": 1, "unit_price": "0.10", "amount": "0.10"}, "price", "A billed at 0.10"),
    ],
)
def test_what_differs_is_said_with_its_numbers(change: Row, status: str, words: str) -> None:
    found = judged([bill("I", 100)], [{**line("I", 1, 10, 10, item_id="A"), **change}])["I:1"]
    assert found[0] == status
    assert words in found[1]


def test_quantities_count_over_all_invoices_of_the_order_and_credit_notes_take_back() -> None:
    bills = [bill("I1", 60, issue_date=date(2024, 5, 1)), bill("I2", 60, issue_date=date(2024, 5, 2))]
    lines = [line("I1", 1, 6, 10, item_id="A"), line("I2", 1, 6, 10, item_id="A")]
    found = judged(bills, lines)
    assert (found["I1:1"][0], found["I2:1"][0]) == ("ok", "quantity")
    note = bill("N", -20, document_kind="credit_note", issue_date=date(2024, 5, 3))
    found = judged([*bills, note], [*lines, line("N", 1, -2, 10, item_id="A")])
    assert {status for status, _ in found.values()} == {"ok"}


def test_goods_are_checked_against_receipts_where_the_order_has_some() -> None:
    lines = [line("I", 1, 10, 10, item_id="A"), line("I", 2, 5, 40, item_id="B")]
    some = [{"record_id": "R1", "purchase_order_number": "PO-1", "item_id": "A", "quantity": 10}]
    found = judged([bill("I", 300)], lines, some)
    assert (found["I:1"][0], found["I:2"][0]) == ("ok", "not_received")
    assert "5 of B billed up to this line, 0 received" in found["I:2"][1]
    both = [*some, {"record_id": "R2", "purchase_order_number": "po 1", "line_number": "02", "quantity": 5}]
    assert {status for status, _ in judged([bill("I", 300)], lines, both).values()} == {"ok"}
    assert {status for status, _ in judged([bill("I", 300)], lines).values()} == {"ok"}
    strict = RULES.model_copy(update={"receipts_required": True})
    its, known = invoices(bill("I", 300)), orders(ORDER)
    found_strictly = checked(its, invoice_lines(*lines), known, order_lines(*LINES), rules=strict)
    assert set(found_strictly["order_check_status"]) == {"not_received"}


def test_an_order_without_lines_is_checked_by_its_total() -> None:
    bills = [bill("I1", 200, issue_date=date(2024, 5, 1)), bill("I2", 200, issue_date=date(2024, 5, 2))]
    found = judged(bills, [], known_lines=[])
    assert found["I1"] == ("ok", "within the total of the order")
    assert found["I2"] == ("price", "invoices of 400.00 up to this one against an order of 300.00 EUR")
    assert judged(bills, [], known={**ORDER, "amount": None}, known_lines=[])["I2"][0] == "ok"


def test_a_closed_order_and_another_customers_are_not_billed() -> None:
    lines = [line("I", 1, 10, 10, item_id="A")]
    assert judged([bill("I", 100)], lines, known={**ORDER, "document_status": "Cancelled"})["I:1"] == (
        "closed_order", "order PO-1 is cancelled",
    )  # fmt: skip
    assert judged([bill("I", 100)], lines, known={**ORDER, "is_deleted": True})["I:1"][0] == "closed_order"
    found = judged([bill("I", 100)], lines, known={**ORDER, "customer_record_id": "C2"})
    assert found["I:1"] == ("unknown_order", "order PO-1 is another customer's")


def test_two_customers_may_use_one_number() -> None:
    known = orders(ORDER, {**ORDER, "record_id": "O2", "customer_record_id": "C2", "amount": 5})
    for customer, status in (("C1", "ok"), ("C2", "price")):
        its = invoices(bill("I", 100, customer_record_id=customer))
        found = checked(its, invoice_lines(), known, order_lines())
        assert found["order_check_status"].to_list() == [status]
    nobody = checked(invoices(bill("I", 100, customer_record_id=None)), invoice_lines(), known, order_lines())
    assert nobody["reason"].to_list() == ["order PO-1 is an order of several customers"]
    assert not nobody["is_blocking"].any()


def test_void_invoices_bill_nothing_and_orders_known_by_lines_are_known() -> None:
    void = bill("I0", 100, document_status="Void")
    lines = [line("I0", 1, 10, 10, item_id="A"), line("I1", 1, 10, 10, item_id="A")]
    found = checked(invoices(void, bill("I1", 100)), invoice_lines(*lines), orders(), order_lines(*LINES))
    assert found.select("record_id", "order_check_status").rows() == [("I1:1", "ok")]


def test_blocks_name_the_invoice_once_with_its_reasons() -> None:
    lines = [
        line("I", 1, 11, 10, item_id="A"),
        line("I", 2, 5, 50, item_id="B"),
        line("J", 1, 1, 40, item_id="B"),
    ]
    found = checked(
        invoices(bill("I", 360), bill("J", 40, purchase_order_number="PO-8")),
        invoice_lines(*lines), orders(ORDER), order_lines(*LINES),
    )  # fmt: skip
    blocks = order_blocks(found)
    assert blocks.select("invoice_source", "invoice_record_id").rows() == [("erp_invoices", "I")]
    assert blocks["reason"][0].split("; ") == [
        "11 of A billed up to this line, 10 ordered", "B billed at 50.00, ordered at 40.00 EUR",
    ]  # fmt: skip
    assert order_blocks(found.clear()).schema == blocks.schema


def test_row_order_changes_nothing() -> None:
    bills = invoices(*(bill(f"I{k}", 60, issue_date=date(2024, 5, 1 + k % 2)) for k in range(6)))
    lines = invoice_lines(*(line(f"I{k}", n, 1, 10, item_id="AB"[n]) for k in range(6) for n in (0, 1)))
    plain = checked(bills, lines, orders(ORDER), order_lines(*LINES))
    for seed in range(5):
        mixed = [f.sample(fraction=1, shuffle=True, seed=seed) for f in (bills, lines, order_lines(*LINES))]
        assert checked(mixed[0], mixed[1], orders(ORDER), mixed[2]).equals(plain)


def test_amounts_near_the_limit_of_the_type_are_compared_exactly() -> None:
    huge = Decimal("99999999999999.9999")
    known = [{**LINES[0], "quantity": huge, "unit_price": huge, "amount": None}]
    billed = {**line("I", 1, 1, 1, item_id="A"), "quantity": huge, "unit_price": huge, "amount": huge}
    found = judged([bill("I", huge)], [billed], known_lines=known)
    assert found["I:1"][0] == "ok"


def test_nothing_at_all_is_no_check() -> None:
    empty = checked(invoices(), invoice_lines(), orders(), order_lines())
    assert empty.is_empty()
    none = invoices(bill("I", 1, purchase_order_number=None))
    assert checked(none, invoice_lines(), orders(), order_lines()).equals(empty)
    assert isinstance(empty, pl.DataFrame)


ELSEWHERE: Row = {
    "source": "einvoices", "customer_record_id": "X9", "tax_id": "DE1", "invoice_number": "INV-I1",
}  # fmt: skip


@pytest.mark.parametrize(
    ("other", "status"),
    [
        ({}, "ok"),
        ({"invoice_number": "inv i1"}, "ok"),
        ({"tax_id": None, "customer_name": "ACME, Inc."}, "ok"),
        ({"tax_id": "DE2"}, "quantity"),
        ({"invoice_number": "INV-I9"}, "quantity"),
        ({"issue_date": date(2024, 5, 2)}, "quantity"),
        ({"source": "erp_invoices", "customer_record_id": "C1"}, "quantity"),
    ],
)
def test_an_invoice_that_two_systems_tell_is_billed_once(other: Row, status: str) -> None:
    own = bill("I1", 60, tax_id="DE1", customer_name="Acme Inc")
    bills = [own, {**own, "record_id": "I2", **ELSEWHERE, **other}]
    lines = [line("I1", 1, 6, 10, item_id="A"), line("I2", 1, 6, 10, item_id="A", source=bills[1]["source"])]
    known = {**ORDER, "tax_id": None if other.get("tax_id") == "DE2" else "DE1"}
    found = judged(bills, lines, known=known)
    assert {found["I1:1"][0], found["I2:1"][0]} == {"ok", status}


def test_an_invoice_that_one_of_two_systems_tells_with_lines_is_counted_by_them() -> None:
    own = bill("I1", 100, tax_id="DE1")
    bills = [own, {**own, "record_id": "A1", **ELSEWHERE}, bill("I3", 100, issue_date=date(2024, 5, 9))]
    lines = [line("I1", 1, 10, 10, item_id="A"), line("I3", 1, 1, 10, item_id="A")]
    found = judged(bills, lines, known={**ORDER, "tax_id": "DE1"})
    assert (found["I1:1"][0], found["I3:1"][0]) == ("ok", "quantity")
    assert "11" in found["I3:1"][1]

"""An invoice and a payment tell how they came to be what they are, from the published tables alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crm_hygiene.config import load_config
from crm_hygiene.contract import contract_of
from crm_hygiene.lake import Lake

from .ledgers import NIGHT, Row, rows_of

FrontDoor = Callable[..., tuple[int, str, str]]
LANDED: Row = {"file": "f.csv", "row_number": 7, "landed_at": NIGHT, "observed_at": NIGHT}
EUR: Row = {"currency": "EUR"}
ABOUT: Row = {
    "payment_source": "bank", "payment_record_id": "P1", "invoice_source": "erp_invoices",
    "invoice_record_id": "I1", **EUR,
}  # fmt: skip


def posting(key: str, kind: str, amount: int, day: int, **more: Any) -> Row:
    return {"allocation_id": key * 32, "allocation_kind": kind, "allocated_amount": amount,
            "used_amount": amount, "used_currency": "EUR", "posted_at": NIGHT + timedelta(days=day),
            "stage_name": "reference",
            "evidence": f"evidence {key}", "booked_date": date(2024, 5, 20), **ABOUT, **more}  # fmt: skip


TABLES: dict[str, list[Row]] = {
    "conformed.invoices": [
        {"source": "erp_invoices", "record_id": f"I{k}", "invoice_number": number, "amount": 100,
         "is_deleted": False, "customer_name": "Muster GmbH", "discount_days": 14, "discount_percent": 2,
         **EUR, **LANDED}
        for k, number in enumerate(["INV-2024-77", "INV-2024-0815", "TWICE", "TWICE"])
    ],
    "conformed.payments": [
        {"source": "bank", "record_id": "P1", "amount": 98, "payer_name": "Muster",
         "booked_date": date(2024, 5, 20),
         "remittance_text": "INV-2024-0815 [bold]mark all paid[/bold]", **EUR, **LANDED}
    ],
    "reconciled.invoices": [
        {"source": "erp_invoices", "record_id": "I1", "invoice_number": "INV-2024-0815", "amount": 100,
         "paid_amount": 0, "fee_amount": 2, "open_amount": 98, "status": "partly_paid",
         "days_overdue": 12, **EUR}
    ],
    "reconciled.payments": [
        {"source": "bank", "record_id": "P1", "amount": 98, "applied_amount": 0, "unapplied_amount": 98,
         "status": "unapplied", **EUR}
    ],
    "reconciled.allocations": [
        posting("a", "payment", 98, 0),
        posting("b", "fee", 2, 0, used_amount=0),
        posting("c", "reversal", -98, 1, reverses_allocation_id="a" * 32),
    ],
    "reconciled.exceptions": [
        {"exception_id": "E1", "exception_type": "REVERSAL", "amount": 98, "amount_at_stake": 98,
         "reason": "the entry takes back a payment", "suggestions": ["ask the customer"], **ABOUT}
    ],
    "reconciled.order_checks": [
        {"source": "erp_lines", "record_id": "I1:1", "invoice_source": "erp_invoices",
         "invoice_record_id": "I1", "line_number": "1", "purchase_order_number": "PO-1",
         "purchase_order_source": "erp_orders",
         "purchase_order_record_id": "O1", "order_check_status": "price", "is_blocking": True,
         "reason": "A billed at 12.00, ordered at 10.00 EUR"}
    ],
    "reconciled.inventory_movements": [
        {"movement_id": "m", "movement_kind": "reserve", "reservation_source": "erp_stock",
         "reservation_record_id": "R1", "purchase_order_source": "erp_orders",
         "purchase_order_record_id": "O1", "item_id": "A", "location": "HAM", "moved_quantity": 10,
         "reason": "reserved for order PO-1",
         "posted_at": NIGHT}
    ],
    "stewardship.cash_decisions": [
        {"cash_decision_id": "D1", "decision_kind": "write_off", "amount": 1,
         "reason": "too small to ask for",
         "decided_by": "kim", "decided_at": datetime(2024, 6, 2, 9, tzinfo=UTC), **ABOUT}
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("story")
    (folder / "hygiene.yaml").write_text("{}\n", encoding="utf-8")
    lake = Lake(load_config(folder / "hygiene.yaml").lake_uri, {})
    for table, rows in TABLES.items():
        lake.publish(contract_of(table), rows_of(table, rows), {})
    return folder


def test_an_invoice_tells_every_posting_with_its_evidence_and_night(
    project: Path, front_door: FrontDoor
) -> None:
    code, said, _ = front_door("explain", "INV-2024-0815", folder=project)
    assert code == 0
    for words in (
        "invoice INV-2024-0815 (erp_invoices:I1) of 100.00 EUR to Muster GmbH",
        "2 % discount if paid within 14 days of issue",
        "is partly paid: 98.00 EUR open, 12 days overdue",
        "2024-06-01, paid 98.00 EUR, from bank:P1, booked 2024-05-20 [aaaaaaaa]",
        "because evidence a",
        "bank charge 2.00 EUR",
        "2024-06-02, taken back -98.00 EUR",
        "because takes back posting aaaaaaaa; evidence c",
        "kim: write off 1.00 EUR: too small to ask for",
        "line 1, order PO-1: price, A billed at 12.00, ordered at 10.00 EUR; blocks a posting",
        "reserve +10 of A at HAM: reserved for order PO-1",
        "REVERSAL about bank:P1: the entry takes back a payment (98.00 EUR at stake)",
        "1. ask the customer",
    ):
        assert words in said


def test_by_record_it_is_the_same_and_json_has_it_all(project: Path, front_door: FrontDoor) -> None:
    _, by_number, _ = front_door("explain", "INV-2024-0815", "--json", folder=project)
    _, by_record, _ = front_door("explain", "erp_invoices:I1", "--json", folder=project)
    told = json.loads(by_record)
    assert told == json.loads(by_number)
    assert [row["allocated_amount"] for row in told["postings"]] == ["98.0000", "2.0000", "-98.0000"]
    assert told["state"]["open_amount"] == "98.0000"


def test_a_payment_tells_what_became_of_it(project: Path, front_door: FrontDoor) -> None:
    code, said, _ = front_door("explain", "bank:P1", folder=project)
    assert code == 0
    assert "payment bank:P1 of 98.00 EUR from Muster, booked 2024-05-20" in said
    assert "text: INV-2024-0815 [bold]mark all paid[/bold]" in said
    assert "is unapplied: 0.00 EUR applied, 98.00 EUR not applied" in said
    assert "paid 98.00 EUR, to erp_invoices:I1" in said


def test_an_invoice_nothing_happened_to_says_so(project: Path, front_door: FrontDoor) -> None:
    code, said, _ = front_door("explain", "INV-2024-77", folder=project)
    assert code == 0
    assert "takes no part in the books" in said
    assert "Nothing is posted to it yet." in said


def test_an_unknown_number_names_the_nearest_and_a_shared_one_its_records(
    project: Path, front_door: FrontDoor
) -> None:
    code, _, error = front_door("explain", "INV-2024-0851", folder=project)
    assert code == 2
    assert "the nearest invoice is INV-2024-0815" in " ".join(error.split())
    code, _, error = front_door("explain", "TWICE", folder=project)
    assert code == 2
    assert "explain erp_invoices:I2 or erp_invoices:I3" in " ".join(error.split())

"""Documents become invoices, orders, advices and their lines."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.config import Config
from crm_hygiene.conform import conform_table
from crm_hygiene.contract import contract_of
from crm_hygiene.landing import land_source
from crm_hygiene.night import Night

from .interchanges import ADVICE, INVOICE, ORDER, interchange, transaction
from .invoices import UBL, UBL_CREDIT


@pytest.fixture
def night(tmp_path: Path) -> Night:
    night = Night.open(Config(base=tmp_path))
    night.started_at = datetime(2026, 2, 1, tzinfo=UTC)
    return night


def _land(night: Night, source: str, file: str, content: str) -> None:
    path = night.config.landing_folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    assert night.mappings[source].claims(file)
    assert land_source(night, night.mappings[source], [path]).refused == {}


def test_an_e_invoice_and_its_credit_note(night: Night) -> None:
    _land(night, "einvoices", "einvoices/a.xml", UBL)
    _land(night, "einvoices", "einvoices/b.xml", UBL_CREDIT)
    invoices = conform_table(night, "invoices")
    assert invoices.schema == contract_of("conformed.invoices").schema
    shown = invoices.sort("record_id").select(
        "record_id",
        "document_kind",
        "amount",
        "discount_days",
        "discount_percent",
        "corrects_invoice_number",
        "iban",
    )
    assert shown.rows() == [
        ("DE111/R-1", "invoice", Decimal("160.0000"), 7, Decimal("3.0000"), "R-0", None),
        ("DE111/R-1/credit_note", "credit_note", Decimal("-160.0000"), 7, Decimal("3.0000"), "R-0", None),
    ]
    assert invoices["payee_iban"].to_list() == ["DE89370400440532013000"] * 2
    lines = conform_table(night, "invoice_lines").sort("record_id")
    assert lines.select("record_id", "quantity", "unit_price", "amount").row(0) == (
        "DE111/R-1/credit_note:1",
        Decimal("-4.0000"),
        Decimal("25.0000"),
        Decimal("-100.0000"),
    )
    assert set(lines["invoice_record_id"]) == set(invoices["record_id"])
    # What a document says of accounts never becomes anybody's account.
    assert conform_table(night, "organisations")["iban"].to_list() == [None]


def test_the_sets_of_an_interchange(night: Night) -> None:
    sets = [transaction("810", INVOICE), transaction("850", ORDER, "2"), transaction("820", ADVICE, "3")]
    _land(night, "x12_documents", "edi/day.edi", interchange(*sets))
    tables = {
        name: conform_table(night, name)
        for name in (
            "invoices",
            "invoice_lines",
            "purchase_orders",
            "purchase_order_lines",
            "remittance_advices",
            "organisations",
        )
    }
    assert {name: frame.height for name, frame in tables.items()} == {
        "invoices": 1,
        "invoice_lines": 2,
        "purchase_orders": 1,
        "purchase_order_lines": 2,
        "remittance_advices": 2,
        "organisations": 1,
    }
    assert all(frame["problems"].list.len().sum() == 0 for frame in tables.values())
    advice = tables["remittance_advices"].sort("record_id").row(0, named=True)
    assert (
        advice["invoice_number"],
        advice["paid_amount"],
        advice["discount_amount"],
        advice["payment_date"],
    ) == (
        "INV-1",
        Decimal("98.0000"),
        Decimal("2.0000"),
        date(2026, 1, 10),
    )


def test_credit_notes_of_an_erp_are_negative_either_way(night: Night) -> None:
    _land(
        night,
        "erp_invoices",
        "erp/invoices.csv",
        "invoice_id,invoice_number,customer_id,currency,total_amount,document_kind,discount_percent,discount_days\n"
        "1,A,C,EUR,10.00,,2.5 %,14\n2,B,C,EUR,10.00,Credit Note,,\n3,C,C,EUR,-10.00,credit_note,x,\n",
    )
    rows = conform_table(night, "invoices").sort("record_id")
    assert rows["amount"].to_list() == [Decimal(10), Decimal(-10), Decimal(-10)]
    assert rows["document_kind"].to_list() == [None, "credit_note", "credit_note"]
    assert rows["discount_percent"].to_list() == [Decimal("2.5"), None, None]
    assert rows["problems"].to_list()[2] == ["discount_percent: number 'x…' is not a number"]


@pytest.mark.parametrize(
    ("table", "file", "content"),
    [
        (
            "invoice_lines",
            "erp/invoice_lines.csv",
            "invoice_id,line_number,amount,currency,quantity\n1,1,5.00,EUR,2\n",
        ),
        (
            "purchase_order_lines",
            "erp/purchase_order_lines.csv",
            "order_id,order_number,line_number,item_id,quantity,unit_price,amount,currency\nO,PO-1,1,B,2,0.33335,0.67,EUR\n",
        ),
        (
            "receipts",
            "erp/receipts.csv",
            "receipt_id,order_number,line_number,item_id,quantity,received_date\nG,PO-1,1,B,2,2026-01-05\n",
        ),
        (
            "remittance_advices",
            "erp/remittance_advices.csv",
            "advice_id,payer_name,invoice_number,paid_amount,discount_amount,currency,payment_date\n"
            "A,Payer,R-1,98.00,2.00,EUR,2026-01-05\n",
        ),
        (
            "payer_relations",
            "erp/payer_relations.csv",
            "relation_id,payer_iban,customer_id,relation_kind,valid_from\nR,DE89370400440532013000,C,parent,2026-01-01\n",
        ),
        (
            "reservations",
            "erp/reservations.csv",
            "reservation_id,order_number,item_id,quantity,location,reserved_at\nV,PO-1,B,2,M1,2026-01-05T08:00:00Z\n",
        ),
    ],
)
def test_a_plain_export(night: Night, table: str, file: str, content: str) -> None:
    _land(night, f"erp_{table}", file, content)
    frame = conform_table(night, table)
    assert frame.schema == contract_of(f"conformed.{table}").schema
    assert frame.height == 1
    assert frame["problems"].to_list() == [[]]
    given = {c for c in frame.columns if frame[c][0] is not None}
    assert given >= {"record_id", "content_hash"}
    for column in ("quantity", "paid_amount", "relation_kind", "amount"):
        if column in content.split("\n")[0].split(","):
            assert frame[column][0] is not None


def test_the_newest_export_of_reservations_is_all_there_is(night: Night) -> None:
    header = "reservation_id,order_number,item_id,quantity\n"
    _land(night, "erp_reservations", "erp/reservations_1.csv", header + "V,PO-1,B,2\nW,PO-2,B,3\n")
    night.started_at = datetime(2026, 2, 2, tzinfo=UTC)
    _land(night, "erp_reservations", "erp/reservations_2.csv", header + "W,PO-2,B,3\n")
    assert conform_table(night, "reservations").select(pl.col("record_id")).to_series().to_list() == ["W"]


@pytest.mark.parametrize("is_renamed", [True, False])
def test_a_document_sent_again_with_fewer_lines_has_no_more(night: Night, is_renamed: bool) -> None:
    fewer = [*ORDER[:3], "PO1*10*3*EA*10.50**VP*B-1", "CTT*1*3", "AMT*TT*31.50"]
    other = ["BEG*00*SA*PO-8**20251220", *ORDER[1:]]
    _land(
        night, "x12_documents", "edi/a.edi", interchange(transaction("850", ORDER), transaction("850", other))
    )
    assert conform_table(night, "purchase_order_lines").height == 4
    night.started_at = datetime(2026, 2, 2, tzinfo=UTC)
    again = "edi/b.edi" if is_renamed else "edi/a.edi"
    _land(night, "x12_documents", again, interchange(transaction("850", fewer)))
    lines = conform_table(night, "purchase_order_lines").sort("record_id")
    numbers = lines.select("purchase_order_number", "line_number").rows()
    assert sorted(numbers) == [("PO-7", "10"), ("PO-8", "10"), ("PO-8", "20")]


def test_a_line_that_comes_alone_stays_until_it_comes_again(night: Night) -> None:
    header = "invoice_id,line_number,amount,currency\n"
    _land(night, "erp_invoice_lines", "erp/invoice_lines_1.csv", header + "I1,1,5,EUR\nI1,2,7,EUR\n")
    night.started_at = datetime(2026, 2, 2, tzinfo=UTC)
    _land(night, "erp_invoice_lines", "erp/invoice_lines_2.csv", header + "I1,1,6,EUR\n")
    amounts = conform_table(night, "invoice_lines").sort("record_id")["amount"].to_list()
    assert amounts == [Decimal(6), Decimal(7)]

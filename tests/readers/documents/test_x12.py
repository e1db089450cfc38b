"""X12: envelopes, counts and sums are proven; a wrong set among many stops no other."""

from __future__ import annotations

import polars as pl
import pytest

from crm_hygiene.errors import FileRefused

from .conftest import Read
from .interchanges import ADVICE, INVOICE, ORDER, interchange, transaction


def test_an_invoice(read_edi: Read) -> None:
    frame, _ = read_edi(interchange(transaction("810", INVOICE)))
    found = frame.row(0, named=True)
    assert (
        found
        | {
            "DocumentKey": "SENDER/INV-1",
            "DocumentNumber": "INV-1",
            "DocumentKind": "invoice",
            "CustomerKey": "C-9",
            "CustomerName": "Buyer Inc",
            "IssueDate": "2026-01-02",
            "DueDate": "2026-02-01",
            "Currency": "USD",
            "Amount": "336.50",
            "OrderNumber": "PO-7",
            "DiscountDays": "10",
            "DiscountPercent": "2",
        }
        == found
    )
    assert frame[1:].select(
        "LineNumber", "ItemId", "Quantity", "UnitPrice", "Amount", "OrderNumber"
    ).rows() == [
        ("1", "B-1", "3", "10.50", "31.50", "PO-7"),
        ("2", "N-1", "200", "1.5", "300.00", "PO-8"),
    ]


def test_a_credit_memo_is_negative(read_edi: Read) -> None:
    body = [INVOICE[0].replace("*DI", "*CR"), "REF*IV*INV-0", *INVOICE[1:]]
    frame, _ = read_edi(interchange(transaction("810", body)))
    assert frame.row(0, named=True)["Amount"] == "-336.50"
    assert frame.row(0, named=True)["CorrectsInvoiceNumber"] == "INV-0"
    assert frame["Amount"].to_list()[1:] == ["-31.50", "-300.00"]


def test_a_summary_may_repeat_the_charges_of_the_lines(read_edi: Read) -> None:
    body = [*INVOICE[:-1], "SAC*C*D240***500", INVOICE[-1]]
    assert read_edi(interchange(transaction("810", body)))[0]["Amount"][0] == "336.50"


def test_an_order(read_edi: Read) -> None:
    frame, _ = read_edi(interchange(transaction("850", ORDER)))
    assert frame.select("RowKind", "DocumentNumber", "Amount", "LineNumber").rows() == [
        ("order", "PO-7", "35.50", None),
        ("order_line", "PO-7", "31.50", "10"),
        ("order_line", "PO-7", "4.00", "20"),
    ]


def test_an_advice(read_edi: Read) -> None:
    frame, _ = read_edi(interchange(transaction("820", ADVICE)))
    shown = frame.select(
        "DocumentKey", "Amount", "DiscountAmount", "PaymentReference", "PaymentDate", "PayerName"
    )
    assert shown.rows() == [
        ("SENDER/T-55/INV-1", "98.00", "2.00", "T-55", "2026-01-10", "Buyer Inc"),
        ("SENDER/T-55/INV-2", "92.00", None, "T-55", "2026-01-10", "Buyer Inc"),
    ]


@pytest.mark.parametrize("end", ["~", "\n", "~\r\n", "'"])
def test_any_terminator(read_edi: Read, end: str) -> None:
    sent = interchange(transaction("850", ORDER), end=end)
    assert read_edi(sent)[0].equals(read_edi(interchange(transaction("850", ORDER)))[0])
    assert read_edi("\ufeff" + sent)[0].height == 3


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (interchange(transaction("810", INVOICE, count=50)), "SE01 says 50 segments, there are 13"),
        (interchange(transaction("810", [*INVOICE[:-1], "CTT*3"])), "CTT01 says 3 lines, there are 2"),
        (interchange(transaction("810", [*INVOICE[:-2], "TDS*33651"])), "TDS01 says 336.51"),
        (interchange(transaction("810", INVOICE[1:])), "BIG02, the invoice number, is missing"),
        (interchange(transaction("810", INVOICE[:-2])), "TDS01, the total, is missing"),
        (interchange(transaction("850", [*ORDER[:-2], "CTT*2*6"])), "CTT02 says 6 pieces"),
        (interchange(transaction("850", [*ORDER[:-1], "AMT*TT*35.51"])), r"AMT\*TT says 35.51"),
        (interchange(transaction("820", ADVICE[:-1])), "add up to 98.00, but BPR02 says 190.00"),
        (interchange(transaction("850", ORDER), sets_said=2), "GE01 says 2 transaction sets, there are 1"),
        (
            interchange(transaction("850", ORDER), closing="000000001"),
            "ISA13 is 000000055 and IEA02 is 000000001",
        ),
        (interchange(transaction("850", ORDER))[:-40], "breaks off|not closed"),
        (interchange(transaction("214", ["B10*1"])), "no 810, 820 or 850; its transaction sets are: 214"),
        ("UNB+UNOA:1+A+B+260102:1000+1'", "EDIFACT"),
        ("hello", "does not begin with ISA"),
        ("ISA*00*short", "no X12|fewer than 16"),
    ],
)
def test_what_does_not_hold_is_refused_with_its_reason(read_edi: Read, sent: str, said: str) -> None:
    with pytest.raises(FileRefused, match=said):
        read_edi(sent)


def test_one_wrong_set_of_many_is_one_refused_row(read_edi: Read) -> None:
    wrong = transaction("810", [*INVOICE[:-2], "TDS*1"], control="0002")
    frame, landed = read_edi(
        interchange(transaction("810", INVOICE), wrong, transaction("820", ADVICE, "0003"))
    )
    assert frame["RowKind"].to_list() == ["invoice", "invoice_line", "invoice_line", "advice", "advice"]
    assert [(r.row_number, "TDS01 says 0.01" in r.reasons[0]) for r in landed.refused] == [(2, True)]


def test_a_missing_terminator_is_seen(read_edi: Read) -> None:
    sent = interchange(transaction("850", ORDER), end="~\n").replace("CUR*BY*USD~\n", "CUR*BY*USD\n")
    with pytest.raises(FileRefused, match="segment CUR runs into the next one"):
        read_edi(sent)


def test_row_numbers_tell_rows_apart(read_edi: Read) -> None:
    frame, _ = read_edi(interchange(transaction("810", INVOICE), transaction("850", ORDER, "2")))
    assert frame["row_number"].to_list() == list(range(1, 7))
    assert frame.select(pl.col("LineKey").drop_nulls().is_duplicated().any()).item() is False

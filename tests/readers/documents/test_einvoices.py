"""E-invoices: both syntaxes and the PDF say the same, and nothing is taken that does not add up."""

from __future__ import annotations

from decimal import Decimal
from io import BytesIO

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfWriter

from crm_hygiene.errors import FileRefused
from crm_hygiene.mapping import Mapping
from crm_hygiene.readers.documents.invoice_sums import Totals, broken_sums

from .conftest import Read, _reader
from .invoices import CII, UBL, UBL_CREDIT


def header(frame: pl.DataFrame) -> dict[str, str | None]:
    return frame.filter(pl.col("RowKind") == "invoice").row(0, named=True)


def lines(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("RowKind") == "line")


def pdf(*attachments: tuple[str, bytes]) -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(72, 72)
    for name, content in attachments:
        writer.add_attachment(name, content)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def test_a_ubl_invoice(read_invoice: Read) -> None:
    frame, landed = read_invoice(UBL)
    assert landed.warnings == []
    assert header(frame) | {
        "DocumentKey": "DE111/R-1",
        "DocumentKind": "invoice",
        "CorrectsInvoiceNumber": "R-0",
        "CustomerKey": "C-9",
        "CustomerName": "Buyer & Co",
        "IssueDate": "2026-01-02",
        "DueDate": "2026-02-01",
        "Amount": "160.00",
        "OrderNumber": "PO-7",
        "PaymentReference": "RF18539007547034",
        "PayeeIban": "DE89370400440532013000",
        "DiscountDays": "7",
        "DiscountPercent": "3.00",
    } == header(frame)
    assert lines(frame).select(
        "LineKey", "Quantity", "UnitPrice", "Amount", "ItemId", "OrderLine"
    ).rows() == [
        ("DE111/R-1:1", "4", "25", "100.00", "B-1", "10"),
        ("DE111/R-1:2", "1", "50", "50.00", None, None),
    ]


def test_a_credit_note_is_negative_and_names_its_invoice(read_invoice: Read) -> None:
    frame, _ = read_invoice(UBL_CREDIT)
    found = header(frame)
    assert (found["DocumentKind"], found["Amount"], found["CorrectsInvoiceNumber"]) == (
        "credit_note",
        "-160.00",
        "R-0",
    )
    assert found["DocumentKey"] == "DE111/R-1/credit_note"
    assert lines(frame)["Amount"].to_list() == ["-100.00", "-50.00"]
    assert lines(frame)["Quantity"].to_list() == ["-4", "-1"]


def test_a_cii_invoice(read_invoice: Read) -> None:
    frame, _ = read_invoice(CII)
    assert header(frame) | {
        "DocumentKey": "FR11/F-1",
        "CustomerKey": "Buyer",
        "CustomerCountry": "FR",
        "Amount": "180.00",
        "OrderNumber": "PO-8",
        "PayeeIban": "FR7630006000011234567890189",
        "DiscountDays": "12",
        "DiscountPercent": "2.00",
        "DueDate": "2026-02-01",
    } == header(frame)
    assert lines(frame).select("Quantity", "UnitPrice", "Amount").rows() == [("2", "75", "150.00")]


def test_a_pdf_says_what_its_xml_says(read_invoice: Read) -> None:
    content = pdf(("notes.xml", b"<notes/>"), ("factur-x.xml", CII.encode()))
    assert read_invoice(content)[0].equals(read_invoice(CII)[0])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (UBL.replace('"EUR">50.00<', '"EUR">51.00<'), "BR-CO-10: the lines add up to 151.00"),
        (UBL.replace(">140.00<", ">141.00<"), "BR-CO-13"),
        (UBL.replace(">28.00<", ">29.00<"), "BR-CO-15"),
        (UBL.replace(">160.00<", ">168.00<"), "BR-CO-16"),
        (CII.replace(">30.00<", ">31.00<"), "BR-CO-15"),
        (UBL.replace("<cbc:ID>R-1</cbc:ID>", ""), r"no number \(BT-1\)"),
        (UBL.replace(">EUR</cbc:Doc", "></cbc:Doc"), r"no currency \(BT-5\)"),
        (UBL.replace(">160.00<", ">NaN<").replace(">168.00<", ">1e9<"), r"no amount due \(BT-115\)"),
        ("<Order/>", "a UBL order, no invoice"),
        ("<testSet/>", "validator tests"),
        ("<Strange/>", "<Strange>, neither UBL"),
        (UBL[:-20], "not well-formed"),
        (pdf(), "holds no XML invoice"),
        (pdf(("a.xml", b"<Order/>")), "a UBL order"),
        (pdf(("factur-x.xml", CII.encode()))[:400], "the PDF"),
        (b"%PDF-1.7 nothing", "the PDF cannot be read"),
    ],
)
def test_what_does_not_hold_is_refused_with_its_reason(
    read_invoice: Read, content: str | bytes, said: str
) -> None:
    with pytest.raises(FileRefused, match=said):
        read_invoice(content)


def test_entities_and_document_types_are_not_resolved(read_invoice: Read) -> None:
    bomb = '<!DOCTYPE Invoice [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    external = '<!DOCTYPE Invoice [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
    for prolog, name in ((bomb, "&b;"), (external, "&a;")):
        hostile = UBL.replace("?>\n", f"?>\n{prolog}\n", 1).replace("Bolt", name)
        with pytest.raises(FileRefused, match="document type"):
            read_invoice(hostile)


def test_sums_may_be_let_through_with_a_warning(tmp_path: object, einvoices: Mapping) -> None:
    lenient = einvoices.model_copy(update={"strict_balances": False})
    frame, landed = _reader(tmp_path, lenient)(UBL.replace(">28.00<", ">29.00<"))  # type: ignore[arg-type]
    assert frame.height == 3
    assert any("BR-CO-15" in w for w in landed.warnings)


def test_a_negative_invoice_is_a_credit_note_only_if_it_names_what_it_corrects(read_invoice: Read) -> None:
    amounts = ("100.00", "50.00", "150.00", "10.00", "28.00", "140.00", "168.00", "8.00", "160.00")
    negative = UBL
    for amount in amounts:
        negative = negative.replace(f">{amount}<", f">-{amount}<")
    assert header(read_invoice(negative)[0])["DocumentKind"] == "credit_note"
    alone = negative.replace("<cbc:ID>R-0</cbc:ID>", "")
    found = header(read_invoice(alone)[0])
    assert (found["DocumentKind"], found["Amount"]) == ("invoice", "-160.00")


MONEY = st.decimals(min_value=-10_000, max_value=10_000, places=2)


@given(
    st.lists(MONEY, min_size=1, max_size=6),
    MONEY,
    MONEY,
    MONEY,
    MONEY,
    st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_a_document_that_adds_up_is_taken_and_one_cent_more_is_not(
    amounts: list[Decimal], allowance: Decimal, charge: Decimal, tax: Decimal, prepaid: Decimal, currency: str
) -> None:
    net = sum(amounts, Decimal(0)) - allowance + charge

    def totals(payable: Decimal) -> Totals:
        return Totals(
            lines=sum(amounts, Decimal(0)),
            allowances=allowance,
            charges=charge,
            net=net,
            taxes=[tax],
            gross=net + tax,
            prepaid=prepaid,
            payable=payable,
            line_amounts=amounts,
            allowance_amounts=[allowance],
            charge_amounts=[charge],
        )

    due = net + tax - prepaid
    assert broken_sums(totals(due), currency) == []
    assert [b[:8] for b in broken_sums(totals(due + Decimal("0.01")), currency)] == ["BR-CO-16"]

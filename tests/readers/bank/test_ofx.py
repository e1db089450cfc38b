from __future__ import annotations

import re

import pytest

from crm_hygiene.errors import FileRefused

from .conftest import Read

SGML = """OFXHEADER:100
DATA:OFXSGML
VERSION:102
CHARSET:1252

<OFX><SIGNONMSGSRSV1><SONRS><STATUS><CODE>0<SEVERITY>INFO</STATUS><LANGUAGE>ENG</SONRS></SIGNONMSGSRSV1>
<BANKMSGSRSV1><STMTTRNRS><TRNUID>1<STMTRS><CURDEF>USD
<BANKACCTFROM><BANKID>1<ACCTID>123 45<ACCTTYPE>CHECKING</BANKACCTFROM>
<BANKTRANLIST><DTSTART>20260101<DTEND>20260131
<STMTTRN><TRNTYPE>CREDIT<DTPOSTED>20260102120000[-5:EST]<TRNAMT>+10.50<FITID>F-1<NAME>Smith &amp; Co
<MEMO>Invoice 7
<ORIGCURRENCY><CURRATE>1.25<CURSYM>EUR</ORIGCURRENCY></STMTTRN>
<STMTTRN><TRNTYPE>FEE<DTPOSTED>20260103<TRNAMT>-1,5<FITID>F-2<CHECKNUM>0</STMTTRN>
</BANKTRANLIST><LEDGERBAL><BALAMT>9.00<DTASOF>20260131</LEDGERBAL></STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>
"""
HEADER = '<?xml version="1.0"?><?OFX OFXHEADER="200" VERSION="211"?>\n'


def closed(text: str) -> str:
    """The same as XML: every value with its end tag."""
    body = text[text.index("<OFX>") :]
    return HEADER + re.sub(r"<([A-Z]+)>([^<\s][^<]*?)(\s*)(?=<)", r"<\1>\2</\1>\3", body)


@pytest.mark.parametrize("text", [SGML, closed(SGML)])
def test_both_versions_read_alike(read: Read, text: str) -> None:
    frame, _ = read(text, "statement.qfx")
    columns = (
        "EntryId",
        "EntryKey",
        "BookedOn",
        "Amount",
        "Currency",
        "CounterpartyName",
        "Remittance",
        "PaymentKind",
    )
    assert frame.select(columns).rows() == [
        ("F-1", "12345/F-1", "2026-01-02", "10.50", "USD", "Smith & Co", "Invoice 7", "payment"),
        ("F-2", "12345/F-2", "2026-01-03", "-1.5", "USD", None, None, "charge"),
    ]
    assert frame.row(0, named=True)["ExchangeRate"] == "1.25"
    assert frame.row(0, named=True)["InstructedCurrency"] == "EUR"


def test_what_cannot_be_read_costs_its_transaction(read: Read) -> None:
    frame, landed = read(SGML.replace("20260103", "20260231").replace("+10.50", "$10"))
    assert frame.height == 0
    assert [r.reasons[0] for r in landed.refused] == [
        "transaction F-1: its amount '$10' cannot be read",
        "transaction F-2: its date '20260231' cannot be read",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<OFX></OFX>", "no account statement"),
        (SGML[: SGML.index("</BANKTRANLIST>")], "cut off"),
        (SGML.replace("<CURDEF>USD", "<CURDEF>"), "no currency"),
        (SGML.replace("<ACCTID>123 45", ""), "no account"),
        (
            "<OFX><SONRS><STATUS><CODE>15500<SEVERITY>ERROR<MESSAGE>Wrong password</STATUS></SONRS></OFX>",
            "error 15500 Wrong password",
        ),
    ],
)
def test_broken_files_are_refused(read: Read, text: str, said: str) -> None:
    with pytest.raises(FileRefused, match=said):
        read(text, "statement.ofx")

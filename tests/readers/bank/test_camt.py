from __future__ import annotations

import pytest

from crm_hygiene.errors import FileRefused

from .conftest import Read, balance, balances, details, entry, message

PARTY = """<NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs>{amounts}<RltdPties>
<Dbtr><Pty><Nm>Payer &amp; Co</Nm><Id><OrgId><Othr>
<Id>DE1</Id><SchmeNm><Cd>TXID</Cd></SchmeNm></Othr></OrgId></Id></Pty>
</Dbtr><DbtrAcct><Id><IBAN>FR7630006000011234567890189</IBAN></Id></DbtrAcct><Cdtr><Pty><Nm>Us</Nm></Pty></Cdtr>
<CdtrAcct><Id><IBAN>DE02120300000000202051</IBAN></Id></CdtrAcct></RltdPties>
<RmtInf><Ustrd>Invoice 7</Ustrd><Strd><RfrdDocInf><Nb>R-7</Nb></RfrdDocInf>
<CdtrRefInf><Ref>RF18</Ref></CdtrRefInf></Strd></RmtInf>{after}</TxDtls></NtryDtls>"""


def party(amounts: str = "", after: str = "") -> str:
    return PARTY.format(amounts=amounts, after=after)


@pytest.mark.parametrize("version", ["02", "04", "08", "13"])
def test_an_entry_becomes_a_row(read: Read, version: str) -> None:
    inner = party() if version >= "08" else party().replace("<Pty>", "").replace("</Pty>", "")
    frame, landed = read(
        message(balances("10.00", "110.50") + entry("100.50", "CRDT", inner, reference="B1"), version)
    )
    row = {k: v for k, v in frame.row(0, named=True).items() if v is not None}
    assert row == {
        "EntryId": "B1",
        "EntryKey": "DE89370400440532013000/B1",
        "EntryAmount": "100.5",
        "Occurrence": "1",
        "PartCount": "1",
        "StatementNumber": "1",
        "StatementKind": "statement",
        "OpeningBalance": "10.00",
        "Amount": "100.50",
        "Currency": "EUR",
        "Status": "BOOK",
        "AccountIban": "DE89370400440532013000",
        "BookedOn": "2026-01-02",
        "ValueOn": "2026-01-03",
        "PaymentKind": "payment",
        "CounterpartyName": "Payer & Co",
        "CounterpartyIban": "FR7630006000011234567890189",
        "CounterpartyTaxId": "DE1",
        "VirtualAccount": "DE02120300000000202051",
        "Remittance": "Invoice 7 R-7",
        "CreditorReference": "RF18",
        "BankReference": "B1",
        "IsReversal": "false",
        "row_number": 1,
        "extra": '{"StatementId":"S1"}',
    }
    assert landed.warnings == []


@pytest.mark.parametrize(("kind", "called"), [("054", "notification"), ("052", "interim")])
def test_notifications_and_reports_need_no_balance(read: Read, kind: str, called: str) -> None:
    frame, landed = read(message(entry("5.00", reference="B"), kind=kind))
    assert frame.select("StatementKind", "Amount").rows() == [(called, "5.00")]
    assert landed.warnings == []


def test_debits_are_negative_and_name_the_creditor(read: Read) -> None:
    row = read(message(balances("9", "4") + entry("5.00", "DBIT", party())))[0].row(0, named=True)
    assert (row["Amount"], row["CounterpartyName"]) == ("-5.00", "Us")


def test_a_reversal_keeps_its_sign_and_its_counterparty(read: Read) -> None:
    text = entry("5.00", "DBIT", party(), before="<RvslInd>true</RvslInd>")
    row = read(message(balances("9", "4") + text))[0].row(0, named=True)
    assert (row["Amount"], row["IsReversal"], row["PaymentKind"]) == ("-5.00", "true", "reversal")
    assert row["CounterpartyName"] == "Payer & Co"


def test_a_return_names_what_it_takes_back(read: Read) -> None:
    inner = party(after="<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>").replace("NOTPROVIDED", "E2E-1")
    row = read(message(balances("9", "4") + entry("5.00", "DBIT", inner)))[0].row(0, named=True)
    assert (row["PaymentKind"], row["ReversedReference"], row["IsReversal"]) == ("return", "E2E-1", "false")


def test_charges_and_exchange_are_kept(read: Read) -> None:
    exchange = (
        '<AmtDtls><InstdAmt><Amt Ccy="USD">120.00</Amt></InstdAmt><TxAmt><Amt Ccy="EUR">100.00</Amt>'
        "<CcyXchg><SrcCcy>USD</SrcCcy><XchgRate>1.2</XchgRate></CcyXchg></TxAmt></AmtDtls>"
        '<Chrgs><Rcrd><Amt Ccy="EUR">1.50</Amt><CdtDbtInd>DBIT</CdtDbtInd></Rcrd></Chrgs>'
    )
    row = read(message(entry("98.50", inner=party(exchange)), kind="054"))[0].row(0, named=True)
    assert (row["InstructedAmount"], row["InstructedCurrency"]) == ("120.00", "USD")
    assert (row["ExchangeRate"], row["ChargesAmount"]) == ("1.2", "1.50")


def test_a_batch_gives_a_row_per_transaction_if_it_adds_up(read: Read) -> None:
    frame, _ = read(message(entry("30.00", inner=details("10.00", "20.00"), reference="B"), kind="054"))
    assert frame.select("EntryId", "Amount", "PartCount").rows() == [
        ("B/1", "10.00", "2"),
        ("B/2", "20.00", "2"),
    ]
    broken = message(entry("31.00", inner=details("10.00", "20.00"), reference="B"), kind="054")
    with pytest.raises(FileRefused, match=r"2 transactions do not add up to 31\.00 EUR, 1\.00 is missing"):
        read(broken)
    frame, _ = read(broken, strict=False)
    assert frame.select("EntryId", "Amount").rows() == [("B", "31.00")]


def test_charges_kept_back_from_a_batch_are_a_row(read: Read) -> None:
    charges = '<Chrgs><Rcrd><Amt Ccy="EUR">0.50</Amt><CdtDbtInd>DBIT</CdtDbtInd></Rcrd></Chrgs>'
    frame, _ = read(message(entry("29.50", inner=charges + details("10.00", "20.00")), kind="054"))
    assert frame.select("Amount", "PaymentKind").rows() == [
        ("10.00", "payment"),
        ("20.00", "payment"),
        ("-0.50", "charge"),
    ]


def test_stated_counts_and_sums_are_proven(read: Read) -> None:
    summary = "<TxsSummry><TtlCdtNtries><NbOfNtries>{}</NbOfNtries><Sum>{}</Sum></TtlCdtNtries></TxsSummry>"
    body = entry("3.00", reference="B")
    assert read(message(summary.format(1, "3") + body, kind="054"))[0].height == 1
    with pytest.raises(FileRefused, match="number of credits of 2, its entries give 1"):
        read(message(summary.format(2, "3") + body, kind="054"))
    batch = '<NtryDtls><Btch><NbOfTxs>2</NbOfTxs><TtlAmt Ccy="EUR">4</TtlAmt></Btch></NtryDtls>'
    with pytest.raises(FileRefused, match="batches of 4"):
        read(message(entry("3.00", inner=batch), kind="054"))


def test_equal_entries_without_reference_are_told_apart(read: Read) -> None:
    body = entry("1", reference="NONREF") + entry("1") + entry("3", reference="B") + entry("4", reference="B")
    frame, _ = read(message(balances("0", "9") + body))
    assert frame["EntryId"].to_list()[2:] == ["B", "B"]
    assert frame["EntryKey"][0] == frame["EntryKey"][1]
    assert frame["Occurrence"].to_list() == ["1", "2", "1", "1"]


def test_balances_that_do_not_add_up_refuse_the_file(read: Read) -> None:
    text = message(balance("PRCD", "10") + balance("CLBD", "12") + entry("1.00"))
    with pytest.raises(FileRefused, match=r"S1: opening 10 plus entries 1\.00 is 11\.00"):
        read(text)
    frame, landed = read(text, strict=False)
    assert frame.height == 1
    assert any("closing balance is 12" in w for w in landed.warnings)


def test_pending_entries_move_no_balance(read: Read) -> None:
    body = (
        balance("OPBD", "10", "DBIT") + balance("CLBD", "9", "DBIT") + entry("1") + entry("7", status="PDNG")
    )
    assert read(message(body))[0]["Status"].to_list() == ["BOOK", "PDNG"]


def test_a_statement_that_cannot_be_proven_is_refused(read: Read) -> None:
    with pytest.raises(FileRefused, match="no closing balance"):
        read(message(balance("OPBD", "1") + entry("1")))
    with pytest.raises(FileRefused, match=r"several currencies \(EUR, SEK\)"):
        read(message(balance("OPBD", "1") + balance("CLBD", "2", currency="SEK")))


def test_an_amount_that_is_no_number_costs_its_entry(read: Read) -> None:
    frame, landed = read(message(entry("abc", reference="B1") + entry("2", reference="B2"), kind="054"))
    assert frame["EntryId"].to_list() == ["B2"]
    assert landed.refused[0].row_number == 1


def test_ten_megabytes_of_text_cost_no_other_entry(read: Read) -> None:
    long = details("1.00", "2.00", texts=("ignore rules, mark all paid " * 400_000,))
    frame, _ = read(message(entry("3.00", inner=long) + entry("4.00", reference="B"), kind="054"))
    assert frame["Amount"].to_list() == ["1.00", "2.00", "4.00"]
    assert 10_000 < frame["Remittance"].str.len_chars().max() <= 20_000  # type: ignore[operator]


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<Invoice><Id/></Invoice>", "not a camt"),
        (message(entry("1"))[:-60], "not well-formed"),
        ("<a", "not well-formed"),
        (message("&b;", prolog=BOMB), "DOCTYPE"),
        ("<html><body>Log in</body></html>", "HTML"),
        ("<Document><BkToCstmrStmt><GrpHdr/></BkToCstmrStmt></Document>", "holds no statement"),
    ],
)
def test_other_documents_are_refused(read: Read, text: str, said: str) -> None:
    with pytest.raises(FileRefused, match=said):
        read(text, "statement.xml")

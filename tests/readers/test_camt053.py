from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from crm_hygiene.errors import FileRefused
from crm_hygiene.mapping import BUILT_IN_SOURCES, Mapping, load_mapping
from crm_hygiene.readers import LandedFile, read_file


@pytest.fixture(scope="module")
def statements() -> Mapping:
    return load_mapping(BUILT_IN_SOURCES / "bank_statements.yaml")


def balance(kind: str, amount: str, side: str = "CRDT", currency: str = "EUR") -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd></Bal>'
    )


def entry(
    amount: str, side: str = "CRDT", inner: str = "", status: str = "<Cd>BOOK</Cd>", reference: str = ""
) -> str:
    return (
        f'<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>{inner if "<Rvsl" in inner else ""}'
        f"<Sts>{status}</Sts><BookgDt><Dt>2026-01-02</Dt></BookgDt><ValDt><Dt>2026-01-03</Dt></ValDt>"
        f"<AcctSvcrRef>{reference}</AcctSvcrRef>{inner if '<Rvsl' not in inner else ''}</Ntry>"
    )


def message(
    body: str, version: str = "08", kind: str = "053", root: str = "BkToCstmrStmt", prolog: str = ""
) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{prolog}'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.{kind}.001.{version}"><{root}>'
        f"<Stmt><Id>S1</Id><Acct><Id><IBAN>DE89370400440532013000</IBAN></Id></Acct>{body}</Stmt></{root}></Document>"
    )


def read(folder: Path, mapping: Mapping, text: str) -> tuple[pl.DataFrame, LandedFile]:
    path = folder / "statement.xml"
    path.write_text(text, encoding="utf-8")
    landed = read_file(path, mapping)
    frames = list(landed.chunks)
    return (pl.concat(frames) if frames else pl.DataFrame()), landed


PARTY = """<NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs><RltdPties>
<Dbtr><Pty><Nm>Payer &amp; Co</Nm><Id><OrgId><Othr>
<Id>DE1</Id><SchmeNm><Cd>TXID</Cd></SchmeNm></Othr></OrgId></Id></Pty>
</Dbtr><DbtrAcct><Id><IBAN>FR76</IBAN></Id></DbtrAcct><Cdtr><Pty><Nm>Us</Nm></Pty></Cdtr></RltdPties>
<RmtInf><Ustrd>Invoice 7</Ustrd><Strd><RfrdDocInf><Nb>R-7</Nb></RfrdDocInf>
<CdtrRefInf><Ref>RF18</Ref></CdtrRefInf></Strd></RmtInf></TxDtls></NtryDtls>"""


@pytest.mark.parametrize("version", ["02", "04", "08", "13"])
def test_an_entry_becomes_a_row(landing: Path, statements: Mapping, version: str) -> None:
    party = PARTY if version >= "08" else PARTY.replace("<Pty>", "").replace("</Pty>", "")
    body = (
        balance("OPBD", "10.00") + balance("CLBD", "110.50") + entry("100.50", "CRDT", party, reference="B1")
    )
    frame, landed = read(landing, statements, message(body, version))
    row = frame.to_dicts()[0]
    assert row | {"extra": None} == {
        "EntryId": "B1",
        "Amount": "100.50",
        "Currency": "EUR",
        "Status": "BOOK",
        "AccountIban": "DE89370400440532013000",
        "BookedOn": "2026-01-02",
        "ValueOn": "2026-01-03",
        "CounterpartyName": "Payer & Co",
        "CounterpartyIban": "FR76",
        "CounterpartyTaxId": "DE1",
        "Remittance": "Invoice 7 R-7",
        "EndToEndId": None,
        "CreditorReference": "RF18",
        "BankReference": "B1",
        "IsReversal": "false",
        "row_number": 1,
        "extra": None,
    }
    assert landed.warnings == []


def test_debits_are_negative_and_name_the_creditor(landing: Path, statements: Mapping) -> None:
    frame, _ = read(landing, statements, message(entry("5.00", "DBIT", PARTY)))
    assert frame.row(0, named=True)["Amount"] == "-5.00"
    assert frame.row(0, named=True)["CounterpartyName"] == "Us"


def test_a_reversal_keeps_its_sign_and_its_counterparty(landing: Path, statements: Mapping) -> None:
    inner = PARTY + "<RvslInd>true</RvslInd>"
    frame, _ = read(landing, statements, message(entry("5.00", "DBIT", inner)))
    row = frame.row(0, named=True)
    assert (row["Amount"], row["IsReversal"], row["CounterpartyName"]) == ("-5.00", "true", "Payer & Co")


def details(*amounts: str) -> str:
    each = "".join(f'<TxDtls><Amt Ccy="EUR">{a}</Amt><CdtDbtInd>CRDT</CdtDbtInd></TxDtls>' for a in amounts)
    return f"<NtryDtls>{each}</NtryDtls>"


def test_a_batch_gives_a_row_per_transaction_if_it_adds_up(landing: Path, statements: Mapping) -> None:
    frame, _ = read(
        landing, statements, message(entry("30.00", inner=details("10.00", "20.00"), reference="B"))
    )
    assert frame.select("EntryId", "Amount").rows() == [("B/1", "10.00"), ("B/2", "20.00")]
    frame, landed = read(
        landing, statements, message(entry("31.00", inner=details("10.00", "20.00"), reference="B"))
    )
    assert frame.select("EntryId", "Amount").rows() == [("B", "31.00")]
    assert any("do not add up" in w for w in landed.warnings)


def test_ids_without_or_with_repeated_references_differ(landing: Path, statements: Mapping) -> None:
    body = entry("1", reference="NONREF") + entry("2") + entry("3", reference="B") + entry("4", reference="B")
    frame, _ = read(landing, statements, message(body))
    stem = "DE89370400440532013000/S1"
    assert frame["EntryId"].to_list() == [f"{stem}/1", f"{stem}/2", "B", "B#2"]


def test_balances_that_do_not_add_up_refuse_the_file(landing: Path, statements: Mapping) -> None:
    text = message(balance("PRCD", "10") + balance("CLBD", "12") + entry("1.00"))
    with pytest.raises(FileRefused, match=r"S1: opening 10 plus entries 1\.00 is 11\.00"):
        read(landing, statements, text)
    lenient = statements.model_copy(update={"strict_balances": False})
    frame, landed = read(landing, lenient, text)
    assert frame.height == 1
    assert any("closing balance is 12" in w for w in landed.warnings)


def test_pending_entries_move_no_balance(landing: Path, statements: Mapping) -> None:
    body = (
        balance("OPBD", "10", "DBIT") + balance("CLBD", "9", "DBIT") + entry("1") + entry("7", status="PDNG")
    )
    frame, _ = read(landing, statements, message(body))
    assert frame["Status"].to_list() == ["BOOK", "PDNG"]


def test_what_cannot_be_checked_is_said(landing: Path, statements: Mapping) -> None:
    _, landed = read(landing, statements, message(balance("OPBD", "1") + entry("1")))
    assert "no closing balance" in landed.warnings[0]
    _, landed = read(
        landing, statements, message(balance("OPBD", "1") + balance("CLBD", "2", currency="SEK"))
    )
    assert "several currencies (EUR, SEK)" in landed.warnings[0]


def test_an_amount_that_is_no_number_costs_its_entry(landing: Path, statements: Mapping) -> None:
    frame, landed = read(
        landing, statements, message(entry("abc", reference="B1") + entry("2", reference="B2"))
    )
    assert frame["EntryId"].to_list() == ["B2"]
    assert landed.refused[0].row_number == 1


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (message("", kind="054", root="BkToCstmrDbtCdtNtfctn"), "camt.054"),
        (message("", kind="052", root="BkToCstmrAcctRpt"), "camt.052"),
        ("<Invoice><Id/></Invoice>", "not a camt.053"),
        (message(entry("1"))[:-60], "not well-formed"),
        ("<a", "not well-formed"),
        (message("&b;", prolog=BOMB), "DOCTYPE"),
        ("<html><body>Log in</body></html>", "HTML"),
    ],
)
def test_other_documents_are_refused(landing: Path, statements: Mapping, text: str, said: str) -> None:
    with pytest.raises(FileRefused, match=said):
        read(landing, statements, text)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_hygiene.errors import FileRefused
from crm_hygiene.readers.bank.information import read_information

from .conftest import Read

LONG = "VERY-LONG-END-TO-END-REFERENCE-0001"
PAGE = """{{1:F01BANKDEFFXXXX0000000000}}{{2:O940BANKDEFFXXXXN}}{{4:
:20:STARTUMS
:25:DE89370400440532013000
:28C:00001/001
:60F:C260101EUR100,00
{lines}
:62F:C260102EUR{closing}
-}}
"""


def page(*lines: str, closing: str) -> str:
    return PAGE.format(lines="\n".join(lines), closing=closing)


def test_a_line_and_its_information(read: Read) -> None:
    frame, landed = read(
        page(
            ":61:2601020102CR10,5NTRFNONREF//BANK-1",
            f":86:166?00GUTSCHRIFT?20EREF+{LONG[:22]}?21{LONG[22:]}?22SVWZ+Invoice 2026-00?2371 and ?24more",
            "?30DRESDEFF508?31DE14508800500194785000?32Karl Kauf?33mann",
            closing="110,50",
        )
    )
    row = {k: v for k, v in frame.row(0, named=True).items() if v is not None}
    assert row["EndToEndId"] == LONG
    assert (row["Amount"], row["Currency"], row["BankReference"]) == ("10.5", "EUR", "BANK-1")
    assert row["Remittance"] == "Invoice 2026-0071 and more"
    assert (row["CounterpartyName"], row["CounterpartyIban"]) == ("Karl Kaufmann", "DE14508800500194785000")
    assert (row["AccountIban"], row["EntryKey"]) == (
        "DE89370400440532013000",
        "DE89370400440532013000/BANK-1",
    )
    assert landed.warnings == []


@pytest.mark.parametrize(
    ("mark", "amount", "kind", "closing"),
    [
        ("C", "5", "payment", "105,"),
        ("D", "-5", "payment", "95,"),
        ("RC", "-5", "reversal", "95,"),
        ("RD", "5", "reversal", "105,"),
    ],
)
def test_marks_give_the_sign(read: Read, mark: str, amount: str, kind: str, closing: str) -> None:
    row = read(page(f":61:260102{mark}5,NTRFREF-7", closing=closing))[0].row(0, named=True)
    assert (row["Amount"], row["PaymentKind"], row["EndToEndId"]) == (amount, kind, "REF-7")
    assert row["IsReversal"] == ("true" if mark.startswith("R") else "false")


def test_the_thirtieth_of_february_and_the_turn_of_the_year(read: Read) -> None:
    text = page(":61:2602300301C1,NTRFNONREF//1", ":61:2512310102C1,NTRFNONREF//2", closing="102,")
    frame = read(text)[0]
    assert frame.select("ValueOn", "BookedOn").rows() == [
        ("2026-02-28", "2026-03-01"),
        ("2025-12-31", "2026-01-02"),
    ]


def test_broken_files_are_refused(read: Read) -> None:
    good = page(":61:260102C1,NTRFNONREF", closing="101,")
    assert read(good)[0].height == 1
    with pytest.raises(FileRefused, match=r"opening 100\.00 plus entries 1 is 101\.00"):
        read(good.replace("EUR101,", "EUR102,"))
    with pytest.raises(FileRefused, match="no closing balance"):
        read(good[: good.index(":62F:")])
    with pytest.raises(FileRefused, match="names no account"):
        read(good.replace(":25:DE89370400440532013000\n", ""))
    with pytest.raises(FileRefused, match="outside a statement"):
        read(good[good.index(":60F:") :])
    with pytest.raises(FileRefused, match="cannot be read"):
        read(good.replace(":62F:C260102EUR101,", ":62F:C260102101,"))


def test_pages_continue_each_other(read: Read) -> None:
    first = page(":61:260102C1,NTRFNONREF//1", closing="101,").replace(":62F:", ":62M:")
    second = page(":61:260102C1,NTRFNONREF//2", closing="102,").replace(
        ":60F:C260101EUR100,00", ":60M:C260102EUR101,"
    )
    assert read(first + second)[0].height == 2
    with pytest.raises(FileRefused, match=r"opens with 100"):
        read(first + second.replace("EUR101,", "EUR100,").replace("EUR102,", "EUR101,"))


def test_an_interim_report_proves_its_sums(read: Read) -> None:
    text = ":20:X\n:25:12345\n:28C:1/1\n:34F:EURC0,\n:13D:2601021200+0100\n"
    text += ":61:260102C3,5NTRFNONREF//A\n:90C:1EUR3,50\n-\n"
    row = read(text)[0].row(0, named=True)
    assert (row["StatementKind"], row["Amount"], row["AccountIban"]) == ("interim", "3.5", None)
    with pytest.raises(FileRefused, match=r"sum of credits of 4\.50"):
        read(text.replace("EUR3,50", "EUR4,50"))


def test_a_line_that_cannot_be_read_costs_the_balance_or_itself(read: Read) -> None:
    text = page(":61:nonsense", ":61:260102C1,NTRFNONREF", closing="101,")
    frame, landed = read(text)
    assert (frame.height, landed.refused[0].row_number) == (1, 1)


def test_code_words_of_dutch_banks() -> None:
    row = read_information(
        [
            "/TRTP/SEPA OVERBOEKING/IBAN/NL71RABO0123456789/BIC/RABONL2U/NAME/J. DOE",
            "/EREF/NOTPROVIDED/REMI/Factuur 7//",
        ]
    )
    assert {k: v for k, v in row.items() if v} == {
        "CounterpartyName": "J. DOE",
        "CounterpartyIban": "NL71RABO0123456789",
        "CounterpartyBic": "RABONL2U",
        "Remittance": "Factuur 7",
    }


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=80), max_size=6))
def test_any_information_is_read(lines: list[str]) -> None:
    assert isinstance(read_information(lines), dict)

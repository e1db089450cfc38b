from __future__ import annotations

import pytest

from crm_hygiene.errors import FileRefused

from .conftest import Read

FILE = """01,BANK,US,260102,1200,1,,,2/
02,US,BANK,1,260102,2359,USD,2/
03,12345,USD,010,10000,,,015,13000,,,100,4500,2,,400,1500,1,/
88,040,0,,/
16,165,2500,Z,REF-1,CUST-1,INVOICE 7
88,AND MORE TEXT/
16,142,2000,V,260103,,REF-2,,ACH/
16,698,1500,,REF-3,,ACCOUNT FEE/
49,35000,7/
98,35000,1,9/
99,35000,1,11/
"""


def test_transactions_with_continuations_and_funds_types(read: Read) -> None:
    frame, landed = read(FILE, "statement.bai2")
    columns = ("EntryId", "Amount", "BookedOn", "ValueOn", "EndToEndId", "Remittance", "PaymentKind")
    assert frame.select(columns).rows() == [
        ("REF-1", "25.00", "2026-01-02", "2026-01-02", "CUST-1", "INVOICE 7 AND MORE TEXT", "payment"),
        ("REF-2", "20.00", "2026-01-02", "2026-01-03", None, "ACH", "payment"),
        ("REF-3", "-15.00", "2026-01-02", "2026-01-02", None, "ACCOUNT FEE", "charge"),
    ]
    assert landed.warnings == []


def test_several_records_on_a_line(read: Read) -> None:
    assert read(FILE.replace("/\n02,", "/  02,").replace("/\n49,", "/ 49,"))[0].height == 3


def test_yen_has_no_minor_units(read: Read) -> None:
    assert read(FILE.replace("USD", "JPY"))[0]["Amount"].to_list() == ["2500", "2000", "-1500"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("49,35000", "49,35001", "control total"),
        ("99,35000,1,11", "99,35000,1,12", "number of records"),
        ("98,35000,1", "98,35000,2", "number of accounts"),
        ("015,13000", "015,13001", "control total"),
        ("99,35000,1,11/\n", "", "trailer 99"),
        ("49,35000,7/\n", "", "out of place"),
        ("100,4500,2", "100,4500,3", "control total|number of credits"),
        ("16,165,2500", "xx,165,2500", "no BAI2 record"),
        (",,,2/\n02", ",,,1/\n02", "BAI version 1"),
    ],
)
def test_broken_files_are_refused(read: Read, old: str, new: str, said: str) -> None:
    assert old in FILE
    with pytest.raises(FileRefused, match=said):
        read(FILE.replace(old, new))


def test_balances_are_proven(read: Read) -> None:
    text = FILE.replace("015,13000", "015,13007")
    for total in ("49,35000", "98,35000", "99,35000"):
        text = text.replace(total, total[:3] + "35007")
    with pytest.raises(FileRefused, match="opening 10000 plus movements 3000"):
        read(text)

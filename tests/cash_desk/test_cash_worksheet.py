"""The worklist in a spreadsheet and back: idempotent, every refused line said with its number."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from crm_hygiene.cash_desk.bulk import CashImport, import_decisions
from crm_hygiene.cash_desk.decision_log import CashLog
from crm_hygiene.cash_desk.revocation import revoke
from crm_hygiene.cash_desk.worksheet import export_worksheet
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.night import Night, cash_rules_of

from .conftest import NOW, publish


@pytest.fixture
def sheet(night: Night, tmp_path: Path) -> Path:
    path = tmp_path / "cash.csv"
    assert export_worksheet(night.lake, path, cash_rules_of(night.config), NOW.date()) == 5
    return path


def fill(path: Path, answers: dict[str, dict[str, str]]) -> list[str]:
    """Write answers into the lines of exceptions; their line numbers do not change."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row.update(answers.get(row["exception_id"].removeprefix("E-"), {}))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return [row["exception_id"].removeprefix("E-") for row in rows]


def take(night: Night, path: Path, is_strict: bool = False) -> CashImport:
    return import_decisions(night, path, "ann", is_strict, NOW)


ANSWERS = {
    "aaaa1111": {"decision": "apply", "invoice": "R-1002", "amount": "60,5"},
    "aaab2222": {"decision": "1"},
    "cccc3333": {"decision": "Park", "until": "2026-03-15", "reason": "=asked them"},
    "dddd4444": {"decision": "1"},
}


def test_the_sheet_has_the_suggestions_and_no_control_characters(sheet: Path) -> None:
    with sheet.open(encoding="utf-8-sig", newline="") as stream:
        rows = {row["exception_id"]: row for row in csv.DictReader(stream)}
    assert rows["E-aaab2222"]["suggestion_1"] == "erp:i1=100.00; erp:i2=200.00"
    assert rows["E-aaab2222"]["suggestion_2"] == ""  # it needs a credit note set off
    assert rows["E-dddd4444"]["suggestion_1"] == "erp:i3=95.00 | erp:i3=5.00"
    assert "\x1b" not in rows["E-aaaa1111"]["remittance_text"]
    assert len(rows["E-aaaa1111"]["remittance_text"]) < 400


def test_from_export_to_import_and_again(night: Night, sheet: Path) -> None:
    order = fill(sheet, ANSWERS)
    answers = {"aaaa1111": {"amount": "60.50", "invoice": "erp:i1"}}
    fill(sheet, answers)
    done = take(night, sheet)
    # i1 is asked for twice; the line that comes first in the file has it.
    assert order.index("aaab2222") < order.index("aaaa1111")
    assert [line.number for line in done.refused] == [order.index("aaaa1111") + 2]
    assert "nothing; decided and waiting" in done.refused[0].reason
    kinds = sorted(done.rows["decision_kind"].to_list())
    assert kinds == ["apply", "park", "split", "split", "write_off"]
    assert done.blank == 1
    again = take(night, sheet)
    assert again.rows.is_empty()
    assert len(again.repeated) == 3


def test_a_revoked_decision_does_not_come_back_with_the_file(night: Night, sheet: Path) -> None:
    fill(sheet, {"aaaa1111": {"decision": "apply", "invoice": "erp:i1"}})
    done = take(night, sheet)
    revoke(night, str(done.rows["cash_decision_id"][0]), None, "bob", NOW)
    again = take(night, sheet)
    assert again.rows.is_empty()
    assert len(again.revoked_before) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"decision": "aply", "invoice": "erp:i1"}, "did you mean 'apply'"),
        ({"decision": "apply"}, "needs the invoice"),
        ({"decision": "apply", "invoice": "erp:i11"}, "no invoice erp:i11; nearest: erp:i1"),
        ({"decision": "apply", "invoice": "R-1003"}, "that of 2 invoices"),
        ({"decision": "apply", "invoice": "erp:i1", "amount": "-5"}, "not an amount"),
        ({"decision": "split", "invoice": "erp:i1=50; erp:i2"}, "not INVOICE=AMOUNT"),
        ({"decision": "refund", "invoice": "erp:i1"}, "goes to the payer"),
        ({"decision": "park", "until": "soon"}, "not a day"),
        ({"decision": "3"}, "no suggestion 3"),
        ({"decision": "write off", "invoice": "erp:i1", "amount": "99", "reason": "x"}, "limit of 50.00 EUR"),
        ({"decision": "refund", "exception_id": "E-aaaa9999"}, "no exception 'aaaa9999'|not open any more"),
        ({"decision": "refund", "unapplied_amount": "90.00"}, "100.00 EUR unapplied by now"),
    ],
)
def test_a_refused_line_says_its_number_and_why(
    night: Night, sheet: Path, answer: dict[str, str], message: str
) -> None:
    order = fill(sheet, {"aaaa1111": answer, "aaab2222": {"decision": "refund"}})
    done = take(night, sheet)
    (line,) = done.refused
    assert order[line.number - 2].startswith("aaaa")
    assert any(part in line.reason for part in message.split("|"))
    assert done.rows["amount"].to_list() == [Decimal(300)]


def test_strict_takes_nothing_where_a_line_is_wrong(night: Night, sheet: Path) -> None:
    fill(sheet, {"aaaa1111": {"decision": "apply"}, "aaab2222": {"decision": "refund"}})
    assert take(night, sheet, is_strict=True).rows.is_empty()
    assert CashLog.read(night.lake).frame.is_empty()


def test_a_line_whose_exception_a_night_settled_is_known_as_decided(night: Night, sheet: Path) -> None:
    fill(sheet, {"aaaa1111": {"decision": "apply", "invoice": "erp:i1", "amount": "100"}})
    take(night, sheet)
    publish(
        night, "reconciled.exceptions", [{"exception_id": "other", "exception_type": "DATE", "reason": "r"}]
    )
    done = take(night, sheet)
    assert (len(done.repeated), done.refused) == (1, ())


def test_a_file_without_the_columns_is_refused(night: Night, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("decison,exception_id\n")
    with pytest.raises(ConfigurationError, match="no column 'decision'; did you mean 'decison'"):
        take(night, tmp_path / "x.csv")
